//! Watching the contract at work.

use std::fmt;

use super::RangeEvent;
use crate::addr::{AddrRange, Gva};

/// A position in the one order of everything that was observed in a run; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(pub u64);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.0)
    }
}

/// A notification, as the address space sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// To range subscribers, before the change.
    RangeStart(RangeEvent),
    /// To range subscribers, after the change.
    RangeEnd(RangeEvent),
    /// To secondary TLBs, under the page-table lock.
    SecondaryTlb(AddrRange<Gva>),
}

impl Notice {
    /// The addresses it is about.
    pub fn range(&self) -> AddrRange<Gva> {
        match self {
            Self::RangeStart(event) | Self::RangeEnd(event) => event.range,
            Self::SecondaryTlb(range) => *range,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RangeStart(event) => write!(f, "range start {event}"),
            Self::RangeEnd(event) => write!(f, "range end {event}"),
            Self::SecondaryTlb(range) => write!(f, "secondary-tlb {range}"),
        }
    }
}

/// Is told of every notification just before it is delivered. It can't change anything.
pub trait Observer: Send + Sync {
    /// `notice` is about to go to the subscribers.
    fn notified(&self, notice: Notice);
}

/// Watches nothing.
impl Observer for () {
    fn notified(&self, _: Notice) {}
}
