//! A device with an accessed bit, behind a TLB through which a use does not set it.

use std::sync::Mutex;

use super::seat::lock;
use crate::faulty::{ConsumerFault, Fault};
use crate::subject::{self, Age, Refused};

pub(super) struct Aged {
    fault: Option<Fault>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accessed: bool,
    in_tlb: bool,
}

impl Aged {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let state = Mutex::default();
        Self { fault, state }
    }
}

impl subject::Aged for Aged {
    fn touch(&self) -> Result<(), Refused> {
        let mut state = lock(&self.state);
        state.accessed |= !state.in_tlb;
        state.in_tlb = true;
        Ok(())
    }

    /// `clear_young` leaves the TLB as it is, which it may.
    fn age(&self, question: Age) -> Result<bool, Refused> {
        let mut state = lock(&self.state);
        let young = state.accessed;
        state.accessed &= question == Age::Test;
        let flushes = self.fault != Some(ConsumerFault::AgeNotFlushed.into());
        state.in_tlb &= !(flushes && question == Age::ClearFlush);
        Ok(young)
    }
}
