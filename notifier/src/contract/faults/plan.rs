//! What is to go wrong, and when.

use std::num::NonZeroU32;

use super::Kind;
use crate::contract::Event;

/// What happens to a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It is not delivered.
    Drop,
    /// It is delivered later, in its order.
    Delay(Until),
    /// It loses this many 4 KiB pages at its end. One that has no more than that is left alone.
    Shorten(u64),
    /// It gains this many 4 KiB pages at each end. Legal: whoever is told too much may do too much.
    Widen(u64),
    /// It is delivered twice.
    Duplicate,
    /// It is delivered after the next one.
    Reorder,
    /// It is delivered under a wrong label.
    MisTag(MisTag),
}

/// When a delayed notification is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Until {
    /// Just before the next one, whatever that is.
    Next,
    /// At [`Faulty::flush`](super::Faulty::flush).
    Flush,
}

/// A wrong label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MisTag {
    /// The range lies this many 4 KiB pages higher. One that would leave the address space is left
    /// alone.
    Pages(i64),
    /// The reason is this one. A secondary-TLB invalidation has none and is left alone.
    Event(Event),
    /// It goes to the subscriber of another address space: a wrong ASID
    /// ([`Faulty::beside`](super::Faulty::beside)). Without another one it is left alone.
    AddressSpace,
}

/// Which notifications of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// This one; the first of its kind is 1.
    Nth(u64),
    /// All.
    Always,
    /// One in so many on average, as the seed has it.
    OneIn(NonZeroU32),
}

/// What is to go wrong with the notifications to one subscriber. The first rule that is for a
/// notification and can be applied to it is; others are not looked at.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) seed: u64,
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) when: When,
    pub(super) fault: Fault,
}

impl Plan {
    /// Nothing goes wrong, whatever the seed.
    pub fn new(seed: u64) -> Self {
        let rules = Vec::new();
        Self { seed, rules }
    }

    /// Adds a rule: `fault` happens to these notifications of this kind.
    #[must_use]
    pub fn inject(mut self, kind: Kind, when: When, fault: Fault) -> Self {
        self.rules.push(Rule { kind, when, fault });
        self
    }
}
