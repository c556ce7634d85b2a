//! Why a range is invalidated, and how.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::addr::{AddrRange, Gva};

/// The reason that a start/end pair carries (Linux: `enum mmu_notifier_event`).
///
/// `MMU_NOTIFY_RELEASE` is missing on purpose: it is not a change that somebody may announce, and
/// only interval subscribers hear of it ([`IntervalEvent::Release`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The mapping goes away: munmap, a move by mremap.
    Unmap,
    /// Entries are cleared or replaced, the mapping stays: zap, the copy of copy-on-write, splitting
    /// and collapsing large pages, merging, migration entries.
    Clear,
    /// Protection of a whole mapping changes: mprotect.
    ProtectionVma,
    /// Protection of single pages is lowered: copy-on-write after a fork, write-back.
    ProtectionPage,
    /// Dirty tracking by write protection starts anew.
    SoftDirty,
    /// Pages move to memory of the device that owns the migration.
    Migrate(Owner),
    /// A device gets exclusive access for atomic operations.
    Exclusive(Owner),
    /// Protection of a page was raised. No kernel has this event: it is what the first proposal of
    /// May 2023 would have added. It may only be used to invalidate.
    ProtectionUpgrade,
}

impl Event {
    /// Who began it, of the events that say so. The initiator leaves its own mappings alone.
    pub fn owner(self) -> Option<Owner> {
        match self {
            Self::Migrate(owner) | Self::Exclusive(owner) => Some(owner),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unmap => "unmap",
            Self::Clear => "clear",
            Self::ProtectionVma => "protection-vma",
            Self::ProtectionPage => "protection-page",
            Self::SoftDirty => "soft-dirty",
            Self::Migrate(_) => "migrate",
            Self::Exclusive(_) => "exclusive",
            Self::ProtectionUpgrade => "protection-upgrade",
        })
    }
}

/// Somebody who begins migrations or exclusive accesses (Linux: `mmu_notifier_range.owner`, a
/// pointer that is only compared).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    /// One that equals no other.
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whether whoever is told of an invalidation may sleep (Linux: `MMU_NOTIFIER_RANGE_BLOCKABLE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocking {
    /// It may.
    Allowed,
    /// It may not. Only the out-of-memory reaper asks for that.
    Forbidden,
}

/// What a range subscriber is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RangeEvent {
    /// Why.
    pub event: Event,
    /// Which addresses, half-open.
    pub range: AddrRange<Gva>,
    /// Whether the callback may sleep; the same at the start and at the end.
    pub blocking: Blocking,
}

impl fmt::Display for RangeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.event, self.range)
    }
}

/// What an interval subscriber is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntervalEvent {
    /// Entries of a range are about to change.
    Change(RangeEvent),
    /// The address space ends (Linux: `MMU_NOTIFY_RELEASE` for the whole of it).
    Release,
}

impl IntervalEvent {
    /// Which addresses, half-open.
    pub fn range(&self) -> AddrRange<Gva> {
        match self {
            Self::Change(event) => event.range,
            Self::Release => AddrRange::all(),
        }
    }

    /// Whether the callback may sleep.
    pub fn blocking(&self) -> Blocking {
        match self {
            Self::Change(event) => event.blocking,
            Self::Release => Blocking::Allowed,
        }
    }
}

/// A subscriber could not follow without sleeping, so nothing may change (Linux: `-EAGAIN`).
///
/// Whoever asked holds no window: it owes no end, and must leave the entries as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subscriber would have had to sleep; the page table must not be changed now")]
pub struct Again;
