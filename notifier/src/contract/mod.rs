//! The mmu-notifier contract: who must be told of a page-table change, when, and under which lock.

mod context;
mod core;
mod event;
pub mod faults;
pub mod interval;
#[cfg(test)]
#[cfg(loom)]
mod models;
mod mutation;
mod observer;
mod page_table;
mod registration;
mod roster;
mod seat;
mod space;
mod subscriber;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

pub use context::might_sleep;
pub use core::Notifications;
pub use event::{Again, Blocking, Event, IntervalEvent, Owner, RangeEvent};
pub use interval::{FirstPass, Interval, IntervalSubscriber, ReadSequence, UserGuard, UserLock};
pub use mutation::{Holder, Mutation, Window};
pub use observer::{Notice, Observer, Step};
pub use page_table::PageTableGuard;
pub use registration::{GetError, MAX_USERS, RegisterError, Shared, Singleton, Subscription};
pub use space::AddressSpace;
pub use subscriber::{
    Member, OwnPageTables, RangeSubscriber, RefusingSubscriber, SecondaryTlbSubscriber,
    SharedPageTables, Subscriber,
};
