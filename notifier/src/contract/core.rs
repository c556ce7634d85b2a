//! What an address space is besides its page table: who follows it, and what they were told.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex};

use super::context::{self, Context, Inside, SpaceId};
use super::interval::Intervals;
use super::panics::Panics;
use super::registration::Singletons;
use super::roster::Registry;
use super::seat::Seat;
use super::{Blocking, Member, Notice, Observer, RangeEvent, RegisterError};
use crate::addr::{AddrRange, Gva};
use crate::sync::lock;

pub(super) struct Core {
    pub(super) id: SpaceId,
    pub(super) registry: Registry,
    pub(super) intervals: Intervals,
    pub(super) singletons: Singletons,
    /// Held while somebody joins, so that who joins is either refused or released at the end.
    life: Mutex<Life>,
    observed: Option<Observed>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Going,
    Exited,
}

/// How many notifications an observed address space has sent. Each counts once, however many
/// subscribers received it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notifications {
    /// Range starts, those that were refused among them.
    pub range_start: u64,
    /// Range ends, those that follow a refusal at once among them.
    pub range_end: u64,
    /// Secondary-TLB invalidations.
    pub secondary_tlb: u64,
}

/// Who watches the notifications, and how many there were.
struct Observed {
    observer: Arc<dyn Observer>,
    range_start: AtomicU64,
    range_end: AtomicU64,
    secondary_tlb: AtomicU64,
}

impl Observed {
    fn new(observer: Arc<dyn Observer>) -> Self {
        Self {
            observer,
            range_start: AtomicU64::new(0),
            range_end: AtomicU64::new(0),
            secondary_tlb: AtomicU64::new(0),
        }
    }

    fn note(&self, notice: Notice) {
        let counter = match notice {
            Notice::RangeStart(_) => &self.range_start,
            Notice::RangeEnd(_) => &self.range_end,
            Notice::SecondaryTlb(_) => &self.secondary_tlb,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.observer.notified(notice);
    }

    fn notifications(&self) -> Notifications {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Notifications {
            range_start: count(&self.range_start),
            range_end: count(&self.range_end),
            secondary_tlb: count(&self.secondary_tlb),
        }
    }
}

impl Core {
    pub(super) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = SpaceId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self {
            id,
            registry: Registry::new(observer.is_some()),
            intervals: Intervals::new(id),
            singletons: Singletons::default(),
            life: Mutex::new(Life::Going),
            observed: observer.map(Observed::new),
        }
    }

    pub(super) fn notifications(&self) -> Option<Notifications> {
        self.observed.as_ref().map(Observed::notifications)
    }

    #[inline]
    pub(super) fn is_observed(&self) -> bool {
        self.observed.is_some()
    }

    /// Counts a notification and shows it to the observer, just before it is delivered.
    pub(super) fn note(&self, notice: Notice) {
        if let Some(observed) = &self.observed {
            observed.note(notice);
        }
    }

    /// Adds a subscriber and waits until every mutation under way has seen it or has ended.
    #[track_caller]
    pub(super) fn join(
        &self,
        member: Member,
        at_end: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Arc<Seat>, RegisterError> {
        context::might_wait_for(self.id);
        let seat = Arc::new(Seat::new(self.id, member, at_end));
        let pending = self.while_going(|| self.registry.add(&seat))?;
        self.registry.wait(pending);
        // Pairs with the fence of `AddressSpace::invalidate_unlocked`: either that sees who joined, or
        // who joined sees what was written before it.
        fence(Ordering::SeqCst);
        Ok(seat)
    }

    /// Runs `body` unless the address space has ended; it can't end meanwhile.
    pub(super) fn while_going<R>(&self, body: impl FnOnce() -> R) -> Result<R, RegisterError> {
        let life = lock(&self.life);
        match *life {
            Life::Going => Ok(body()),
            Life::Exited => Err(RegisterError::Exited),
        }
    }

    /// Takes a subscriber out and waits until none of its callbacks runs.
    #[track_caller]
    pub(super) fn leave(&self, seat: &Arc<Seat>) {
        context::might_wait_for_callbacks(self.id);
        let mut panics = Panics::default();
        panics.catch(|| seat.release());
        self.put(seat);
        seat.wait_empty();
        panics.resume();
    }

    /// Takes a subscriber out without release and without waiting.
    pub(super) fn put(&self, seat: &Arc<Seat>) {
        self.registry.remove(|other| Arc::ptr_eq(other, seat));
    }

    /// See [`AddressSpace::exit`](super::AddressSpace::exit).
    #[track_caller]
    pub(super) fn exit(&self) {
        context::might_wait_for_callbacks(self.id);
        context::no_user_lock();
        let before = std::mem::replace(&mut *lock(&self.life), Life::Exited);
        if before == Life::Exited {
            return;
        }
        let mut panics = Panics::default();
        panics.catch(|| self.intervals.release());
        // Not the roster itself: whoever registers elsewhere would wait for these releases. But each
        // presence, so that nobody is freed before his release.
        let members = self.registry.load().all().to_vec();
        // Calls everybody's release, or waits for that of who unregisters meanwhile.
        panics.catch_each(members.iter(), |member| member.seat.release());
        self.registry.remove(|_| true);
        let seats: Vec<_> = members
            .iter()
            .map(|member| Arc::clone(&member.seat))
            .collect();
        drop(members);
        for seat in seats {
            seat.wait_empty();
        }
        panics.resume();
    }

    /// In which context a callback about this event runs.
    pub(super) fn context(&self, event: &RangeEvent) -> Context {
        match event.blocking {
            Blocking::Allowed => Context::Callback(self.id),
            Blocking::Forbidden => Context::AtomicCallback(self.id),
        }
    }

    /// Tells every secondary TLB.
    #[track_caller]
    #[inline]
    pub(super) fn invalidate_secondary_tlbs(&self, range: AddrRange<Gva>) {
        if self.registry.secondary_tlbs() > 0 || self.is_observed() {
            self.tell_secondary_tlbs(range);
        }
    }

    #[track_caller]
    #[inline(never)]
    fn tell_secondary_tlbs(&self, range: AddrRange<Gva>) {
        self.note(Notice::SecondaryTlb(range));
        let roster = self.registry.load();
        let _inside = Inside::new(Context::AtomicCallback(self.id));
        let mut panics = Panics::default();
        panics.catch_each(roster.secondary_tlbs().iter(), |member| {
            if let Member::SecondaryTlb(subscriber) = &member.seat.member {
                subscriber.invalidate_secondary_tlb(range);
            }
        });
        panics.resume();
    }

    /// Asks everybody; whether anybody said yes.
    #[track_caller]
    pub(super) fn ask_all(&self, question: impl Fn(&Member) -> bool) -> bool {
        // Everybody is asked, also after the first yes.
        self.ask(|members| members.fold(false, |young, member| question(member) | young))
    }

    /// Asks until somebody says yes.
    #[track_caller]
    pub(super) fn ask_until(&self, question: impl Fn(&Member) -> bool) -> bool {
        self.ask(|mut members| Iterator::any(&mut members, &question))
    }

    #[track_caller]
    fn ask<R>(&self, ask: impl FnOnce(&mut dyn Iterator<Item = &Member>) -> R) -> R {
        let roster = self.registry.load();
        let _inside = Inside::new(Context::AtomicCallback(self.id));
        ask(&mut roster.all().iter().map(|member| &member.seat.member))
    }
}
