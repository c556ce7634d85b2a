//! The last things that happened, in order.

use std::collections::VecDeque;
use std::fmt;

use crate::addr::{Access, AddrRange, Iova};
use crate::contract::{Notice, Step};
use crate::paging::{Change, Leaf};
use crate::secondary::{CacheId, FaultKind};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An entry is about to change.
    Changing(Change),
    /// The code that made the change of this step goes on.
    Settled(Step),
    /// The changes from one step to another (inclusive) were called off.
    CalledOff(Step, Step),
    /// A notification was sent.
    Notified(Notice),
    /// A cache keeps a translation.
    Filled(CacheId, AddrRange<Iova>, Leaf),
    /// A cache completed an invalidation.
    Invalidated(CacheId, AddrRange<Iova>),
    /// An access was made by a translation cached at a step.
    Used(CacheId, Access, Iova, Step),
    /// An access was refused, by the entry cached at a step if by an entry.
    Denied(CacheId, Access, Iova, FaultKind, Option<Step>),
    /// A device gave up.
    GaveUp(CacheId, Access, Iova),
    /// Somebody marked this point.
    Marked(u32),
}

/// A fact and its place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place.
    pub step: Step,
    /// What happened.
    pub fact: Fact,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}  ", self.step.0)?;
        match &self.fact {
            Fact::Changing(change) => write!(f, "{change}"),
            Fact::Settled(step) => write!(f, "the change of {step} is settled"),
            Fact::CalledOff(step, _) => write!(f, "the change of {step} is called off"),
            Fact::Notified(notice) => write!(f, "notified: {notice}"),
            Fact::Filled(cache, page, leaf) => write!(f, "{cache} caches {page}: {leaf}"),
            Fact::Invalidated(cache, range) => write!(f, "{cache} has invalidated {range}"),
            Fact::Used(cache, access, iova, filled) => {
                write!(
                    f,
                    "{cache}: device {access} at {iova} by the entry of {filled}"
                )
            }
            Fact::Denied(cache, access, iova, kind, by) => {
                write!(f, "{cache}: device {access} at {iova} refused: {kind}")?;
                by.map_or(Ok(()), |filled| write!(f, " by the entry of {filled}"))
            }
            Fact::GaveUp(cache, access, iova) => {
                write!(f, "{cache}: device gives up its {access} at {iova}")
            }
            Fact::Marked(value) => write!(f, "guest reports {value}"),
        }
    }
}

/// As many of the last facts as there is room for.
#[derive(Debug)]
pub(super) struct History {
    records: VecDeque<Record>,
    capacity: usize,
    last: Step,
}

impl History {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            records: VecDeque::new(),
            capacity: capacity.max(1),
            last: Step::default(),
        }
    }

    /// The step of the latest fact.
    pub(super) fn now(&self) -> Step {
        self.last
    }

    /// Adds a fact; the oldest goes if there is no room.
    pub(super) fn add(&mut self, fact: Fact) -> Step {
        if self.records.len() == self.capacity {
            self.records.pop_front();
        }
        self.last = Step(self.last.0 + 1);
        let step = self.last;
        self.records.push_back(Record { step, fact });
        step
    }

    /// The facts from `step` on, oldest first.
    pub(super) fn since(&self, step: Step) -> impl Iterator<Item = &Record> {
        let first = self.records.partition_point(|record| record.step < step);
        self.records.range(first..)
    }

    /// Whether facts as old as `step` are still here.
    pub(super) fn reaches(&self, step: Step) -> bool {
        self.records.front().is_some_and(|first| first.step <= step)
    }
}
