//! The last things that happened, in order.

use std::collections::VecDeque;
use std::fmt;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crate::addr::{Access, AddrRange, Iova, StreamId, SubstreamId};
use crate::contract::{Notice, Step};
use crate::paging::{Change, Leaf, TableChange};
use crate::secondary::{CacheId, CachedTable, FaultKind, Fit, Held, Scope, Structure};

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
    /// A cache keeps a translation, from a walk that began at a step, or as a copy of what another
    /// cache was filled with at a step.
    Filled(CacheId, AddrRange<Iova>, Leaf, Step),
    /// A cache completed an invalidation.
    Invalidated(CacheId, AddrRange<Iova>),
    /// An invalidation command was put into the queue.
    Submitted(Scope),
    /// An invalidation command took so many entries.
    CarriedOut(Scope, u64),
    /// A CMD_SYNC completed what was carried out.
    Synced,
    /// An entry leads to another table, or to none.
    Relinked(TableChange),
    /// A walk went on in a cached table that no entry leads to any more.
    TableUsed(CacheId, Iova, CachedTable),
    /// The configuration of a stream was read from memory.
    Fetched(StreamId, Option<SubstreamId>),
    /// A driver relies on what this structure of a stream says, which is not what is cached.
    ReliedOn(StreamId, Option<SubstreamId>, Structure),
    /// An access was translated by a cached structure that memory no longer agrees with.
    Misconfigured(StreamId, Option<SubstreamId>, Structure),
    /// Hardware marked the page at an address, which was this until then, for an access.
    Updated(Iova, Access, Leaf),
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

/// When and where something was put on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since the oracle began to keep time.
    pub at: Duration,
    /// By which thread.
    pub thread: ThreadId,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}  {}", self.step.0, self.fact)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changing(change) => write!(f, "{change}"),
            Self::Settled(step) => write!(f, "the change of {step} is settled"),
            Self::CalledOff(step, _) => write!(f, "the change of {step} is called off"),
            Self::Notified(notice) => write!(f, "notified: {notice}"),
            Self::Filled(cache, page, leaf, _) => write!(f, "{cache} caches {page}: {leaf}"),
            Self::Invalidated(cache, range) => write!(f, "{cache} has invalidated {range}"),
            Self::Submitted(scope) => write!(f, "command: invalidate {scope}"),
            Self::CarriedOut(scope, removed) => write!(f, "took {removed} entries: {scope}"),
            Self::Synced => f.write_str("CMD_SYNC is complete"),
            Self::Relinked(change) => write!(f, "{change}"),
            Self::TableUsed(cache, iova, table) => {
                write!(f, "{cache}: walk for {iova} by the table at {}", table.next)
            }
            Self::Fetched(stream, _) => write!(f, "configuration of stream {stream} read"),
            Self::ReliedOn(stream, _, structure) => {
                write!(f, "the driver relies on the {structure} of stream {stream}")
            }
            Self::Misconfigured(stream, _, structure) => {
                write!(f, "stream {stream}: access by an old {structure}")
            }
            Self::Updated(iova, access, _) => write!(f, "hardware marks {iova} for a {access}"),
            Self::Used(cache, access, iova, filled) => {
                write!(
                    f,
                    "{cache}: device {access} at {iova} by the entry of {filled}"
                )
            }
            Self::Denied(cache, access, iova, kind, by) => {
                write!(f, "{cache}: device {access} at {iova} refused: {kind}")?;
                by.map_or(Ok(()), |filled| write!(f, " by the entry of {filled}"))
            }
            Self::GaveUp(cache, access, iova) => {
                write!(f, "{cache}: device gives up its {access} at {iova}")
            }
            Self::Marked(value) => write!(f, "guest reports {value}"),
        }
    }
}

/// How many facts are kept to explain a violation with.
const CAPACITY: usize = 1 << 14;

/// As many of the last facts as there is room for.
#[derive(Debug, Default)]
pub(super) struct History {
    records: VecDeque<Record>,
    /// Since when time is kept, if it is.
    clock: Option<Instant>,
    /// Of the last records, as many as there are.
    moments: VecDeque<Moment>,
    last: Step,
}

impl History {
    /// The step of the latest fact.
    pub(super) fn now(&self) -> Step {
        self.last
    }

    /// Adds a fact; the oldest goes if there is no room.
    pub(super) fn add(&mut self, fact: Fact) -> Step {
        if self.records.len() == CAPACITY {
            self.records.pop_front();
        }
        self.keep_moment();
        self.last = Step(self.last.0 + 1);
        let step = self.last;
        self.records.push_back(Record { step, fact });
        step
    }

    /// From now on each fact has its time, counted from `since`.
    pub(super) fn keep_time(&mut self, since: Instant) {
        self.clock = Some(since);
        self.moments.clear();
    }

    fn keep_moment(&mut self) {
        let Some(clock) = self.clock else {
            return;
        };
        if self.moments.len() == CAPACITY {
            self.moments.pop_front();
        }
        let at = clock.elapsed();
        let thread = std::thread::current().id();
        self.moments.push_back(Moment { at, thread });
    }

    /// The facts that have a time, oldest first.
    pub(super) fn timed(&self) -> Vec<(Record, Moment)> {
        let timed = self.records.iter().rev().zip(self.moments.iter().rev());
        let mut timed: Vec<_> = timed.map(|(record, moment)| (*record, *moment)).collect();
        timed.reverse();
        timed
    }

    /// The facts from `step` on, oldest first.
    pub(super) fn since(&self, step: Step) -> impl Iterator<Item = &Record> {
        let first = self.records.partition_point(|record| record.step < step);
        self.records.range(first..)
    }

    /// The fact of this step, if it is still here.
    pub(super) fn at(&self, step: Step) -> Option<&Fact> {
        let record = self.since(step).next()?;
        (record.step == step).then_some(&record.fact)
    }

    /// When the first invalidation that was begun from `since` on and takes what is `held` at `iova`
    /// was complete.
    pub(super) fn completed(&self, since: Step, held: &Held, iova: Iova) -> Option<Step> {
        let mut carried_out = false;
        let complete = |record: &&Record| match record.fact {
            Fact::Invalidated(cache, range) => cache == held.cache && range.contains(iova),
            Fact::CarriedOut(scope, _) => {
                carried_out |= scope.fit(held) == Fit::Covers;
                false
            }
            Fact::Synced => carried_out,
            _ => false,
        };
        self.since(since).find(complete).map(|record| record.step)
    }

    /// Whether facts as old as `step` are still here.
    pub(super) fn reaches(&self, step: Step) -> bool {
        self.records.front().is_some_and(|first| first.step <= step)
    }
}
