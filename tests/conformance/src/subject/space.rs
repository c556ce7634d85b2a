//! The traits for the groups of rules that are about address spaces and subscribers.

use super::{Bounds, Callbacks, Event, Extent, IntervalCallbacks, Refused};

/// Somebody's registration.
pub trait Registration: Send {
    /// Ends it (Linux: `mmu_notifier_unregister`).
    ///
    /// # Errors
    /// [`Refused::Violation`] in a context in which it must not be called.
    fn unregister(self: Box<Self>) -> Result<(), Refused>;
}

/// An address space with nobody registered: ranges, events, and secondary TLBs. The least that can
/// be tested, and part of all that follow.
pub trait Ranges: Send + Sync {
    /// Registers a subscriber (Linux: `mmu_notifier_register`).
    ///
    /// # Errors
    /// [`Refused`] if the contract forbids it.
    fn register(&self, callbacks: Callbacks) -> Result<Box<dyn Registration>, Refused>;

    /// Start, `body`, end: what the caller changes, it changes in `body`, which may call this again
    /// (nested) while other threads do too.
    ///
    /// # Errors
    /// [`Refused`] if the contract forbids it; then `body` was not called.
    fn invalidate(
        &self,
        event: Event,
        bounds: Bounds,
        body: &mut dyn FnMut(),
    ) -> Result<(), Refused>;

    /// Tries to send an end that belongs to no start.
    ///
    /// # Errors
    /// [`Refused`] is what is expected.
    fn end_without_start(&self, event: Event, bounds: Bounds) -> Result<(), Refused>;

    /// Runs `body` with the page-table lock held.
    ///
    /// # Errors
    /// [`Refused::Violation`] if the thread must not take it now.
    fn with_page_table(&self, body: &mut dyn FnMut(&dyn LockedTable)) -> Result<(), Refused>;

    /// Tells secondary TLBs of a change, from where no page-table lock is held.
    ///
    /// # Errors
    /// [`Refused`] if the contract forbids it.
    fn invalidate_unlocked(&self, bounds: Bounds) -> Result<(), Refused>;
}

/// The page-table lock, held.
pub trait LockedTable {
    /// Tells secondary TLBs of a change (Linux: `mmu_notifier_arch_invalidate_secondary_tlbs`).
    ///
    /// # Errors
    /// [`Refused`] if the contract forbids it.
    fn invalidate_secondary_tlbs(&self, bounds: Bounds) -> Result<(), Refused>;
}

/// Starts that must not sleep.
pub trait Refusals: Ranges {
    /// As [`Ranges::invalidate`], but nobody may sleep (Linux:
    /// `mmu_notifier_invalidate_range_start_nonblock`).
    ///
    /// # Errors
    /// [`Refused::Again`] if a subscriber refused; then `body` was not called and no end is owed.
    fn try_invalidate(
        &self,
        event: Event,
        bounds: Bounds,
        body: &mut dyn FnMut(),
    ) -> Result<(), Refused>;
}

/// The end of an address space.
pub trait Exit: Send + Sync {
    /// Ends it (Linux: `exit_mmap`, `__mmu_notifier_release`).
    ///
    /// # Errors
    /// [`Refused::Violation`] in a context in which it must not be called.
    fn exit(&self) -> Result<(), Refused>;
}

/// Coming and going.
pub trait Lifetime: Ranges + Exit {
    /// The one subscriber with these operations in this address space, made by `alloc` if there is
    /// none (Linux: `mmu_notifier_get`).
    ///
    /// # Errors
    /// [`Refused`] if there can be no more users, if `alloc` fails, or if it can't be registered.
    fn get(
        &self,
        operations: Operations,
        alloc: &mut dyn FnMut() -> Result<Callbacks, AllocFailed>,
    ) -> Result<Box<dyn Shared>, Refused>;

    /// How many users one shared subscriber can have. A case counts up to it, so an implementation
    /// with a large one offers address spaces with a smaller one here.
    fn user_limit(&self) -> u64;
}

/// Which operations a shared subscriber has (Linux: the pointer to them, which is only compared).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operations {
    /// Some.
    One,
    /// Others.
    Two,
}

/// A shared subscriber could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocFailed;

/// A user's hold on a shared subscriber.
pub trait Shared: Send + Sync {
    /// Something that is equal for two holds on one subscriber, and for no others that live.
    fn object(&self) -> usize;

    /// Gives it back (Linux: `mmu_notifier_put`).
    ///
    /// # Errors
    /// [`Refused::Violation`] in a context in which it must not be called.
    fn put(self: Box<Self>) -> Result<(), Refused>;
}

/// Which question about the age of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// `clear_flush_young`
    ClearFlush,
    /// `clear_young`
    Clear,
    /// `test_young`
    Test,
}

/// Was it used?
pub trait Aging: Ranges {
    /// Asks the subscribers, with the page-table lock held.
    ///
    /// # Errors
    /// [`Refused`] if the contract forbids it.
    fn age(&self, question: Age, bounds: Bounds) -> Result<bool, Refused>;
}

/// What must not be done where.
pub trait Context: Ranges {
    /// States that the caller may sleep (Linux: `might_sleep`).
    ///
    /// # Errors
    /// [`Refused::Violation`], or a panic, if it may not.
    fn might_sleep(&self) -> Result<(), Refused>;

    /// Tries to install or widen an entry of a secondary TLB; called inside an invalidation
    /// callback.
    ///
    /// # Errors
    /// [`Refused`] is what is expected.
    fn install(&self, bounds: Bounds) -> Result<(), Refused>;
}

/// Intervals.
pub trait Intervals: Refusals + Exit {
    /// Watches an interval (Linux: `mmu_interval_notifier_insert`).
    ///
    /// # Errors
    /// [`Refused`] if there is no such interval, or the address space has ended.
    fn insert(
        &self,
        extent: Extent,
        callbacks: IntervalCallbacks,
    ) -> Result<Box<dyn Interval>, Refused>;

    /// The number of the interval side (Linux: `invalidate_seq`).
    fn sequence(&self) -> u64;
}

/// An interval that is watched.
pub trait Interval: Send + Sync {
    /// Its own number (Linux: `interval_sub->invalidate_seq`).
    fn sequence(&self) -> u64;

    /// Begins a read (Linux: `mmu_interval_read_begin`).
    ///
    /// # Errors
    /// [`Refused::Violation`] in a context in which it must not be called.
    fn read_begin(&self) -> Result<Box<dyn Read + '_>, Refused>;

    /// Runs `body` with the interval's user lock held.
    fn with_user_lock(&self, body: &mut dyn FnMut());

    /// Begins a read, and then tries to ask whether it has to be repeated with another lock held than
    /// the one that this interval's invalidation takes.
    ///
    /// # Errors
    /// [`Refused`] is what is expected.
    fn retry_under_another_lock(&self) -> Result<bool, Refused>;

    /// Ends the watching (Linux: `mmu_interval_notifier_remove`); called at most once.
    ///
    /// # Errors
    /// [`Refused::Violation`] in a context in which it must not be called.
    fn remove(&self) -> Result<(), Refused>;
}

/// A read that was begun.
pub trait Read {
    /// Whether it has to be repeated, asked with the user lock held (Linux:
    /// `mmu_interval_read_retry`). If not, `install` was run with the lock still held.
    fn retry(&self, install: &mut dyn FnMut()) -> bool;

    /// The hint without the lock (Linux: `mmu_interval_check_retry`).
    fn check_retry(&self) -> bool;
}
