//! The mmu-notifier contract: who must be told of a page-table change, when, and under which lock.
//!
//! An [`AddressSpace`] owns its page table behind the page-table lock and knows its subscribers,
//! which come in two families (Linux: `include/linux/mmu_notifier.h`):
//!
//! * [`RangeSubscriber`]s have page tables of their own. They are told before a change
//!   (*start*: drop what you have in this range and make nothing new) and after it (*end*).
//! * [`SecondaryTlbSubscriber`]s share the primary page table and only cache it. They are told
//!   from the page-table code itself, after the entry was written, under the page-table lock.
//!
//! What must not happen can't be written: a subscriber of both families has no type
//! ([`Subscriber`]), an end can't be forgotten ([`RangeInvalidation`]), and a secondary TLB can't
//! be invalidated without the lock ([`PageTableGuard`]).

mod event;
mod observer;
mod space;
mod subscriber;
#[cfg(test)]
mod tests;

pub use event::{Event, RangeEvent};
pub use observer::{Notice, Observer, Step};
pub use space::{AddressSpace, Notifications, PageTableGuard, RangeInvalidation, Subscription};
pub use subscriber::{
    OwnPageTables, RangeSubscriber, SecondaryTlbSubscriber, SharedPageTables, Subscriber,
};
