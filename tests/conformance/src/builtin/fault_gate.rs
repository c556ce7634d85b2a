//! The gate of `notifier::secondary::shadow`, with a lock in the place of KVM's `mmu_lock`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use notifier::addr::Gva;
use notifier::secondary::shadow::{self, Relevance, Sample};

use super::invalid;
use crate::subject::{Bounds, Fault, FaultGate, Refused, Slots};

#[derive(Default)]
pub(super) struct Gate(Mutex<shadow::Gate>);

impl Gate {
    fn lock(&self) -> MutexGuard<'_, shadow::Gate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn relevance(slots: Slots) -> Relevance {
    match slots {
        Slots::Overlap => Relevance::Mapped,
        Slots::Elsewhere => Relevance::Elsewhere,
    }
}

impl FaultGate for Gate {
    fn start(&self, bounds: Bounds, slots: Slots) -> Result<(), Refused> {
        let range = bounds.range().map_err(invalid)?;
        self.lock().start(range, relevance(slots));
        Ok(())
    }

    fn end(&self, _: Bounds, slots: Slots) -> Result<(), Refused> {
        let ended = self.lock().end(relevance(slots));
        ended.map_err(|unbalanced| Refused::Violation(unbalanced.to_string()))
    }

    fn fault(&self) -> Box<dyn Fault + '_> {
        let sample = self.lock().sample();
        Box::new(Sampled { gate: self, sample })
    }

    fn slots_may_change(&self) -> bool {
        self.lock().is_idle()
    }

    fn unregistered(&self) {
        self.lock().heal();
    }
}

struct Sampled<'a> {
    gate: &'a Gate,
    sample: Sample,
}

impl Fault for Sampled<'_> {
    fn must_retry(&self, address: Gva) -> bool {
        self.gate.lock().must_retry(self.sample, address)
    }
}
