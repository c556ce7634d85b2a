//! The two families of subscribers.

use std::sync::Arc;

use super::{Again, RangeEvent};
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
///
/// No callback may register, unregister or begin a [`Mutation`](super::Mutation) of the same address
/// space: it would wait for itself, and panics instead.
pub trait Subscriber: Send + Sync {
    /// [`OwnPageTables`] or [`SharedPageTables`].
    type Family;

    /// The address space ends, or the subscriber is being unregistered, whichever comes first: what
    /// was made from it must go, and nothing new be made. It may sleep, and other callbacks may run
    /// at the same time. Called exactly once, except that giving back a
    /// [`Shared`](super::Shared) subscriber does not call it.
    fn release(&self) {}

    /// Whether the device used any page of the range since it was last asked, as far as it can tell;
    /// forgets it, and makes sure that the next use is noticed. Under the page-table lock.
    fn clear_flush_young(&self, _: AddrRange<Gva>) -> bool {
        false
    }

    /// As [`clear_flush_young`](Self::clear_flush_young), but a use soon afterwards may go unnoticed:
    /// caches need not be flushed. Under the page-table lock.
    fn clear_young(&self, _: AddrRange<Gva>) -> bool {
        false
    }

    /// As [`clear_young`](Self::clear_young), but forgets nothing. Under the page-table lock.
    fn test_young(&self, _: AddrRange<Gva>) -> bool {
        false
    }
}

/// A subscriber with page tables of its own, which follows every invalidation.
///
/// Callbacks may sleep if the event says so. A start must not fail: who may have to refuse when it
/// must not sleep is a [`RefusingSubscriber`].
pub trait RangeSubscriber: Subscriber<Family = OwnPageTables> {
    /// The range is about to change; its pages are still mapped. On return nothing that was made
    /// from the range is left, and nothing may be made from it until the matching end.
    fn invalidate_range_start(&self, event: &RangeEvent);

    /// The range has changed; its old pages may already be somebody else's. Called once for each
    /// start that was delivered to this subscriber, unless it unregistered in between.
    fn invalidate_range_end(&self, event: &RangeEvent);
}

/// A subscriber with page tables of its own, which may be unable to follow without sleeping.
///
/// It has no end: after a refusal the others are told the end at once, and it could not know whether
/// its own start counted (Linux warns about such an end; here there is no place for one).
pub trait RefusingSubscriber: Subscriber<Family = OwnPageTables> {
    /// As [`RangeSubscriber::invalidate_range_start`]. It may sleep.
    fn invalidate_range_start(&self, event: &RangeEvent);

    /// The same without sleeping.
    ///
    /// # Errors
    /// [`Again`] if that is impossible now; then nothing changes.
    fn try_invalidate_range_start(&self, event: &RangeEvent) -> Result<(), Again>;
}

/// A subscriber that caches the primary page table.
///
/// The callback runs under the page-table lock, or under no lock at all: it must not sleep, must
/// not take that lock, and can't be used to install or widen an entry, since it is not told what the
/// page table says.
pub trait SecondaryTlbSubscriber: Subscriber<Family = SharedPageTables> {
    /// Entries of this range changed, or tables that lead to them. On return no access uses what was
    /// cached of it before. The range may be part of one that is being invalidated, and may be
    /// everything.
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>);
}

/// A subscriber of any kind, as an address space keeps it.
#[derive(Clone)]
pub enum Member {
    /// It has page tables of its own.
    Range(Arc<dyn RangeSubscriber>),
    /// It has page tables of its own and may refuse.
    Refusing(Arc<dyn RefusingSubscriber>),
    /// It caches the primary page table.
    SecondaryTlb(Arc<dyn SecondaryTlbSubscriber>),
}

/// Calls a method of [`Subscriber`] whatever the family.
macro_rules! of_either {
    ($member:expr, $method:ident $(, $argument:expr)?) => {
        match $member {
            Self::Range(subscriber) => subscriber.$method($($argument)?),
            Self::Refusing(subscriber) => subscriber.$method($($argument)?),
            Self::SecondaryTlb(subscriber) => subscriber.$method($($argument)?),
        }
    };
}

impl Member {
    pub(super) fn release(&self) {
        of_either!(self, release);
    }

    pub(super) fn clear_flush_young(&self, range: AddrRange<Gva>) -> bool {
        of_either!(self, clear_flush_young, range)
    }

    pub(super) fn clear_young(&self, range: AddrRange<Gva>) -> bool {
        of_either!(self, clear_young, range)
    }

    pub(super) fn test_young(&self, range: AddrRange<Gva>) -> bool {
        of_either!(self, test_young, range)
    }
}
