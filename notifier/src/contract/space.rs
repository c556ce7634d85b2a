//! The address space: a page table behind its lock, and who follows it.

use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex};

use super::context;
use super::core::{Core, Notifications};
use super::interval::{Interval, IntervalSubscriber, UserLock};
use super::{
    GetError, Member, Mutation, Observer, PageTableGuard, RangeSubscriber, RefusingSubscriber,
    RegisterError, SecondaryTlbSubscriber, Shared, Singleton, Subscription,
};
use crate::addr::{AddrRange, Gva};
use crate::sync::lock;

/// A primary MMU's address space with page table `P` (Linux: `mm_struct`).
///
/// The page table can be reached only through the page-table lock, so whoever changes it holds the
/// lock that proves it. Whoever invalidates ranges does so in a [`Mutation`].
pub struct AddressSpace<P> {
    pub(super) core: Arc<Core>,
    page_table: Mutex<P>,
}

/// Dropping an address space ends it, before its page table goes.
impl<P> Drop for AddressSpace<P> {
    fn drop(&mut self) {
        self.core.exit();
    }
}

impl<P> AddressSpace<P> {
    /// An address space without subscribers.
    pub fn new(page_table: P) -> Self {
        Self::with(page_table, None)
    }

    /// One of which `observer` sees every notification, and which counts them.
    pub fn observed(page_table: P, observer: Arc<dyn Observer>) -> Self {
        Self::with(page_table, Some(observer))
    }

    fn with(page_table: P, observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            core: Arc::new(Core::new(observer)),
            page_table: Mutex::new(page_table),
        }
    }

    /// Takes the page-table lock (Linux: PTL). Who also invalidates ranges takes it through the
    /// [`Mutation`] or [`Window`](super::Window) instead.
    ///
    /// # Panics
    /// If this thread holds it already.
    #[track_caller]
    pub fn lock_page_table(&self) -> PageTableGuard<'_, P> {
        context::not_page_table_locked(self.core.id);
        PageTableGuard::new(&self.core, lock(&self.page_table))
    }

    /// Begins a mutation. From here until it is dropped nobody's registration is completed who has
    /// not seen all of it (Linux: the mmap lock or the reverse-mapping locks, one of which is held
    /// around every start/end pair).
    ///
    /// # Panics
    /// If called by a callback of a subscriber of this address space.
    #[track_caller]
    pub fn mutate(self: &Arc<Self>) -> Mutation<P> {
        Mutation::new(Arc::clone(self))
    }

    /// Tells secondary TLBs that entries of `range`, or tables that lead to them, changed, where no
    /// page-table lock of this address space protects those (Linux: `iommu_sva_invalidate_kva_range`,
    /// for the kernel's own half). Everywhere else use
    /// [`PageTableGuard::invalidate_secondary_tlbs`].
    #[track_caller]
    pub fn invalidate_unlocked(&self, range: AddrRange<Gva>) {
        // Pairs with the one at the end of registration: either who joined sees the entry that the
        // caller wrote, or this sees who joined.
        fence(Ordering::SeqCst);
        self.core.invalidate_secondary_tlbs(range);
    }

    /// Adds a subscriber with page tables of its own. On return every invalidation that it was not
    /// told of has ended.
    ///
    /// # Errors
    /// [`RegisterError`] if the address space has ended.
    ///
    /// # Panics
    /// If this thread has a mutation of this address space, holds a page-table lock, or runs a
    /// callback of it: it would wait for itself.
    #[track_caller]
    pub fn register_ranges(
        &self,
        subscriber: Arc<dyn RangeSubscriber>,
    ) -> Result<Subscription, RegisterError> {
        self.register(Member::Range(subscriber))
    }

    /// As [`register_ranges`](Self::register_ranges), for one that may refuse.
    ///
    /// # Errors
    /// [`RegisterError`] if the address space has ended.
    ///
    /// # Panics
    /// As [`register_ranges`](Self::register_ranges).
    #[track_caller]
    pub fn register_refusing(
        &self,
        subscriber: Arc<dyn RefusingSubscriber>,
    ) -> Result<Subscription, RegisterError> {
        self.register(Member::Refusing(subscriber))
    }

    /// Adds a secondary TLB. It must be empty: what it cached before is not invalidated.
    ///
    /// # Errors
    /// [`RegisterError`] if the address space has ended.
    ///
    /// # Panics
    /// As [`register_ranges`](Self::register_ranges).
    #[track_caller]
    pub fn register_secondary_tlb(
        &self,
        subscriber: Arc<dyn SecondaryTlbSubscriber>,
    ) -> Result<Subscription, RegisterError> {
        self.register(Member::SecondaryTlb(subscriber))
    }

    /// Adds a subscriber of any kind.
    ///
    /// # Errors
    /// [`RegisterError`] if the address space has ended.
    ///
    /// # Panics
    /// As [`register_ranges`](Self::register_ranges).
    #[track_caller]
    pub fn register(&self, member: Member) -> Result<Subscription, RegisterError> {
        let seat = self.core.join(member, Box::new(|| ()))?;
        self.let_page_table_holders_finish();
        Ok(Subscription::new(&self.core, seat))
    }

    /// The one `T` of this address space, which `alloc` makes if there is none (Linux:
    /// `mmu_notifier_get`). It stays until the last [`Shared`] is dropped.
    ///
    /// # Errors
    /// [`GetError`] if the address space has ended, if there are too many users already, or if
    /// `alloc` fails. Nothing is left behind then; what `alloc` made is freed.
    ///
    /// # Panics
    /// As [`register_ranges`](Self::register_ranges).
    #[track_caller]
    pub fn get<T: Singleton, E>(
        &self,
        alloc: impl FnOnce() -> Result<T, E>,
    ) -> Result<Shared<T>, GetError<E>> {
        let shared = Shared::get(&self.core, alloc)?;
        self.let_page_table_holders_finish();
        Ok(shared)
    }

    /// Watches the invalidations that overlap `range`. `subscriber` is told of them with `lock`
    /// held, which it may share with other intervals.
    ///
    /// # Errors
    /// [`RegisterError`] if the address space has ended.
    ///
    /// # Panics
    /// For the first interval of an address space as [`register_ranges`](Self::register_ranges);
    /// for each if called by a callback.
    #[track_caller]
    pub fn insert_interval<S: IntervalSubscriber>(
        &self,
        range: AddrRange<Gva>,
        lock: &Arc<UserLock<S::State>>,
        subscriber: S,
    ) -> Result<Interval<S>, RegisterError> {
        Interval::insert(&self.core, range, Arc::clone(lock), subscriber)
    }

    /// Ends the address space (Linux: `exit_mmap` after the last user has gone): everybody who is
    /// registered is released and told nothing more. The caller frees pages and tables only after
    /// this has returned. Whoever calls it again, or while another does, returns at once.
    ///
    /// # Panics
    /// If this thread holds a page-table lock or runs a callback of this address space.
    #[track_caller]
    pub fn exit(&self) {
        self.core.exit();
    }

    /// The number of the interval side (Linux: `invalidate_seq`): even while no interval is being
    /// invalidated. For traces and tests.
    pub fn interval_sequence(&self) -> u64 {
        self.core.intervals.number()
    }

    /// What was sent so far; only an observed address space counts.
    pub fn notifications(&self) -> Option<Notifications> {
        self.core.notifications()
    }

    /// Who locked the page table before has either seen the newest roster, or everything that it
    /// wrote is seen by who comes after.
    fn let_page_table_holders_finish(&self) {
        drop(lock(&self.page_table));
    }
}
