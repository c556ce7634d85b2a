//! KVM's bookkeeping of invalidations.

use std::sync::Mutex;

use notifier::addr::Gva;

use super::seat::lock;
use crate::faulty::{ConsumerFault, Fault};
use crate::subject::{self, Bounds, FaultGate, Refused, Slots};

pub(super) struct Gate {
    fault: Option<Fault>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    active: u64,
    in_progress: u64,
    merged: Option<Bounds>,
    sequence: u64,
}

impl Gate {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let state = Mutex::default();
        Self { fault, state }
    }

    fn has(&self, fault: ConsumerFault) -> bool {
        self.fault == Some(fault.into())
    }

    fn counts(&self, slots: Slots) -> bool {
        slots == Slots::Overlap || self.has(ConsumerFault::ElsewhereCounts)
    }
}

impl FaultGate for Gate {
    fn start(&self, bounds: Bounds, slots: Slots) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        state.active += 1;
        if !self.counts(slots) {
            return Ok(());
        }
        state.in_progress += 1;
        let replaced = self.has(ConsumerFault::RangeReplaced);
        let merged = state.merged.filter(|_| !replaced).map_or(bounds, |other| {
            Bounds::new(other.start.min(bounds.start), other.end.max(bounds.end))
        });
        state.merged = Some(merged);
        Ok(())
    }

    fn end(&self, _: Bounds, slots: Slots) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        if state.active == 0 {
            if self.has(ConsumerFault::UnbalancedEnd) {
                return Ok(());
            }
            return Err(Refused::Violation("an end without a start".into()));
        }
        state.active -= 1;
        if self.counts(slots) {
            state.in_progress -= 1;
            let counts = state.in_progress == 0 || !self.has(ConsumerFault::OnlyLastEndCounts);
            state.sequence += u64::from(counts);
            if state.in_progress == 0 && !self.has(ConsumerFault::RangeKept) {
                state.merged = None;
            }
        }
        Ok(())
    }

    fn fault(&self) -> Box<dyn subject::Fault + '_> {
        let sample = lock(&self.state).sequence;
        Box::new(Sampled { gate: self, sample })
    }

    fn slots_may_change(&self) -> bool {
        lock(&self.state).active == 0 || self.has(ConsumerFault::SlotsNotBlocked)
    }

    fn unregistered(&self) {
        if !self.has(ConsumerFault::NeverHeals) {
            let mut state = lock(&self.state);
            state.active = 0;
            state.in_progress = 0;
            state.merged = None;
        }
    }
}

struct Sampled<'a> {
    gate: &'a Gate,
    sample: u64,
}

impl subject::Fault for Sampled<'_> {
    fn must_retry(&self, address: Gva) -> bool {
        let state = *lock(&self.gate.state);
        let hit = |bounds: Bounds| bounds.start <= address && address < bounds.end;
        let all = self.gate.has(ConsumerFault::AllRefused) && state.in_progress > 0;
        let in_progress = !self.gate.has(ConsumerFault::InProgressIgnored);
        let ended = !self.gate.has(ConsumerFault::SequenceIgnored);
        all || in_progress && state.merged.is_some_and(hit)
            || ended && state.sequence != self.sample
    }
}
