//! Who watches an interval, and the lock that its invalidation takes.

use std::ops::{Deref, DerefMut};

use super::super::context::{self, Context, Inside, LockId};
use super::super::{Again, IntervalEvent};
use crate::sync::model::{Mutex, MutexGuard, lock};

/// What an interval's subscriber left for the second pass.
pub enum FirstPass {
    /// Nothing: the invalidation is complete.
    Done,
    /// This completes it. Everybody's first pass runs before, so that what several devices take long
    /// for goes on at the same time. It runs without the user lock, which it may take.
    Finish(Box<dyn FnOnce() + Send>),
}

/// Watches an interval of an address space (Linux: `struct mmu_interval_notifier_ops`).
///
/// The callbacks run with the [`UserLock`] held, and the interval's number is set under it before:
/// what Linux leaves to the callback, to call `mmu_interval_set_seq` always and under the lock that
/// [`retry`](super::Interval::retry) is asked under, can't be forgotten.
pub trait IntervalSubscriber: Send + Sync + 'static {
    /// What the user lock protects: usually what was made from the address space.
    type State: Send + 'static;

    /// Entries of the interval are about to change: what was made from the event's range must be
    /// gone after both passes. It may sleep if the event says so.
    fn invalidate(&self, state: &mut Self::State, event: &IntervalEvent) -> FirstPass;

    /// The same for who can't always do without sleeping; called instead when sleeping is forbidden.
    ///
    /// # Errors
    /// [`Again`] if that is impossible now; then nothing changes.
    fn try_invalidate(
        &self,
        state: &mut Self::State,
        event: &IntervalEvent,
    ) -> Result<FirstPass, Again> {
        Ok(self.invalidate(state, event))
    }
}

/// The lock that invalidations of some intervals take (Linux: "the user lock", `take_lock` in
/// `Documentation/mm/hmm.rst`). Intervals may share one.
#[derive(Default)]
pub struct UserLock<T>(Mutex<T>);

impl<T> UserLock<T> {
    /// An unlocked one.
    pub fn new(state: T) -> Self {
        Self(Mutex::new(state))
    }

    /// Locks it. Whoever holds it must not begin a read of an interval that uses it, nor remove one,
    /// nor begin an invalidation of one that may sleep.
    ///
    /// # Panics
    /// If this thread holds it already.
    #[track_caller]
    pub fn lock(&self) -> UserGuard<'_, T> {
        context::not_user_locked(self.id());
        UserGuard {
            lock: self.id(),
            guard: lock(&self.0),
            _inside: Inside::new(Context::UserLock(self.id())),
        }
    }

    /// Locks it if nobody has.
    #[track_caller]
    pub(super) fn try_lock(&self) -> Option<UserGuard<'_, T>> {
        use std::sync::TryLockError::{Poisoned, WouldBlock};

        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(Poisoned(poisoned)) => poisoned.into_inner(),
            Err(WouldBlock) => return None,
        };
        Some(UserGuard {
            lock: self.id(),
            guard,
            _inside: Inside::new(Context::UserLock(self.id())),
        })
    }

    pub(super) fn id(&self) -> LockId {
        LockId(std::ptr::from_ref(self).addr())
    }
}

/// The user lock, held.
#[must_use = "the lock is released when this is dropped"]
pub struct UserGuard<'a, T> {
    lock: LockId,
    guard: MutexGuard<'a, T>,
    _inside: Inside,
}

impl<T> UserGuard<'_, T> {
    pub(super) fn is_of(&self, lock: &UserLock<T>) -> bool {
        self.lock == lock.id()
    }
}

impl<T> Deref for UserGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for UserGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
