//! What is on its way: accesses between their translation and their end.
//!
//! A CMD_SYNC completes only when every access ended that used what the commands before it took away
//! (`IHI0070` 3.21.1). Most accesses are short, and take no lock: they count themselves in and out,
//! on a lane that few threads share, and a drain waits until all of them that were there are out
//! (the way of the kernel's SRCU). Accesses that a device holds open are listed with what they use,
//! so that a drain waits for those alone that it covers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::Requester;
use crate::addr::{AddrRange, Iova};
use crate::secondary::cache::SpaceKey;
use crate::sync::{lock, wait};

/// A power of two. More threads than that share lanes, which costs time and nothing else.
const LANES: usize = 16;

/// The accesses of some threads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane {
    /// Begun, for each parity.
    begun: [AtomicU64; 2],
    /// Ended.
    ended: [AtomicU64; 2],
}

/// All accesses of an SMMU.
#[derive(Debug, Default)]
pub(super) struct Flight {
    lanes: [Lane; LANES],
    /// Which of the two counts whoever begins now is in: its lowest bit.
    parity: AtomicUsize,
    /// One drain at a time.
    draining: Mutex<()>,
    held: Arc<Held>,
}

/// Accesses that are held open.
#[derive(Debug, Default)]
struct Held {
    open: Mutex<Listing>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct Listing {
    next: u64,
    accesses: BTreeMap<u64, Open>,
}

/// What an access that is held open uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// Whose it is.
    pub(super) from: Requester,
    /// What the entry is tagged with that translated it; `None` if none did.
    pub(super) space: Option<SpaceKey>,
    /// The addresses of that entry.
    pub(super) page: AddrRange<Iova>,
}

/// Whether the access of this number, which uses this, is waited for.
pub(super) type Covered<'a> = dyn Fn(u64, &Open) -> bool + 'a;

/// A short access; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Short<'a> {
    lane: &'a Lane,
    parity: usize,
}

/// A place in the list; the access ends when this is dropped.
#[derive(Debug)]
pub(super) struct Listed {
    held: Arc<Held>,
    number: u64,
}

thread_local! {
    static LANE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The lane of this thread.
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    LANE.get().unwrap_or_else(|| {
        let lane = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
        LANE.set(Some(lane));
        lane
    })
}

/// What was counted in must be seen to be, before anything is looked up.
fn store_before_load() {
    // On x86-64 the locked increment before it is the barrier already.
    if cfg!(target_arch = "x86_64") {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        std::sync::atomic::fence(Ordering::SeqCst);
    }
}

impl Flight {
    /// A short access begins. Whoever holds it must not wait for a drain.
    pub(super) fn enter(&self) -> Short<'_> {
        let lane = &self.lanes[lane()];
        let parity = self.parity.load(Ordering::Relaxed) & 1;
        lane.begun[parity].fetch_add(1, Ordering::SeqCst);
        store_before_load();
        Short { lane, parity }
    }

    /// An access that is held open begins.
    pub(super) fn hold(&self, open: Open) -> Listed {
        let mut listing = lock(&self.held.open);
        let number = listing.next;
        listing.next += 1;
        listing.accesses.insert(number, open);
        Listed {
            held: Arc::clone(&self.held),
            number,
        }
    }

    /// How many short accesses there were.
    pub(super) fn begun(&self) -> u64 {
        let of_lane = |lane: &Lane| lane.begun.iter().map(load).sum::<u64>();
        self.lanes.iter().map(of_lane).sum()
    }

    /// Waits until every short access has ended that began before this.
    pub(super) fn drain(&self) {
        let _alone = lock(&self.draining);
        std::sync::atomic::fence(Ordering::SeqCst);
        // Whoever read the parity before the first flip may count himself in after it; the second
        // waits for him.
        for _ in 0..2 {
            let old = self.parity.fetch_add(1, Ordering::SeqCst) & 1;
            while !self.is_drained(old) {
                std::thread::yield_now();
            }
        }
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Ended first: who begins and ends between the two sums makes it look busier, never quieter.
    fn is_drained(&self, parity: usize) -> bool {
        let sum = |count: fn(&Lane) -> &[AtomicU64; 2]| {
            let of_lane = |lane| load(&count(lane)[parity]);
            self.lanes.iter().map(of_lane).sum::<u64>()
        };
        let ended = sum(|lane| &lane.ended);
        ended == sum(|lane| &lane.begun)
    }

    /// The number that the next access that is held open gets: those below began before.
    pub(super) fn horizon(&self) -> u64 {
        lock(&self.held.open).next
    }

    /// Whether an access that is held open is covered, by its number and by what it uses.
    pub(super) fn is_held(&self, covered: &Covered<'_>) -> bool {
        lock(&self.held.open).holds(covered)
    }

    /// Waits until no such access is.
    pub(super) fn wait_for_held(&self, covered: &Covered<'_>) {
        let mut listing = lock(&self.held.open);
        while listing.holds(covered) {
            listing = wait(&self.held.closed, listing);
        }
    }
}

impl Listing {
    fn holds(&self, covered: &Covered<'_>) -> bool {
        let mut accesses = self.accesses.iter();
        accesses.any(|(number, open)| covered(*number, open))
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::SeqCst)
}

impl Drop for Short<'_> {
    fn drop(&mut self) {
        self.lane.ended[self.parity].fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.held.open).accesses.remove(&self.number);
        self.held.closed.notify_all();
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::addr::{Gva, PageSize, StreamId};

    fn open(stream: u32) -> Open {
        let page = AddrRange::page(Iova::shared(Gva::new(0x1000)), PageSize::K4);
        Open {
            from: StreamId(stream).into(),
            space: None,
            page,
        }
    }

    #[test]
    fn a_drain_waits_for_who_was_there() {
        let (flight, ended) = (Flight::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let short = flight.enter();
            let drainer = scope.spawn(|| {
                flight.drain();
                assert!(ended.load(Ordering::SeqCst), "an access was not waited for");
            });
            std::thread::sleep(Duration::from_millis(20));
            assert!(!drainer.is_finished());
            ended.store(true, Ordering::SeqCst);
            drop(short);
        });
        assert_eq!(flight.begun(), 1);
    }

    #[test]
    fn what_is_held_open_is_waited_for_only_where_it_is_covered() {
        let flight = Flight::default();
        let held = flight.hold(open(1));
        let horizon = flight.horizon();
        let later = flight.hold(open(2));
        let of = |stream: u32| {
            move |number, open: &Open| number < horizon && open.from == StreamId(stream).into()
        };
        assert!(flight.is_held(&of(1)));
        assert!(!flight.is_held(&of(2)), "it began after");
        flight.drain();
        drop(held);
        flight.wait_for_held(&of(1));
        drop(later);
    }

    /// Readers that come and go all the time do not keep a drain for ever.
    #[test]
    fn a_drain_ends_under_traffic() {
        let (flight, stop) = (Flight::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        drop(flight.enter());
                    }
                });
            }
            for _ in 0..1_000 {
                flight.drain();
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
