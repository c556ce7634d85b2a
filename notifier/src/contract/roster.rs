//! Who is registered, as dispatch sees it: a snapshot that never changes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use arc_swap::{ArcSwap, Guard};

use super::Member;
use super::context::{Context, Inside, SpaceId};
use super::gate::{Gate, Left};
use crate::sync::lock;

/// A subscriber's place in an address space.
pub(super) struct Seat {
    pub(super) member: Member,
    space: SpaceId,
    gate: Gate,
    released: AtomicBool,
    /// What is done, once, when no callback runs or will run.
    at_end: Box<dyn Fn() + Send + Sync>,
}

impl Seat {
    pub(super) fn new(space: SpaceId, member: Member, at_end: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            member,
            space,
            gate: Gate::new(),
            released: AtomicBool::new(false),
            at_end,
        }
    }

    /// Calls the subscriber in this context, unless it is gone.
    #[track_caller]
    pub(super) fn call<R>(
        &self,
        context: Context,
        callback: impl FnOnce(&Member) -> R,
    ) -> Option<R> {
        let _pass = Pass::new(self)?;
        let _inside = Inside::new(context);
        Some(callback(&self.member))
    }

    /// Calls the subscriber's release if nobody has.
    #[track_caller]
    pub(super) fn release(&self) {
        let context = Context::Callback(self.space);
        self.call(context, |member| {
            if !self.released.swap(true, Ordering::AcqRel) {
                member.release();
            }
        });
    }

    /// Lets no callback begin from now on.
    pub(super) fn shut(&self) {
        let left = self.gate.shut();
        self.after(left);
    }

    /// Waits until no callback runs any more; only once it is shut.
    pub(super) fn wait_empty(&self) {
        self.gate.wait_empty();
    }

    fn after(&self, left: Left) {
        if left == Left::Empty {
            let _inside = Inside::new(Context::AtomicCallback(self.space));
            (self.at_end)();
            self.gate.tell_empty();
        }
    }
}

/// The right to run one callback.
struct Pass<'a>(&'a Seat);

impl<'a> Pass<'a> {
    fn new(seat: &'a Seat) -> Option<Self> {
        seat.gate.enter().then_some(Self(seat))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let left = self.0.gate.leave();
        self.0.after(left);
    }
}

/// Everybody who is registered, oldest first.
pub(super) struct Roster {
    seats: Vec<Arc<Seat>>,
    /// How many of them have page tables of their own; they come first.
    own_page_tables: usize,
    /// Whether interval subscribers are to be told.
    pub(super) has_intervals: bool,
    /// Says that nobody uses this roster any more.
    _epoch: Epoch,
}

impl Roster {
    pub(super) fn all(&self) -> &[Arc<Seat>] {
        &self.seats
    }

    pub(super) fn ranges(&self) -> &[Arc<Seat>] {
        &self.seats[..self.own_page_tables]
    }

    pub(super) fn secondary_tlbs(&self) -> &[Arc<Seat>] {
        &self.seats[self.own_page_tables..]
    }
}

/// How old a roster is; its end makes itself known.
struct Epoch {
    number: u64,
    alive: Arc<Alive>,
}

impl Drop for Epoch {
    fn drop(&mut self) {
        lock(&self.alive.epochs).remove(&self.number);
        self.alive.one_ended.notify_all();
    }
}

/// The rosters that somebody still uses.
#[derive(Default)]
struct Alive {
    epochs: Mutex<BTreeSet<u64>>,
    one_ended: Condvar,
}

impl Alive {
    fn begin(self: &Arc<Self>, number: u64) -> Epoch {
        lock(&self.epochs).insert(number);
        let alive = Arc::clone(self);
        Epoch { number, alive }
    }

    fn wait_for_older(&self, number: u64) {
        let mut epochs = lock(&self.epochs);
        while epochs.first().is_some_and(|oldest| *oldest < number) {
            epochs = crate::sync::wait(&self.one_ended, epochs);
        }
    }
}

/// The current roster. Readers take it without a lock; whoever changes it puts a new one in its
/// place.
pub(super) struct Registry {
    current: ArcSwap<Roster>,
    /// How many secondary TLBs the current one has.
    secondary_tlbs: AtomicUsize,
    /// How many subscribers of any kind.
    subscribers: AtomicUsize,
    alive: Arc<Alive>,
    /// The number of the newest roster; held while the current one is replaced, never while waiting.
    newest: Mutex<u64>,
}

