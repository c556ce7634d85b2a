//! What an address space is besides its page table: who follows it, and what they were told.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::context::{self, Context, SpaceId};
use super::interval::Intervals;
use super::registration::Singletons;
use super::roster::{Registry, Seat};
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
    counters: Counters,
    observer: Option<Arc<dyn Observer>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Going,
    Exited,
}

/// How many notifications an address space has sent. Each counts once, however many subscribers
/// received it; one that had no receiver and no observer was not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notifications {
    /// Range starts, those that were refused among them.
    pub range_start: u64,
    /// Range ends, those that follow a refusal at once among them.
    pub range_end: u64,
    /// Secondary-TLB invalidations.
    pub secondary_tlb: u64,
}

#[derive(Default)]
struct Counters {
    range_start: AtomicU64,
    range_end: AtomicU64,
    secondary_tlb: AtomicU64,
}

impl Core {
    pub(super) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = SpaceId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self {
            id,
            registry: Registry::new(),
            intervals: Intervals::new(id),
            singletons: Singletons::default(),
            life: Mutex::new(Life::Going),
            counters: Counters::default(),
            observer,
        }
    }

    pub(super) fn notifications(&self) -> Notifications {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Notifications {
            range_start: count(&self.counters.range_start),
            range_end: count(&self.counters.range_end),
            secondary_tlb: count(&self.counters.secondary_tlb),
        }
    }

    pub(super) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Counts a notification and shows it to the observer, just before it is delivered.
    pub(super) fn note(&self, notice: Notice) {
        let counter = match notice {
            Notice::RangeStart(_) => &self.counters.range_start,
            Notice::RangeEnd(_) => &self.counters.range_end,
            Notice::SecondaryTlb(_) => &self.counters.secondary_tlb,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(observer) = &self.observer {
            observer.notified(notice);
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
        seat.release();
        self.registry.remove(seat);
        seat.shut();
        seat.wait_empty();
    }

    /// Takes a subscriber out without release and without waiting.
    pub(super) fn put(&self, seat: &Arc<Seat>) {
        self.registry.remove(seat);
        seat.shut();
    }

    /// See [`AddressSpace::exit`](super::AddressSpace::exit).
    #[track_caller]
    pub(super) fn exit(&self) {
        context::might_wait_for_callbacks(self.id);
        let before = std::mem::replace(&mut *lock(&self.life), Life::Exited);
        if before == Life::Exited {
            return;
        }
        self.intervals.release();
        let seats = self.registry.hold().all().to_vec();
        for seat in &seats {
            seat.release();
        }
        self.registry.remove_all();
        for seat in &seats {
            seat.shut();
        }
        for seat in &seats {
            seat.wait_empty();
        }
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
    pub(super) fn invalidate_secondary_tlbs(&self, range: AddrRange<Gva>) {
        if !self.registry.has_secondary_tlbs() && !self.is_observed() {
            return;
        }
        self.note(Notice::SecondaryTlb(range));
        for seat in self.registry.load().secondary_tlbs() {
            seat.call(Context::AtomicCallback(self.id), |member| {
                if let Member::SecondaryTlb(subscriber) = member {
                    subscriber.invalidate_secondary_tlb(range);
                }
            });
        }
    }

    /// Asks everybody; whether anybody said yes.
    #[track_caller]
    pub(super) fn ask_all(&self, question: impl Fn(&Member) -> bool) -> bool {
        // Everybody is asked, also after the first yes.
        self.answers(&question).filter(|young| *young).count() > 0
    }

    /// Asks until somebody says yes.
    #[track_caller]
    pub(super) fn ask_until(&self, question: impl Fn(&Member) -> bool) -> bool {
        self.answers(&question).any(|young| young)
    }

    #[track_caller]
    fn answers(&self, question: &impl Fn(&Member) -> bool) -> impl Iterator<Item = bool> {
        let roster = self.registry.hold();
        let context = Context::AtomicCallback(self.id);
        (0..roster.all().len()).filter_map(move |index| roster.all()[index].call(context, question))
    }
}
