//! Starts, ends and secondary-TLB invalidations.

use std::sync::{Arc, Mutex};

use super::detector::{self, Entered, Inside, Kind};
use super::held::{Locked, Owned};
use super::interval::Told;
use super::seat::{Seat, lock};
use super::{Space, State};
use crate::faulty::{ContextFault, IntervalFault, LifetimeFault, RangeFault, RefusalFault};
use crate::subject::{Again, Blocking, Bounds, Change, LockedTable, Refused, Refuses};

/// What a window remembers from its start to its end.
struct Window {
    change: Change,
    seats: Vec<Arc<Seat>>,
    told: Told,
}

impl Space {
    pub(super) fn checked(&self, bounds: Bounds) -> Result<Bounds, Refused> {
        if self.has(RangeFault::EmptyIsAll) && bounds.start == bounds.end {
            return Ok(Bounds::ALL);
        }
        if self.has(RangeFault::BackwardAccepted) && bounds.start > bounds.end {
            return Ok(bounds);
        }
        let range = bounds.range();
        range
            .map(|_| bounds)
            .map_err(|error| Refused::Invalid(error.to_string()))
    }

    /// Start, body, end.
    pub(super) fn window(&self, change: Change, body: &mut dyn FnMut()) -> Result<(), Refused> {
        self.not_locked(ContextFault::StartUnderLock, "a start that may sleep")?;
        let bounds = self.checked(change.bounds)?;
        let window = self.open(Change { bounds, ..change });
        let _owned = Owned(change.event.owner().map(|_| self));
        let _inside = Entered::new(Inside::Window(self.id));
        if self.has(RangeFault::StartLate) {
            body();
            self.start(&window)?;
        } else {
            let started = self.start(&window);
            if let Err(refused) = started {
                if !self.has(RefusalFault::WindowStaysOpen) {
                    self.close();
                }
                return Err(refused);
            }
            if self.has(RangeFault::EndEarly) {
                self.end(&window);
            }
            body();
        }
        if !self.has(RangeFault::EndEarly) {
            self.end(&window);
        }
        self.close();
        Ok(())
    }