/// What is to be different in the next roster.
enum Edit {
    Add(Arc<Seat>),
    Remove(Arc<Seat>),
    RemoveAll,
    Intervals,
}

impl Registry {
    pub(super) fn new() -> Self {
        let alive = Arc::new(Alive::default());
        let roster = Roster {
            seats: Vec::new(),
            own_page_tables: 0,
            has_intervals: false,
            _epoch: alive.begin(0),
        };
        Self {
            current: ArcSwap::from_pointee(roster),
            secondary_tlbs: AtomicUsize::new(0),
            subscribers: AtomicUsize::new(0),
            alive,
            newest: Mutex::new(0),
        }
    }

    /// The current roster, for as long as a dispatch takes.
    pub(super) fn load(&self) -> Guard<Arc<Roster>> {
        self.current.load()
    }

    /// The current roster, for as long as a mutation takes; registration waits for it.
    pub(super) fn hold(&self) -> Arc<Roster> {
        self.current.load_full()
    }

    /// Whether nobody is registered who caches the page table.
    pub(super) fn has_secondary_tlbs(&self) -> bool {
        self.secondary_tlbs.load(Ordering::Acquire) > 0
    }

    /// Whether nobody is registered.
    pub(super) fn has_subscribers(&self) -> bool {
        self.subscribers.load(Ordering::Acquire) > 0
    }

    /// Everybody sees `seat` from now on; [`wait`](Self::wait) for the result before relying on it.
    pub(super) fn add(&self, seat: &Arc<Seat>) -> Pending {
        Pending(self.edit(&Edit::Add(Arc::clone(seat))))
    }

    /// Nobody who looks from now on sees `seat`.
    pub(super) fn remove(&self, seat: &Arc<Seat>) {
        self.edit(&Edit::Remove(Arc::clone(seat)));
    }

    /// Nobody who looks from now on sees anybody. The intervals stay.
    pub(super) fn remove_all(&self) {
        self.edit(&Edit::RemoveAll);
    }

    /// Whoever looks from now on tells the interval subscribers too; as for [`add`](Self::add).
    pub(super) fn add_intervals(&self) -> Pending {
        Pending(self.edit(&Edit::Intervals))
    }

    /// Waits until nobody uses a roster from before.
    pub(super) fn wait(&self, pending: Pending) {
        self.alive.wait_for_older(pending.0);
    }

    /// Puts the next roster in its place; its number.
    fn edit(&self, edit: &Edit) -> u64 {
        let mut newest = lock(&self.newest);
        *newest += 1;
        let old = self.current.load_full();
        let seats = edited(&old.seats, edit);
        let is_range = |seat: &Arc<Seat>| !matches!(seat.member, Member::SecondaryTlb(_));
        let (mut ranges, tlbs): (Vec<_>, Vec<_>) = seats.into_iter().partition(is_range);
        let own_page_tables = ranges.len();
        let secondary_tlbs = tlbs.len();
        ranges.extend(tlbs);
        let subscribers = ranges.len();
        let roster = Roster {
            seats: ranges,
            own_page_tables,
            has_intervals: old.has_intervals || matches!(edit, Edit::Intervals),
            _epoch: self.alive.begin(*newest),
        };
        self.current.store(Arc::new(roster));
        self.secondary_tlbs.store(secondary_tlbs, Ordering::Release);
        self.subscribers.store(subscribers, Ordering::Release);
        *newest
    }
}

/// A change of the roster that some may not have seen.
#[must_use = "whoever relies on the change waits for it"]
pub(super) struct Pending(u64);

fn edited(seats: &[Arc<Seat>], edit: &Edit) -> Vec<Arc<Seat>> {
    match edit {
        Edit::Add(seat) => seats.iter().chain([seat]).cloned().collect(),
        Edit::Remove(gone) => {
            let stays = |seat: &&Arc<Seat>| !Arc::ptr_eq(seat, gone);
            seats.iter().filter(stays).cloned().collect()
        }
        Edit::RemoveAll => Vec::new(),
        Edit::Intervals => seats.to_vec(),
    }
}
