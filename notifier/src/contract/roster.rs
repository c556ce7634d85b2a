//! Who is registered, as dispatch sees it: a snapshot that never changes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use arc_swap::{ArcSwap, Guard};

use super::Member;
use super::seat::{Presence, Seat};
use crate::sync::{lock, wait};

/// Everybody who is registered, oldest first in each family.
pub(super) struct Roster {
    members: Vec<Arc<Presence>>,
    /// How many of them have page tables of their own; they come first.
    own_page_tables: usize,
    pub(super) epoch: Arc<Epoch>,
}

impl Roster {
    pub(super) fn all(&self) -> &[Arc<Presence>] {
        &self.members
    }

    pub(super) fn ranges(&self) -> &[Arc<Presence>] {
        &self.members[..self.own_page_tables]
    }

    pub(super) fn secondary_tlbs(&self) -> &[Arc<Presence>] {
        &self.members[self.own_page_tables..]
    }
}

/// How far registration has come. A mutation keeps the one that it began in; its end makes itself
/// known.
pub(super) struct Epoch {
    /// Who came with this number or a smaller one is told of what a mutation of this epoch does.
    pub(super) number: u64,
    /// Whether interval subscribers are told too.
    pub(super) has_intervals: bool,
    /// Whether somebody observes, or was to be told when the epoch began.
    pub(super) is_followed: bool,
    alive: Arc<Alive>,
}

impl Drop for Epoch {
    fn drop(&mut self) {
        lock(&self.alive.epochs).remove(&self.number);
        self.alive.one_ended.notify_all();
    }
}

/// The epochs that somebody still uses.
#[derive(Default)]
struct Alive {
    epochs: Mutex<BTreeSet<u64>>,
    one_ended: Condvar,
}

impl Alive {
    fn begin(self: &Arc<Self>, number: u64, has_intervals: bool, is_followed: bool) -> Arc<Epoch> {
        lock(&self.epochs).insert(number);
        Arc::new(Epoch {
            number,
            has_intervals,
            is_followed,
            alive: Arc::clone(self),
        })
    }

    fn wait_for_older(&self, number: u64) {
        let mut epochs = lock(&self.epochs);
        while epochs.first().is_some_and(|oldest| *oldest < number) {
            epochs = wait(&self.one_ended, epochs);
        }
    }
}

/// The current roster. Readers take it without a lock; whoever changes it puts a new one in its
/// place.
pub(super) struct Registry {
    current: ArcSwap<Roster>,
    /// How many the current one has that cache the page table.
    secondary_tlbs: AtomicUsize,
    /// How many subscribers of any kind.
    subscribers: AtomicUsize,
    alive: Arc<Alive>,
    /// Held while the current one is replaced, never while waiting or calling.
    editing: Mutex<()>,
}

/// A change of the roster that mutations under way have not seen.
#[must_use = "whoever relies on the change waits for it"]
pub(super) struct Pending {
    number: u64,
    /// The one before. With it may go a subscriber, whose own code runs then: not under a lock.
    _old: Arc<Roster>,
}

impl Registry {
    /// Nobody; `is_observed`: but somebody watches.
    pub(super) fn new(is_observed: bool) -> Self {
        let alive = Arc::new(Alive::default());
        let roster = Roster {
            members: Vec::new(),
            own_page_tables: 0,
            epoch: alive.begin(0, false, is_observed),
        };
        Self {
            current: ArcSwap::from_pointee(roster),
            secondary_tlbs: AtomicUsize::new(0),
            subscribers: AtomicUsize::new(0),
            alive,
            editing: Mutex::new(()),
        }
    }

    /// The current roster, for as long as a dispatch takes: whoever unregisters waits for it.
    pub(super) fn load(&self) -> Guard<Arc<Roster>> {
        self.current.load()
    }

    /// How many cache the page table.
    #[inline]
    pub(super) fn secondary_tlbs(&self) -> usize {
        self.secondary_tlbs.load(Ordering::Acquire)
    }

    /// How many there are.
    #[inline]
    pub(super) fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Acquire)
    }

    /// Whoever looks from now on sees `seat`; [`wait`](Self::wait) for the rest.
    pub(super) fn add(&self, seat: &Arc<Seat>) -> Pending {
        self.edit(|old| {
            let number = old.epoch.number + 1;
            let mut members = old.members.clone();
            members.push(Arc::new(Presence {
                seat: Arc::clone(seat),
                since: number,
            }));
            (
                members,
                self.alive.begin(number, old.epoch.has_intervals, true),
            )
        })
    }

    /// Whoever looks from now on tells the interval subscribers too; as for [`add`](Self::add).
    pub(super) fn add_intervals(&self) -> Pending {
        self.edit(|old| {
            let epoch = self.alive.begin(old.epoch.number + 1, true, true);
            (old.members.clone(), epoch)
        })
    }

    /// Whoever looks from now on does not see those who are `gone`.
    pub(super) fn remove(&self, gone: impl Fn(&Arc<Seat>) -> bool) {
        let _for_nobody = self.edit(|old| {
            let stays = |member: &&Arc<Presence>| !gone(&member.seat);
            let members = old.members.iter().filter(stays).cloned().collect();
            (members, Arc::clone(&old.epoch))
        });
    }

    /// Waits until every mutation has ended that began before the change.
    pub(super) fn wait(&self, pending: Pending) {
        let number = pending.number;
        drop(pending);
        self.alive.wait_for_older(number);
    }

    /// Puts the next roster in the place of the current one.
    fn edit(&self, next: impl FnOnce(&Roster) -> (Vec<Arc<Presence>>, Arc<Epoch>)) -> Pending {
        let editing = lock(&self.editing);
        let (members, epoch) = next(&self.current.load());
        let is_range =
            |member: &Arc<Presence>| !matches!(member.seat.member, Member::SecondaryTlb(_));
        let (mut members, tlbs): (Vec<_>, Vec<_>) = members.into_iter().partition(is_range);
        let own_page_tables = members.len();
        let secondary_tlbs = tlbs.len();
        members.extend(tlbs);
        let subscribers = members.len();
        let number = epoch.number;
        let roster = Roster {
            members,
            own_page_tables,
            epoch,
        };
        let old = self.current.swap(Arc::new(roster));
        self.secondary_tlbs.store(secondary_tlbs, Ordering::Release);
        self.subscribers.store(subscribers, Ordering::Release);
        drop(editing);
        Pending { number, _old: old }
    }
}