    fn open(&self, change: Change) -> Window {
        let mut state = lock(&self.state);
        // As with a lock that a writer waits for; but not for those who have it already.
        let nested = detector::is_inside(|inside| inside == Inside::Window(self.id));
        while state.joining > 0 && !nested {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        state.windows += 1;
        state.owned += u32::from(change.event.owner().is_some());
        drop(state);
        let told = Told::default();
        let seats = self.receivers();
        Window {
            change,
            seats,
            told,
        }
    }

    fn close(&self) {
        lock(&self.state).windows -= 1;
        self.changed.notify_all();
    }

    /// Who is told; a fault may have to wait for it.
    fn receivers(&self) -> Vec<Arc<Seat>> {
        let excluded = self.has(LifetimeFault::ReleaseExcludesCallbacks);
        let state = lock(&self.state);
        let waiting = |state: &mut State| excluded && state.releasing > 0;
        let state = self.changed.wait_while(state, waiting);
        let state = state.unwrap_or_else(std::sync::PoisonError::into_inner);
        state.seats.clone()
    }

    fn start(&self, window: &Window) -> Result<(), Refused> {
        let mut change = self.distorted(window.change);
        if self.has(RefusalFault::FlagLost) {
            change.blocking = Blocking::Allowed;
        }
        if self.has(RefusalFault::RangesFirst) {
            self.start_ranges(window, change)?;
            return self.start_intervals(&window.told, change);
        }
        let intervals = self.start_intervals(&window.told, change);
        if intervals.is_err() && self.has(RefusalFault::RangesDespiteInterval) {
            self.start_ranges(window, change)?;
        }
        intervals?;
        self.start_ranges(window, change).inspect_err(|_| {
            if !self.has(RefusalFault::Gap) {
                self.end_intervals(&window.told);
            }
        })
    }

    fn start_ranges(&self, window: &Window, mut change: Change) -> Result<(), Refused> {
        let mut outcome = Ok(());
        for seat in self.chosen(&window.seats) {
            let started = self.start_one(seat, change, window.change.blocking);
            outcome = outcome.and(started);
            if outcome.is_err() && self.has(RefusalFault::StopsAtFirst) {
                break;
            }
            if self.has(RangeFault::RangeConsumed) {
                change.bounds.start = change.bounds.end;
            }
        }
        match outcome {
            Err(Refused::Again) if self.has(RefusalFault::RefusalIgnored) => Ok(()),
            Err(Refused::Again) => {
                self.end_after_refusal(window);
                Err(Refused::Again)
            }
            other => other,
        }
    }

    fn end_after_refusal(&self, window: &Window) {
        if self.has(RefusalFault::NoEndsAfterRefusal) {
            return;
        }
        self.end_ranges(window);
        if self.has(RefusalFault::DoubleEnd) {
            self.end_ranges(window);
        }
    }

    fn start_one(&self, seat: &Seat, change: Change, blocking: Blocking) -> Result<(), Refused> {
        let started = self.call(seat, self.inside(blocking), |callbacks| {
            let Some(start) = &callbacks.range_start else {
                return Ok(());
            };
            let skipped = self.has(RefusalFault::RefuserSkipped) && blocking == Blocking::Allowed;
            if skipped && start.refuses != Refuses::Never {
                return Ok(());
            }
            (start.call)(change)
        });
        match (started, blocking) {
            (None | Some(Ok(())), _) => Ok(()),
            (Some(Err(Again)), Blocking::Forbidden) => Err(Refused::Again),
            (Some(Err(Again)), _) if self.has(RefusalFault::BlockableRefusal) => {
                Err(Refused::Again)
            }
            (Some(Err(Again)), _) => Err(Refused::Violation(
                "a start that may sleep returned an error".into(),
            )),
        }
    }

    fn end(&self, window: &Window) {
        self.end_intervals(&window.told);
        let others = lock(&self.state).windows - 1;
        let merged = self.has(RangeFault::EndsMerged) && others > 0;
        if merged || self.has(RangeFault::NoEnd) {
            return;
        }
        self.end_ranges(window);
        if self.has(RangeFault::EndInvalidatesTlbs) {
            self.tell_secondary(window.change.bounds);
        }
        if self.has(LifetimeFault::LoneEnd) {
            self.end_for_newcomers(window);
        }
    }

    fn end_for_newcomers(&self, window: &Window) {
        let now = lock(&self.state).seats.clone();
        let is_new = |seat: &&Arc<Seat>| !window.seats.iter().any(|old| Arc::ptr_eq(old, seat));
        for seat in now.iter().filter(is_new) {
            self.end_one(seat, window.change);
        }
    }

    fn end_ranges(&self, window: &Window) {
        let mut change = self.distorted(window.change);
        if self.has(RefusalFault::EndForgets) {
            change.blocking = Blocking::Allowed;
        }
        for seat in self.chosen(&window.seats) {
            self.end_one(seat, change);
        }
    }

    pub(super) fn end_one(&self, seat: &Seat, change: Change) {
        let call = |callbacks: &crate::subject::Callbacks| {
            if let Some(end) = &callbacks.range_end {
                end(change);
            }
        };
        let sleeps = self.has(ContextFault::NonblockingEndSleeps);
        let inside = match change.blocking {
            Blocking::Forbidden if !sleeps => self.inside(Blocking::Forbidden),
            _ => self.inside(Blocking::Allowed),
        };
        if self.has(LifetimeFault::EndAfterUnregister) && seat.is_gone() {
            call(&seat.callbacks);
        } else {
            self.call(seat, inside, call);
        }
    }

    /// Who of the list is told.
    fn chosen<'a>(&self, seats: &'a [Arc<Seat>]) -> impl Iterator<Item = &'a Arc<Seat>> {
        let limit = if self.has(RangeFault::OnlyFirstTold) {
            1
        } else {
            seats.len()
        };
        seats.iter().take(limit)
    }

    pub(super) fn inside(&self, blocking: Blocking) -> Inside {
        match blocking {
            Blocking::Allowed => Inside::Callback(self.id),
            Blocking::Forbidden => Inside::Atomic(self.id, Kind::Nonblocking),
        }
    }

    /// Tells those who cache the page table.
    pub(super) fn tell_secondary(&self, bounds: Bounds) {
        self.tell_own_secondary(self.distorted_bounds(bounds));
        if self.has(RangeFault::AllSpacesTold) {
            for other in self.others() {
                other.tell_own_secondary(bounds);
            }
        }
    }

    /// In an implementation that goes by the current task.
    fn current(&self) -> Option<Arc<Self>> {
        let current = detector::current_space()?;
        self.others().into_iter().find(|other| other.id == current)
    }

    fn tell_own_secondary(&self, mut bounds: Bounds) {
        let seats = self.receivers();
        if self.has(RangeFault::SecondaryByOwner) && lock(&self.state).owned > 0 {
            return;
        }
        for seat in self.chosen(&seats) {
            let inside = Inside::Atomic(self.id, Kind::SecondaryTlb);
            if self.has(LifetimeFault::UnregisterDoesNotWait) && seat.is_gone() {
                call_secondary(&seat.callbacks, bounds);
                continue;
            }
            self.call(seat, inside, |callbacks| call_secondary(callbacks, bounds));
            if self.has(RangeFault::RangeConsumed) {
                bounds.start = bounds.end;
            }
        }
    }

    pub(super) fn locked_table(
        &self,
        body: &mut dyn FnMut(&dyn LockedTable),
    ) -> Result<(), Refused> {
        let mine = |inside| inside == Inside::Lock(self.id);
        let any = |inside| matches!(inside, Inside::Lock(_));
        let alike = self.has(ContextFault::LocksAlike);
        let what = "the page-table lock is taken twice";
        self.refuse_unless(ContextFault::LockTwice, what, |inside| {
            mine(inside) || alike && any(inside)
        })?;
        // Only a fault gets here with the lock held; it goes on as if it had it not.
        let twice = detector::is_inside(mine);
        let guard = (!twice).then(|| lock(&self.page_table));
        let inside = Entered::new(Inside::Lock(self.id));
        let table = Locked {
            space: self,
            deferred: Mutex::default(),
        };
        body(&table);
        drop((inside, guard));
        for bounds in lock(&table.deferred).drain(..) {
            self.tell_secondary(bounds);
        }
        Ok(())
    }

    pub(super) fn secondary_of_whoever(&self, bounds: Bounds) -> Result<(), Refused> {
        let mut bounds = self.checked(bounds)?;
        let in_window = detector::is_inside(|inside| inside == Inside::Window(self.id));
        if self.has(RangeFault::SecondaryWidened) && in_window {
            bounds = Bounds::ALL;
        }
        match self.current() {
            Some(other) if self.has(RangeFault::CurrentSpaceTold) => other.tell_secondary(bounds),
            _ => self.tell_secondary(bounds),
        }
        Ok(())
    }
}

fn call_secondary(callbacks: &crate::subject::Callbacks, bounds: Bounds) {
    if let Some(tell) = &callbacks.secondary_tlb {
        tell(bounds);
    }
}

impl Space {
    fn start_intervals(&self, told: &Told, change: Change) -> Result<(), Refused> {
        let empty = lock(&self.state).seats.is_empty();
        assert!(
            !(empty && self.has(IntervalFault::NullSubscription)),
            "there is no subscription"
        );
        self.tell_intervals(told, change)
    }
}
