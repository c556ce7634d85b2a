//! The address space: page-table lock, subscribers, dispatch.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use super::{Event, Notice, Observer, RangeEvent, RangeSubscriber, SecondaryTlbSubscriber};
use crate::addr::{AddrRange, Gva};
use crate::sync;

/// A primary MMU's address space with page table `P` (Linux: `mm_struct`).
///
/// The page table can be reached only through [`lock_page_table`](Self::lock_page_table), so
/// whoever changes it holds the lock that proves it.
pub struct AddressSpace<P> {
    page_table: Mutex<P>,
    ranges: Subscribers<dyn RangeSubscriber>,
    tlbs: Subscribers<dyn SecondaryTlbSubscriber>,
    next_id: AtomicU64,
    counters: Counters,
    observer: Arc<dyn Observer>,
}

/// One family's subscribers, oldest first, each with the number it was given.
type Subscribers<S> = RwLock<Vec<(u64, Arc<S>)>>;

/// How many notifications an address space has sent. Each counts once, however many subscribers
/// received it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notifications {
    /// Range starts.
    pub range_start: u64,
    /// Range ends.
    pub range_end: u64,
    /// Secondary-TLB invalidations.
    pub secondary_tlb: u64,
}

#[derive(Default)]
struct Counters {
    range_start: AtomicU64,
    range_end: AtomicU64,
    secondary_tlb: AtomicU64,
}

impl<P> AddressSpace<P> {
    /// An address space without subscribers. `observer` sees every notification.
    pub fn new(page_table: P, observer: Arc<dyn Observer>) -> Self {
        Self {
            page_table: Mutex::new(page_table),
            ranges: RwLock::default(),
            tlbs: RwLock::default(),
            next_id: AtomicU64::new(0),
            counters: Counters::default(),
            observer,
        }
    }

    /// Takes the page-table lock (Linux: PTL).
    pub fn lock_page_table(&self) -> PageTableGuard<'_, P> {
        PageTableGuard {
            space: self,
            page_table: sync::lock(&self.page_table),
        }
    }

    /// Tells range subscribers that `range` is about to change, and on drop of the result that it
    /// has. Call it before taking the page-table lock, drop it after releasing it: subscribers may
    /// sleep in both.
    pub fn invalidate_range(
        self: &Arc<Self>,
        event: Event,
        range: AddrRange<Gva>,
    ) -> RangeInvalidation<P> {
        let event = RangeEvent { event, range };
        let subscribers = sync::read(&self.ranges);
        let horizon = self.next_id.load(Ordering::Acquire);
        self.counters.range_start.fetch_add(1, Ordering::Relaxed);
        self.observer.notified(Notice::RangeStart(event));
        for (_, subscriber) in subscribers.iter() {
            subscriber.invalidate_range_start(&event);
        }
        drop(subscribers);
        RangeInvalidation {
            space: Arc::clone(self),
            event,
            horizon,
        }
    }

    /// Adds a range subscriber. It sees invalidations that start from now on.
    pub fn subscribe_ranges(
        self: &Arc<Self>,
        subscriber: Arc<dyn RangeSubscriber>,
    ) -> Subscription<P> {
        let mut ranges = sync::write(&self.ranges);
        let id = self.next_id.fetch_add(1, Ordering::AcqRel);
        ranges.push((id, subscriber));
        Subscription::new(self, id)
    }

    /// Adds a secondary TLB. It must be empty: what it cached before is not invalidated.
    pub fn subscribe_secondary_tlb(
        self: &Arc<Self>,
        subscriber: Arc<dyn SecondaryTlbSubscriber>,
    ) -> Subscription<P> {
        let mut tlbs = sync::write(&self.tlbs);
        let id = self.next_id.fetch_add(1, Ordering::AcqRel);
        tlbs.push((id, subscriber));
        Subscription::new(self, id)
    }

    /// What was sent so far.
    pub fn notifications(&self) -> Notifications {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Notifications {
            range_start: count(&self.counters.range_start),
            range_end: count(&self.counters.range_end),
            secondary_tlb: count(&self.counters.secondary_tlb),
        }
    }
}

/// The page-table lock, held. Only its holder can reach the page table or invalidate secondary
/// TLBs.
///
/// ```compile_fail,E0599
/// use std::sync::Arc;
/// use notifier::addr::AddrRange;
/// use notifier::contract::AddressSpace;
///
/// let space = Arc::new(AddressSpace::new((), Arc::new(())));
/// space.invalidate_secondary_tlbs(AddrRange::all()); // without the lock
/// ```
#[must_use = "the lock is released when this is dropped"]
pub struct PageTableGuard<'a, P> {
    space: &'a AddressSpace<P>,
    page_table: MutexGuard<'a, P>,
}

impl<P> PageTableGuard<'_, P> {
    /// Tells secondary TLBs that entries of `range` were changed (Linux:
    /// `mmu_notifier_arch_invalidate_secondary_tlbs`).
    pub fn invalidate_secondary_tlbs(&self, range: AddrRange<Gva>) {
        let space = self.space;
        let subscribers = sync::read(&space.tlbs);
        space.counters.secondary_tlb.fetch_add(1, Ordering::Relaxed);
        space.observer.notified(Notice::SecondaryTlb(range));
        for (_, subscriber) in subscribers.iter() {
            subscriber.invalidate_secondary_tlb(range);
        }
    }
}

impl<P> Deref for PageTableGuard<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.page_table
    }
}

impl<P> DerefMut for PageTableGuard<'_, P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.page_table
    }
}

/// An invalidation that has started. Dropping it is its end, so an end can't be forgotten, doubled
/// or sent without a start.
#[must_use = "dropping this ends the invalidation"]
pub struct RangeInvalidation<P> {
    space: Arc<AddressSpace<P>>,
    event: RangeEvent,
    /// Subscribers with this number or a later one came after the start: no end for them.
    horizon: u64,
}

impl<P> Drop for RangeInvalidation<P> {
    fn drop(&mut self) {
        let space = &self.space;
        let subscribers = sync::read(&space.ranges);
        space.counters.range_end.fetch_add(1, Ordering::Relaxed);
        space.observer.notified(Notice::RangeEnd(self.event));
        let started = subscribers.iter().filter(|(id, _)| *id < self.horizon);
        for (_, subscriber) in started {
            subscriber.invalidate_range_end(&self.event);
        }
    }
}

/// A subscriber's place in an address space. Dropping it unsubscribes: once that returns, no
/// callback of the subscriber runs or will run. It must not be dropped from such a callback.
#[must_use = "dropping this unsubscribes"]
pub struct Subscription<P> {
    space: Arc<AddressSpace<P>>,
    id: u64,
}

impl<P> Subscription<P> {
    fn new(space: &Arc<AddressSpace<P>>, id: u64) -> Self {
        let space = Arc::clone(space);
        Self { space, id }
    }
}

impl<P> Drop for Subscription<P> {
    fn drop(&mut self) {
        // Taking the lock for writing waits for every dispatch that is under way.
        sync::write(&self.space.ranges).retain(|(id, _)| *id != self.id);
        sync::write(&self.space.tlbs).retain(|(id, _)| *id != self.id);
    }
}
