//! Registering, unregistering, and the end of the address space; the traits that only pass on.

use std::sync::{Arc, PoisonError};

use super::detector::{self, Inside};
use super::seat::{Seat, lock};
use super::{Space, State};
use crate::faulty::{ContextFault, LifetimeFault, RangeFault, RefusalFault};
use crate::subject::{
    Blocking, Bounds, Callbacks, Change, Context, Event, Exit, LockedTable, Ranges, Refusals,
    Refused, Registration,
};

impl Space {
    /// Whether these callbacks may be registered at all.
    fn admit(&self, callbacks: &Callbacks) -> Result<(), Refused> {
        if callbacks.is_of_both_families() && !self.has(RangeFault::BothFamilies) {
            return Err(Refused::Invalid("callbacks of both families".into()));
        }
        if callbacks.refuses_and_has_end() && !self.has(RefusalFault::RefuserWithEnd) {
            return Err(Refused::Violation("who may refuse has an end".into()));
        }
        Ok(())
    }

    pub(super) fn may_join(&self) -> Result<(), Refused> {
        self.not_locked(ContextFault::RegisterUnderLock, "registering")?;
        let fault = ContextFault::RegisterInCallback;
        self.refuse_unless(fault, "registering in a callback", |inside| {
            inside.is_callback_of(self.id)
        })?;
        let fault = ContextFault::RegisterInOwnWindow;
        self.refuse_unless(fault, "registering in one's own window", |inside| {
            inside == Inside::Window(self.id)
        })
    }

    /// Adds a subscriber when no window is open.
    pub(super) fn join(&self, callbacks: Callbacks) -> Result<Arc<Seat>, Refused> {
        self.admit(&callbacks)?;
        self.may_join()?;
        let mut state = self.wait_for_windows();
        if state.exited && !self.has(LifetimeFault::JoinsAfterExit) {
            if !self.has(LifetimeFault::FailureLeaks)
                && let Some(free) = &callbacks.free
            {
                free();
            }
            return Err(Refused::Exited);
        }
        let seat = Arc::new(Seat::new(callbacks));
        state.seats.push(Arc::clone(&seat));
        Ok(seat)
    }

    fn wait_for_windows(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let never = [LifetimeFault::RegistersInWindow, LifetimeFault::LoneEnd];
        // What a fault lets through in a window or a callback can't wait for that to end.
        let own = detector::is_inside(|inside| {
            inside == Inside::Window(self.id) || inside.is_callback_of(self.id)
        });
        if own || never.into_iter().any(|fault| self.has(fault)) {
            return state;
        }
        state.joining += 1;
        while state.windows > 0 {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.joining -= 1;
        self.changed.notify_all();
        state
    }

    fn release(&self, seat: &Seat, again: bool) {
        if !seat.take_release() && !again || self.has(LifetimeFault::NoRelease) {
            return;
        }
        if let Some(release) = &seat.callbacks.release {
            lock(&self.state).releasing += 1;
            self.call(seat, Inside::Callback(self.id), |_| release());
            lock(&self.state).releasing -= 1;
            self.changed.notify_all();
        }
    }

    fn unregister(&self, seat: &Arc<Seat>) -> Result<(), Refused> {
        self.not_locked(ContextFault::RegisterUnderLock, "unregistering")?;
        let own = |inside: Inside| inside.is_callback_of(self.id);
        let what = "unregistering in a callback";
        self.refuse_unless(ContextFault::UnregisterInCallback, what, own)?;
        if self.has(LifetimeFault::UnregisterWaitsForWindows) {
            drop(self.wait_for_windows());
        }
        if !self.has(LifetimeFault::UnregisterSkipsRelease) {
            self.release(seat, self.has(LifetimeFault::ReleaseTwice));
        }
        if self.has(LifetimeFault::StaysRegistered) {
            return Ok(());
        }
        self.leave(seat);
        if !self.has(LifetimeFault::UnregisterDoesNotWait) && !detector::is_inside(own) {
            seat.wait_idle();
        }
        Ok(())
    }

    pub(super) fn leave(&self, seat: &Arc<Seat>) {
        let mut state = lock(&self.state);
        state.seats.retain(|other| !Arc::ptr_eq(other, seat));
        drop(state);
        seat.go();
    }
}

struct Registered {
    space: Arc<Space>,
    seat: Arc<Seat>,
}

/// As a registration that does not keep its address space.
struct Dangling {
    space: std::sync::Weak<Space>,
    seat: Arc<Seat>,
}

impl Registration for Registered {
    fn unregister(self: Box<Self>) -> Result<(), Refused> {
        self.space.unregister(&self.seat)
    }
}

impl Registration for Dangling {
    fn unregister(self: Box<Self>) -> Result<(), Refused> {
        match self.space.upgrade() {
            Some(space) => space.unregister(&self.seat),
            None => Ok(()),
        }
    }
}

impl Ranges for Space {
    fn register(&self, callbacks: Callbacks) -> Result<Box<dyn Registration>, Refused> {
        let seat = self.join(callbacks)?;
        let space = self.myself.clone();
        if self.has(LifetimeFault::SpaceNotKept) {
            return Ok(Box::new(Dangling { space, seat }));
        }
        let space = space.upgrade().ok_or(Refused::Exited)?;
        Ok(Box::new(Registered { space, seat }))
    }

