//! The mmu-notifier contract: who must be told of a page-table change, when, and under which lock.
//!
//! A *primary* MMU is the one whose page table an operating system or hypervisor edits. *Secondary*
//! MMUs (a device behind an IOMMU, a hypervisor's stage 2, a GPU) hold copies of what it says. The
//! contract is what keeps a copy from outliving the right to it. Linux has it in
//! `include/linux/mmu_notifier.h` and `mm/mmu_notifier.c`; this is the same contract with as much of
//! it as possible in types.
//!
//! # Two families
//!
//! | | [`RangeSubscriber`], [`RefusingSubscriber`], [`IntervalSubscriber`] | [`SecondaryTlbSubscriber`] |
//! |---|---|---|
//! | has | page tables of its own, filled from the primary's (KVM, GPUs, RDMA) | only a cache: it walks the primary's page table (SVA IOMMUs) |
//! | is told | *before* a change (start) and *after* it (end) | *at* the change, once the entry is written |
//! | why | it must stop using a page before the page goes, and make nothing new meanwhile | it must drop what it cached of an entry that is different now |
//! | may sleep | yes, unless the event forbids it | never |
//! | learns | the range, the reason, sometimes who began it | the range |
//!
//! A subscriber is of one family. Linux refuses both in one when it runs; here there is no such type
//! ([`Subscriber`]).
//!
//! # A change, step by step
//!
//! ```
//! use std::sync::Arc;
//! use notifier::addr::{AddrRange, Gva, PageSize};
//! use notifier::contract::{AddressSpace, Event};
//!
//! let space = Arc::new(AddressSpace::new([0_u64; 512]));
//! let page = AddrRange::page(Gva::new(0x3000), PageSize::K4);
//!
//! let mut mutation = space.mutate();                     // 1
//! let mut window = mutation.start(Event::Unmap, page);   // 2
//! let mut table = window.lock_page_table();              // 3
//! table[3] = 0;                                          // 4
//! table.invalidate_secondary_tlbs(page);                 // 5
//! drop(table);                                           // 6
//! drop(window);                                          // 7
//! // 8: the page may be freed
//! ```
//! 1. A [`Mutation`] keeps registration out: whoever registers from now on is not told of this
//!    change, and is not registered before it is over (Linux: the mmap lock or reverse-mapping locks).
//! 2. *Start*: the page is still mapped and has a reference. Range and interval subscribers take away
//!    what they made from the range. When it returns, nothing of it is in use, and nothing can be
//!    made from it until the end.
//! 3. The page-table lock.
//! 4. The entry is written,
//! 5. and only then, still under the lock, secondary TLBs drop what they cached of it.
//! 6. The lock is released, 7. subscribers are told the end: they may look at the range again,
//! 8. and the page may belong to somebody else. An end is therefore too late to take anything away.
//!
//! **What gives permission needs no start and no end.** A fault that makes a read-only page writable
//! does steps 3 to 6. Who has page tables of its own finds the new permission at its next fault; who
//! only caches has to be told, because hardware need not look again at an entry that it has
//! ([`Event::ProtectionUpgrade`] is the proposal of 2023 that had it otherwise, kept for comparison).
//!
//! **What changes nothing tells nothing**: no entry differs, or only software bits do, or an entry
//! becomes valid that was not, or only the accessed bit is set (without it nothing was cached).
//!
//! **Step 5 may be left to step 7** where a stale translation does no harm until then. It must not
//! be (A) if the page may be freed before the end, nor (B) if the entry will lead to a *different*
//! page: then clear, invalidate, set, all under the lock. Otherwise a device can see the new contents
//! of one page and then the old contents of another (Linux: `Documentation/mm/mmu_notifier.rst`).
//!
//! # Callbacks
//!
//! | callback | when | may sleep | must |
//! |---|---|---|---|
//! | [`invalidate_range_start`](RangeSubscriber::invalidate_range_start) | before entries change | if the event's [`Blocking`] allows it | take everything of the range away and let nothing new come |
//! | [`invalidate_range_end`](RangeSubscriber::invalidate_range_end) | after they changed | as its start | undo the start's block, nothing else |
//! | [`try_invalidate_range_start`](RefusingSubscriber::try_invalidate_range_start) | a start that must not sleep | no | follow or refuse; such a subscriber has no end |
//! | [`invalidate_secondary_tlb`](SecondaryTlbSubscriber::invalidate_secondary_tlb) | an entry changed | no | drop what is cached of the range; assume no lock, take no page-table lock |
//! | [`clear_flush_young`](Subscriber::clear_flush_young), [`clear_young`](Subscriber::clear_young), [`test_young`](Subscriber::test_young) | somebody asks for the age of pages, under the lock | no | answer; the first two forget, of all subscribers, the third stops at the first yes |
//! | [`IntervalSubscriber::invalidate`] | as start, if the event overlaps the interval | as start | take away, with the user lock held; the slow part in a second pass |
//! | [`release`](Subscriber::release) | the address space ends, or the subscriber unregisters | yes | take everything away, and freeze |
//! | [`free`](Singleton::free) | the last [`Shared`] is gone and no callback runs | no | |
//!
//! A secondary-TLB callback can't install or widen anything: it is not told what the page table says,
//! and taking the lock to find out is refused. Ranges are half-open, never empty and never wrap
//! ([`AddrRange`](crate::addr::AddrRange)); `AddrRange::all()` is the whole address space. Too large a
//! range is always right, too small a one never.
//!
//! # Starts that must not sleep
//!
//! [`Mutation::try_start`] is for who can't wait: Linux's out-of-memory reaper. First the intervals
//! are told; the first that refuses stops it, second passes that are owed run, and nobody else is
//! told anything. Then the others are told, *all* of them, whether or not one refuses; if one did,
//! everybody who has an end is told it at once. Whoever asked gets [`Again`] instead of a [`Window`],
//! so it owes no end; and it must not change the entries. Linux leaves the interval side open when a
//! range subscriber refuses after the intervals accepted: its number stays odd and the next reader
//! waits for ever. Here that side is ended too.
//!
//! # Intervals
//!
//! A driver that reads the page table without its lock has to find out afterwards whether what it
//! read was invalidated meanwhile:
//!
//! ```
//! use std::sync::Arc;
//! use notifier::addr::{AddrRange, Gva};
//! use notifier::contract::{AddressSpace, FirstPass, IntervalEvent, IntervalSubscriber, UserLock};
//!
//! /// A device's copy of one entry.
//! struct Device;
//! impl IntervalSubscriber for Device {
//!     type State = Option<u64>;
//!     fn invalidate(&self, copy: &mut Option<u64>, _: &IntervalEvent) -> FirstPass {
//!         *copy = None;
//!         FirstPass::Done
//!     }
//! }
//!
//! let space = Arc::new(AddressSpace::new([7_u64; 512]));
//! let range = AddrRange::new(Gva::new(0x3000), Gva::new(0x4000))?;
//! let lock = Arc::new(UserLock::new(None));
//! let interval = space.insert_interval(range, &lock, Device)?;
//! loop {
//!     let begun = interval.read_begin();         // waits for invalidations that are open
//!     let entry = space.lock_page_table()[3];    // or by any other way, even without the lock
//!     let mut copy = interval.lock();
//!     if !interval.retry(&copy, begun) {         // asked under the lock that `invalidate` takes
//!         *copy = Some(entry);                   // good until the next `invalidate`
//!         break;
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! The number behind it is even while no interval is invalidated and odd while one is; parallel and
//! nested invalidations share an odd one; an interval's own number is always odd. While it is odd the
//! set of intervals stands still: who comes or goes waits for the last end. An interval that comes
//! while an invalidation is open of which it was not told makes the number odd, so that its reads
//! wait.
//!
//! # Coming and going
//!
//! * **Register** returns once every mutation has ended that the new subscriber does not see whole.
//!   It does not hold up mutations that begin meanwhile: the subscriber is told of those already.
//! * **Unregister** (dropping the [`Subscription`]) calls release unless it was called, and returns
//!   once no callback runs. It may happen inside a window, whose end is then not delivered: a
//!   subscriber that counts must not count on it.
//! * **Shared** subscribers ([`AddressSpace::get`]) are one a type and address space. Giving the last
//!   one back neither calls release nor waits, and may be done in a callback, release included; the
//!   subscriber is freed once, when the last callback has left.
//! * **Exit** ([`AddressSpace::exit`]) tells intervals and subscribers that the address space ends
//!   *before* its pages and tables are freed, and waits for releases that run. Nobody who was still
//!   registered is told anything after it, and nobody can join. Dropping the address space is an exit.
//!   (A callback of somebody who had been given back already, or a second pass that another thread is
//!   in, may still be running when it returns.)
//!
//! # What is refused, and how
//!
//! | what | how |
//! |---|---|
//! | both families in one subscriber; an end for who may refuse; refusing where one may sleep | no such type |
//! | an end forgotten, doubled, without a start, or after a refusal | [`Window`] is the start, its drop the end (leaking one on purpose, by `mem::forget`, leaves it open) |
//! | a secondary-TLB invalidation or an aging call without the lock | methods of [`PageTableGuard`] (for tables that no lock protects: [`AddressSpace::invalidate_unlocked`]) |
//! | opening or closing a window under the page-table lock | borrows: the guard borrows the window or the mutation |
//! | the same through another mutation, or in a callback; the lock taken twice; registering inside one's own mutation; waiting in a callback | a panic that names both places |
//! | a callback that sleeps where it must not | the same, if what it calls says [`might_sleep`] |
//! | a read checked without the lock that invalidation takes, or for another interval | [`UserGuard`] has to be shown; the wrong one panics, as does another interval's number |
//! | waiting for invalidations, or beginning one, with a user lock held | a panic that names both places |
//! | an empty or overflowing range | [`RangeError`](crate::addr::RangeError), when it is made |
//!
//! # Where it is stricter than Linux
//!
//! * A refusal ends the interval side (above).
//! * Release is called once, not once by exit and once by unregister.
//! * An interval's number is set by the core, under the user lock: it can't be forgotten.
//! * A callback that panics keeps nobody else from being told: not the end, not the invalidation, not
//!   release, not a second pass that is owed. The panic goes on afterwards.
//! * Registration waits for windows that are open instead of taking every lock there is, and does not
//!   keep new ones waiting.
//!
//! `tests/conformance` has all of this as cases that any implementation can be held against.

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
mod panics;
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
