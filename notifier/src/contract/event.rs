//! Why a range is invalidated.

use std::fmt;

use crate::addr::{AddrRange, Gva};

/// The reason that a start/end pair carries (Linux: `enum mmu_notifier_event`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The mapping goes away.
    Unmap,
    /// Entries are cleared or replaced, the mapping stays.
    Clear,
    /// Protection of a whole mapping changes.
    ProtectionVma,
    /// Protection of single pages is lowered, as for copy-on-write after a fork.
    ProtectionPage,
    /// Protection of a page was raised. No kernel has this event: it is what the first proposal of
    /// May 2023 would have added. It may only be used to invalidate.
    ProtectionUpgrade,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unmap => "unmap",
            Self::Clear => "clear",
            Self::ProtectionVma => "protection-vma",
            Self::ProtectionPage => "protection-page",
            Self::ProtectionUpgrade => "protection-upgrade",
        })
    }
}

/// What a range subscriber is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RangeEvent {
    /// Why.
    pub event: Event,
    /// Which addresses, half-open.
    pub range: AddrRange<Gva>,
}

impl fmt::Display for RangeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.event, self.range)
    }
}
