//! An interval, as its owner holds it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::context::SpaceId;
use super::super::core::Core;
use super::super::{RegisterError, context};
use super::intervals::Id;
use super::watcher::{Watch, Watcher};
use super::{IntervalSubscriber, UserGuard, UserLock};
use crate::addr::{AddrRange, Gva};

/// An interval that is watched. Dropping it ends that: on return no callback of it runs or will run.
/// It waits for invalidations that are open and were told to the interval.
///
/// # Panics
/// Dropping panics if the thread has a mutation of the address space, holds the interval's user lock
/// or a page-table lock, or runs a callback of the address space: it might wait for itself.
#[must_use = "dropping this removes the interval"]
pub struct Interval<S: IntervalSubscriber> {
    core: Arc<Core>,
    watcher: Arc<Watcher<S>>,
    range: AddrRange<Gva>,
    id: Id,
}

/// When a read began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "whether the read was overtaken has to be asked"]
pub struct ReadSequence {
    number: u64,
    interval: Id,
    space: SpaceId,
}

impl<S: IntervalSubscriber> Interval<S> {
    #[track_caller]
    pub(in super::super) fn insert(
        core: &Arc<Core>,
        range: AddrRange<Gva>,
        lock: Arc<UserLock<S::State>>,
        subscriber: S,
    ) -> Result<Self, RegisterError> {
        context::not_in_callback(core.id);
        adopt(core)?;
        let watcher = Arc::new(Watcher::new(subscriber, lock));
        let id = core.while_going(|| core.intervals.insert(range, watcher.clone()))?;
        Ok(Self {
            core: Arc::clone(core),
            watcher,
            range,
            id,
        })
    }

    /// The addresses that are watched, half-open.
    pub fn range(&self) -> AddrRange<Gva> {
        self.range
    }

    /// The subscriber.
    pub fn subscriber(&self) -> &S {
        &self.watcher.subscriber
    }

    /// The interval's own number (Linux: `interval_sub->invalidate_seq`), always odd. For traces and
    /// tests.
    pub fn sequence(&self) -> u64 {
        self.watcher.number()
    }

    /// Locks the user lock.
    #[track_caller]
    pub fn lock(&self) -> UserGuard<'_, S::State> {
        self.watcher.lock.lock()
    }

    /// Begins a read of the page table for this interval (Linux: `mmu_interval_read_begin`). Waits
    /// for the invalidations that are open.
    ///
    /// # Panics
    /// As dropping the interval.
    #[track_caller]
    pub fn read_begin(&self) -> ReadSequence {
        context::might_wait_for(self.core.id);
        ReadSequence {
            number: self.core.intervals.read_begin(&*self.watcher),
            interval: self.id,
            space: self.core.id,
        }
    }

    /// Whether what was read since `begun` must not be used: an invalidation came between (Linux:
    /// `mmu_interval_read_retry`). If not, it may be used for as long as the user lock is held, and
    /// what is made from it stays good until the next invalidation takes it away.
    ///
    /// # Panics
    /// If `guard` is of another lock than this interval's, or the read was begun for another interval.
    #[track_caller]
    pub fn retry(&self, guard: &UserGuard<'_, S::State>, begun: ReadSequence) -> bool {
        assert!(
            guard.is_of(&self.watcher.lock),
            "the lock that is held is not the one that this interval's invalidation takes"
        );
        self.check_retry(begun)
    }

    /// As [`retry`](Self::retry) without the lock: `true` is certain, `false` is not (Linux:
    /// `mmu_interval_check_retry`).
    ///
    /// # Panics
    /// If the read was begun for another interval.
    #[track_caller]
    pub fn check_retry(&self, begun: ReadSequence) -> bool {
        assert!(
            begun.interval == self.id && begun.space == self.core.id,
            "the read was begun for another interval"
        );
        self.watcher.number() != begun.number
    }
}

/// Makes dispatch look at intervals, the first time that there is one.
#[track_caller]
fn adopt(core: &Core) -> Result<(), RegisterError> {
    let adopted = &core.intervals.adopted;
    if adopted.load(Ordering::Acquire) {
        return Ok(());
    }
    context::might_wait_for(core.id);
    let pending = core.while_going(|| core.registry.add_intervals())?;
    core.registry.wait(pending);
    adopted.store(true, Ordering::Release);
    Ok(())
}

impl<S: IntervalSubscriber> Drop for Interval<S> {
    fn drop(&mut self) {
        context::might_wait_for(self.core.id);
        self.core.intervals.remove(self.id);
    }
}
