//! The interval side: its number, who is in it, and who is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use super::Space;
use super::detector::Entered;
use super::seat::lock;
use crate::faulty::{Fault, IntervalFault, RefusalFault};
use crate::subject::{Answer, Blocking, Bounds, Change, Event, IntervalCallbacks, Refused};

pub(super) struct IntervalState {
    pub(super) number: u64,
    pub(super) active: u64,
    pub(super) tree: Vec<Arc<Watched>>,
    pub(super) deferred: Vec<Deferred>,
    /// How often an end has come; only a fault looks at it.
    pub(super) ends: u64,
}

pub(super) enum Deferred {
    Insert(Arc<Watched>),
    Remove(Arc<Watched>),
}

pub(super) struct Watched {
    pub(super) bounds: Bounds,
    pub(super) callbacks: IntervalCallbacks,
    pub(super) number: AtomicU64,
    pub(super) user: Mutex<()>,
}

type Finish = Box<dyn FnOnce() + Send>;

/// What a window's start left for its end; only a fault leaves anything.
#[derive(Default)]
pub(super) struct Told {
    late: Mutex<Vec<Finish>>,
}

impl IntervalState {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let zero = fault == Some(IntervalFault::StartsAtZero.into());
        Self {
            number: if zero { 0 } else { 2 },
            active: 0,
            tree: Vec::new(),
            deferred: Vec::new(),
            ends: 0,
        }
    }

    pub(super) fn is_odd(&self) -> bool {
        self.number & 1 == 1
    }

    fn catch_up(&mut self) {
        for deferred in std::mem::take(&mut self.deferred) {
            match deferred {
                Deferred::Insert(watched) => self.tree.push(watched),
                Deferred::Remove(gone) => self.take_out(&gone),
            }
        }
    }

    pub(super) fn take_out(&mut self, gone: &Arc<Watched>) {
        self.tree.retain(|watched| !Arc::ptr_eq(watched, gone));
    }
}

impl Space {
    /// Opens the interval side and tells those whom it concerns.
    pub(super) fn tell_intervals(&self, told: &Told, change: Change) -> Result<(), Refused> {
        let (watched, number) = self.open_intervals(change.bounds);
        let mut finishes: Vec<Finish> = Vec::new();
        let mut outcome = Ok(());
        let mut all = true;
        for one in &watched {
            match self.tell_interval(one, change, number) {
                Answer::Done => all = false,
                Answer::Finish(finish) if self.has(IntervalFault::FinishAtOnce) => finish(),
                Answer::Finish(finish) => finishes.push(finish),
                Answer::Refuse if change.blocking == Blocking::Allowed => {}
                Answer::Refuse => {
                    outcome = Err(Refused::Again);
                    if !self.has(RefusalFault::IntervalsGoOn) {
                        break;
                    }
                }
            }
        }
        self.finish(told, change, finishes, all, outcome.is_err());
        if outcome.is_err() && !self.has(RefusalFault::StaysOdd) {
            self.end_intervals(told);
        }
        outcome
    }

    fn finish(
        &self,
        told: &Told,
        change: Change,
        mut finishes: Vec<Finish>,
        all: bool,
        refused: bool,
    ) {
        let lost = refused && self.has(RefusalFault::FinishesLost)
            || !all && self.has(IntervalFault::FinishOnlyIfAll);
        if lost {
            return;
        }
        if self.has(IntervalFault::FinishAtEnd) {
            lock(&told.late).append(&mut finishes);
        }
        if self.has(IntervalFault::FinishReversed) {
            finishes.reverse();
        }
        for finish in finishes {
            let _inside = Entered::new(self.inside(change.blocking));
            finish();
        }
    }

    fn open_intervals(&self, bounds: Bounds) -> (Vec<Arc<Watched>>, u64) {
        let state = &mut lock(&self.state).intervals;
        let touching = self.has(IntervalFault::TouchingTold);
        let hit = |watched: &&Arc<Watched>| {
            let end = watched.bounds.end;
            watched.bounds.overlaps(bounds) || touching && end == bounds.start
        };
        let watched: Vec<_> = state.tree.iter().filter(hit).cloned().collect();
        state.active += 1;
        let concerns = !watched.is_empty() || self.has(IntervalFault::OddWithoutOverlap);
        if self.has(IntervalFault::EveryStartAdvances) && state.is_odd() {
            state.number += 2;
        }
        if concerns && !self.has(IntervalFault::StaysEven) {
            state.number |= 1;
        }
        (watched, state.number)
    }

    fn tell_interval(&self, watched: &Arc<Watched>, change: Change, number: u64) -> Answer {
        let guard = match change.blocking {
            _ if self.has(IntervalFault::NoUserLock) => None,
            Blocking::Allowed => Some(lock(&watched.user)),
            Blocking::Forbidden if self.has(RefusalFault::WaitsForUserLock) => {
                Some(lock(&watched.user))
            }
            Blocking::Forbidden => match watched.user.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => return Answer::Refuse,
            },
        };
        if !self.has(IntervalFault::NumberNotSet) {
            watched.number.store(number, Ordering::SeqCst);
        }
        let _inside = Entered::new(self.inside(change.blocking));
        let answer = (watched.callbacks.invalidate)(change);
        drop(guard);
        answer
    }

    pub(super) fn end_intervals(&self, told: &Told) {
        for finish in lock(&told.late).drain(..) {
            finish();
        }
        let mut guard = lock(&self.state);
        let state = &mut guard.intervals;
        state.active -= 1;
        state.ends += 1;
        let early = self.has(IntervalFault::FirstEndWakes);
        if (state.active == 0 || early) && state.is_odd() {
            match self.has(IntervalFault::EndGoesBack) {
                true => state.number -= 1,
                false => state.number += 1,
            }
            state.catch_up();
        }
        drop(guard);
        self.changed.notify_all();
    }

    /// Tells every interval that the address space ends.
    pub(super) fn release_intervals(&self) {
        let change = Change::blockable(Event::Release, Bounds::ALL);
        if self.has(IntervalFault::ReleaseToRanges) {
            let seats = lock(&self.state).seats.clone();
            for seat in seats {
                self.call(&seat, self.inside(change.blocking), |callbacks| {
                    callbacks
                        .range_start
                        .as_ref()
                        .map(|start| (start.call)(change))
                });
            }
        }
        if self.has(IntervalFault::NoReleaseEvent) {
            return;
        }
        let told = Told::default();
        if self.tell_intervals(&told, change).is_ok() {
            self.end_intervals(&told);
        }
    }
}
