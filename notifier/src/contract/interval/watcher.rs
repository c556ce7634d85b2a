//! An interval's subscriber with its lock and its number, whatever its type.

use std::sync::Arc;

use super::super::{Again, Blocking, IntervalEvent};
use super::{FirstPass, IntervalSubscriber, UserLock};
use crate::sync::model::{AtomicU64, Ordering};

pub(in super::super) struct Watcher<S: IntervalSubscriber> {
    pub(in super::super) subscriber: S,
    pub(in super::super) lock: Arc<UserLock<S::State>>,
    /// Written under the user lock, or under the lock of all intervals before anybody sees it.
    number: AtomicU64,
}

impl<S: IntervalSubscriber> Watcher<S> {
    pub(in super::super) fn new(subscriber: S, lock: Arc<UserLock<S::State>>) -> Self {
        Self {
            subscriber,
            lock,
            number: AtomicU64::new(1),
        }
    }
}

/// What the set of intervals needs of a watcher.
pub(in super::super) trait Watch: Send + Sync {
    fn number(&self) -> u64;

    fn set_number(&self, number: u64);

    /// Takes the user lock, sets the number, and tells the subscriber.
    fn invalidate(&self, event: &IntervalEvent, number: u64) -> Result<FirstPass, Again>;
}

impl<S: IntervalSubscriber> Watch for Watcher<S> {
    fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Release);
    }

    fn invalidate(&self, event: &IntervalEvent, number: u64) -> Result<FirstPass, Again> {
        match event.blocking() {
            Blocking::Allowed => {
                let mut state = self.lock.lock();
                self.set_number(number);
                Ok(self.subscriber.invalidate(&mut state, event))
            }
            Blocking::Forbidden => {
                let mut state = self.lock.try_lock().ok_or(Again)?;
                self.set_number(number);
                self.subscriber.try_invalidate(&mut state, event)
            }
        }
    }
}
