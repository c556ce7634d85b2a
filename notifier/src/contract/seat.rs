//! A subscriber's place in an address space.

use std::sync::{Arc, Condvar, Mutex};

use super::Member;
use super::context::{Context, Inside, SpaceId};
use super::panics::Panics;
use crate::sync::{lock, wait};

/// A subscriber, for as long as somebody may call it or waits until nobody does.
pub(super) struct Seat {
    pub(super) member: Member,
    space: SpaceId,
    /// Locked while release runs.
    released: Mutex<bool>,
    /// What is done, once, when no callback runs or will run.
    at_end: Box<dyn Fn() + Send + Sync>,
    empty: Mutex<bool>,
    emptied: Condvar,
}

impl Seat {
    pub(super) fn new(space: SpaceId, member: Member, at_end: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            member,
            space,
            released: Mutex::new(false),
            at_end,
            empty: Mutex::new(false),
            emptied: Condvar::new(),
        }
    }

    /// Calls the subscriber's release if nobody has. On return it has ended, whoever called it: only
    /// then may the subscriber be taken out or the pages be freed. (Linux has exit and unregister both
    /// call it, each to its end.)
    #[track_caller]
    pub(super) fn release(&self) {
        let _inside = Inside::new(Context::Callback(self.space));
        let mut released = lock(&self.released);
        if !std::mem::replace(&mut *released, true) {
            self.member.release();
        }
    }

    /// Waits until no callback runs or will run.
    pub(super) fn wait_empty(&self) {
        let mut empty = lock(&self.empty);
        while !*empty {
            empty = wait(&self.emptied, empty);
        }
    }
}

/// The right to call a subscriber, which rosters hold. When the last roster with it is gone, nobody
/// can call it any more: this takes the place of Linux's SRCU grace period.
pub(super) struct Presence {
    pub(super) seat: Arc<Seat>,
    /// The roster that it came with; who came later has a greater one.
    pub(super) since: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let seat = &self.seat;
        let mut panics = Panics::default();
        panics.catch(|| {
            let _inside = Inside::new(Context::AtomicCallback(seat.space));
            (seat.at_end)();
        });
        *lock(&seat.empty) = true;
        seat.emptied.notify_all();
        panics.resume();
    }
}
