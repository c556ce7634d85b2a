//! An interval as its owner holds it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notifier::addr::{AddrRange, Address};

use super::detector::{self, Entered, Inside};
use super::interval::{Deferred, IntervalState, Watched};
use super::seat::lock;
use super::{Space, State};
use crate::faulty::{ContextFault, IntervalFault};
use crate::subject::{Bounds, Extent, Interval, IntervalCallbacks, Intervals, Read, Refused};

impl Intervals for Space {
    fn insert(
        &self,
        extent: Extent,
        callbacks: IntervalCallbacks,
    ) -> Result<Box<dyn Interval>, Refused> {
        let bounds = self.watchable(extent)?;
        let mut state = lock(&self.state);
        if state.exited && !self.has(IntervalFault::DeadSpace) {
            return Err(Refused::Exited);
        }
        let watched = Arc::new(Watched {
            bounds,
            callbacks,
            number: AtomicU64::new(0),
            user: Mutex::new(()),
        });
        self.put_in(&mut state.intervals, &watched);
        let space = self.myself.upgrade().ok_or(Refused::Exited)?;
        Ok(Box::new(Handle { space, watched }))
    }

    fn sequence(&self) -> u64 {
        lock(&self.state).intervals.number
    }
}

impl Space {
    fn watchable(&self, extent: Extent) -> Result<Bounds, Refused> {
        let Extent { start, length } = extent;
        if length == 0 && self.has(IntervalFault::ZeroLength) {
            return Ok(Bounds::new(start, start));
        }
        match AddrRange::from_length(start, length) {
            Ok(range) => Ok(range.into()),
            Err(_) if length > 0 && self.has(IntervalFault::Overflow) => {
                Ok(Bounds::new(start, Address::new(u64::MAX)))
            }
            Err(error) => Err(Refused::Overflow(error.to_string())),
        }
    }

    fn put_in(&self, state: &mut IntervalState, watched: &Arc<Watched>) {
        let mut now = true;
        let number = if state.active == 0 {
            let even = u64::from(!self.has(IntervalFault::InsertIdleEven));
            state.number.wrapping_sub(even)
        } else {
            now = !state.is_odd() || self.has(IntervalFault::InsertOddNow);
            if !self.has(IntervalFault::InsertActiveEven) {
                state.number |= 1;
            }
            state.number
        };
        watched.number.store(number, Ordering::SeqCst);
        if now {
            state.tree.push(Arc::clone(watched));
        } else {
            state.deferred.push(Deferred::Insert(Arc::clone(watched)));
        }
    }

    fn wait_while(&self, condition: impl Fn(&IntervalState) -> bool) {
        let mut state = lock(&self.state);
        while condition(&state.intervals) {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes an interval out; whether that has to be waited for.
    fn take_out(&self, mut guard: MutexGuard<'_, State>, watched: &Arc<Watched>) -> bool {
        let state = &mut guard.intervals;
        let is_it = |deferred: &Deferred| matches!(deferred, Deferred::Insert(other) if Arc::ptr_eq(other, watched));
        if let Some(at) = state.deferred.iter().position(is_it) {
            if !self.has(IntervalFault::DeferredComesBack) {
                state.deferred.remove(at);
            }
            return false;
        }
        if !state.is_odd() {
            state.take_out(watched);
            return false;
        }
        state.deferred.push(Deferred::Remove(Arc::clone(watched)));
        true
    }
}

struct Handle {
    space: Arc<Space>,
    watched: Arc<Watched>,
}

impl Handle {
    fn address(&self) -> usize {
        Arc::as_ptr(&self.watched).addr()
    }

    fn refuse_with_user_lock(&self, fault: ContextFault, what: &str) -> Result<(), Refused> {
        let mine = Inside::UserLock(self.address());
        self.space
            .refuse_unless(fault, what, |inside| inside == mine)
    }
}

impl Interval for Handle {
    fn sequence(&self) -> u64 {
        self.watched.number.load(Ordering::SeqCst)
    }

    fn read_begin(&self) -> Result<Box<dyn Read + '_>, Refused> {
        self.refuse_with_user_lock(ContextFault::ReadUnderUserLock, "beginning a read")?;
        let core = self.space.sequence();
        let begun = {
            let _order = lock(&self.space.state);
            self.sequence()
        };
        let loops = self.space.has(IntervalFault::ReadLoops);
        let all = self.space.has(IntervalFault::ReadWaitsForAll);
        if !self.space.has(IntervalFault::ReadDoesNotWait) {
            self.space
                .wait_while(|state| state.number == begun || all && state.is_odd());
        }
        if loops && begun == core {
            // Time for the next invalidation to begin, for which it then waits too.
            std::thread::sleep(Duration::from_millis(20));
            self.space.wait_while(IntervalState::is_odd);
        }
        Ok(Box::new(Begun {
            handle: self,
            begun,
            ends: lock(&self.space.state).intervals.ends,
        }))
    }

    fn with_user_lock(&self, body: &mut dyn FnMut()) {
        let _guard = lock(&self.watched.user);
        let _inside = Entered::new(Inside::UserLock(self.address()));
        body();
    }

    fn retry_under_another_lock(&self) -> Result<bool, Refused> {
        if !self.space.has(IntervalFault::AnyLockWillDo) {
            let what = "the lock that is held is not this interval's";
            return Err(Refused::Violation(what.into()));
        }
        Ok(self.read_begin()?.check_retry())
    }

    fn remove(&self) -> Result<(), Refused> {
        self.refuse_with_user_lock(ContextFault::RemoveUnderUserLock, "removing an interval")?;
        let space = &self.space;
        let own = |inside: Inside| inside.is_callback_of(space.id);
        let what = "removing an interval in a callback";
        space.refuse_unless(ContextFault::RemoveInCallback, what, own)?;
        if space.has(IntervalFault::RemoveForgets) {
            return Ok(());
        }
        let number = space.sequence();
        let wait = space.take_out(lock(&space.state), &self.watched);
        let never = space.has(IntervalFault::RemoveDoesNotWait) || detector::is_inside(own);
        if wait && !never {
            space.wait_while(|state| state.number == number);
        }
        Ok(())
    }
}

struct Begun<'a> {
    handle: &'a Handle,
    begun: u64,
    /// Ends before it began; only a fault looks at them.
    ends: u64,
}

impl Read for Begun<'_> {
    fn retry(&self, install: &mut dyn FnMut()) -> bool {
        let space = &self.handle.space;
        let locked = !space.has(IntervalFault::RetryWithoutLock);
        let _guard = locked.then(|| lock(&self.handle.watched.user));
        let _inside = Entered::new(Inside::UserLock(self.handle.address()));
        let changed = space.has(IntervalFault::RetryOnAnyChange)
            && lock(&space.state).intervals.ends > self.ends;
        let retry = self.handle.sequence() != self.begun
            || changed
            || space.has(IntervalFault::AlwaysRetry);
        if !retry {
            install();
        }
        retry
    }

    fn check_retry(&self) -> bool {
        self.handle.space.has(IntervalFault::HintAlwaysTrue) || self.handle.sequence() != self.begun
    }
}
