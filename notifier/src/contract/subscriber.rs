//! The two families of subscribers.

use super::RangeEvent;
use crate::addr::{AddrRange, Gva};

/// Family of the subscribers with page tables of their own (KVM, GPUs, RDMA).
#[derive(Debug)]
pub enum OwnPageTables {}

/// Family of the subscribers that cache the primary page table (SVA IOMMUs).
#[derive(Debug)]
pub enum SharedPageTables {}

/// Something that follows an address space.
///
/// The family is an associated type, of which a type has exactly one: what Linux refuses when it
/// runs (callbacks of both families in one subscriber) does not compile here.
///
/// ```compile_fail,E0271
/// use notifier::addr::{AddrRange, Gva};
/// use notifier::contract::*;
///
/// struct Both;
/// impl Subscriber for Both {
///     type Family = OwnPageTables;
/// }
/// impl RangeSubscriber for Both {
///     fn invalidate_range_start(&self, _: &RangeEvent) {}
///     fn invalidate_range_end(&self, _: &RangeEvent) {}
/// }
/// impl SecondaryTlbSubscriber for Both {
///     fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>) {}
/// }
/// ```
pub trait Subscriber: Send + Sync {
    /// [`OwnPageTables`] or [`SharedPageTables`].
    type Family;
}

/// A subscriber with page tables of its own.
///
/// Callbacks may sleep. They must not subscribe, unsubscribe or start an invalidation on the same
/// address space.
pub trait RangeSubscriber: Subscriber<Family = OwnPageTables> {
    /// The range is about to change; its pages are still mapped. On return nothing that was made
    /// from the range is left, and nothing may be made from it until the matching end.
    fn invalidate_range_start(&self, event: &RangeEvent);

    /// The range has changed. Called once for each start that was delivered to this subscriber,
    /// unless it unsubscribed in between.
    fn invalidate_range_end(&self, event: &RangeEvent);
}

/// A subscriber that caches the primary page table.
///
/// The callback runs under the page-table lock: it must not sleep, must not take that lock, and
/// can't be used to install or widen an entry, since it is not told what the page table says.
pub trait SecondaryTlbSubscriber: Subscriber<Family = SharedPageTables> {
    /// Entries of this range changed. On return no access uses what was cached of it before.
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>);
}