    fn invalidate(
        &self,
        event: Event,
        bounds: Bounds,
        body: &mut dyn FnMut(),
    ) -> Result<(), Refused> {
        self.window(Change::blockable(event, bounds), body)
    }

    fn end_without_start(&self, event: Event, bounds: Bounds) -> Result<(), Refused> {
        if !self.has(RangeFault::StrayEnd) {
            return Err(Refused::Violation("an end without a start".into()));
        }
        let seats = lock(&self.state).seats.clone();
        for seat in &seats {
            self.end_one(seat, Change::blockable(event, bounds));
        }
        Ok(())
    }

    fn with_page_table(&self, body: &mut dyn FnMut(&dyn LockedTable)) -> Result<(), Refused> {
        self.locked_table(body)
    }

    fn invalidate_unlocked(&self, bounds: Bounds) -> Result<(), Refused> {
        if self.has(RangeFault::SecondaryNeedsLock) {
            return Ok(());
        }
        self.secondary_of_whoever(bounds)
    }
}

impl Refusals for Space {
    fn try_invalidate(
        &self,
        event: Event,
        bounds: Bounds,
        body: &mut dyn FnMut(),
    ) -> Result<(), Refused> {
        let blocking = Blocking::Forbidden;
        self.window(
            Change {
                event,
                bounds,
                blocking,
            },
            body,
        )
    }
}

impl Exit for Space {
    fn exit(&self) -> Result<(), Refused> {
        let own = |inside: Inside| inside.is_callback_of(self.id);
        detector::refuse("ending the address space in a callback", own)?;
        let before = std::mem::replace(&mut lock(&self.state).exited, true);
        if before {
            return Ok(());
        }
        self.release_intervals();
        let seats = lock(&self.state).seats.clone();
        for seat in &seats {
            if !self.has(LifetimeFault::ExitSkipsRelease) {
                self.release(seat, false);
            }
        }
        if self.has(LifetimeFault::ToldAfterExit) {
            return Ok(());
        }
        for seat in &seats {
            // Release may be called again where that is the fault.
            if self.has(LifetimeFault::ReleaseTwice) {
                lock(&self.state)
                    .seats
                    .retain(|other| !Arc::ptr_eq(other, seat));
            } else {
                self.leave(seat);
            }
            if !self.has(LifetimeFault::ExitDoesNotWait) {
                seat.wait_idle();
            }
        }
        Ok(())
    }
}

impl Context for Space {
    fn might_sleep(&self) -> Result<(), Refused> {
        use super::detector::Kind;
        let fault = |inside| match inside {
            Inside::Lock(_) => Some(ContextFault::SleepUnderLock),
            Inside::Atomic(_, Kind::SecondaryTlb) => Some(ContextFault::TlbSleeps),
            Inside::Atomic(_, Kind::Nonblocking) => Some(ContextFault::NonblockingSleeps),
            Inside::Atomic(_, Kind::Aging) => Some(ContextFault::AgingSleeps),
            Inside::Atomic(_, Kind::Free) => Some(ContextFault::FreeSleeps),
            Inside::Callback(_) if self.has(ContextFault::NeverSleeps) => {
                Some(ContextFault::SleepUnderLock)
            }
            _ => None,
        };
        detector::refuse("sleeping", |inside| {
            fault(inside).is_some_and(|fault| !self.has(fault))
        })
    }

    fn install(&self, _: Bounds) -> Result<(), Refused> {
        let own = |inside: Inside| inside.is_callback_of(self.id);
        self.refuse_unless(
            ContextFault::InstallInCallback,
            "installing in a callback",
            own,
        )
    }
}
