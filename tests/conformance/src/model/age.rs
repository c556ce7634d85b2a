//! Was it used?

use std::sync::Arc;

use super::Space;
use super::detector::{Entered, Inside, Kind};
use super::seat::{Seat, lock};
use crate::faulty::{AgingFault, ContextFault};
use crate::subject::{Age, Aging, Bounds, Callbacks, Refused};

impl Aging for Space {
    fn age(&self, question: Age, bounds: Bounds) -> Result<bool, Refused> {
        let bounds = if self.has(AgingFault::Widened) {
            Bounds::ALL
        } else {
            bounds
        };
        let _lock = lock(&self.page_table);
        let noticed = !self.has(ContextFault::AgingSleeps);
        let _inside = noticed.then(|| Entered::new(Inside::Lock(self.id)));
        let seats = lock(&self.state).seats.clone();
        let mut young = self.has(AgingFault::YoungByDefault);
        for seat in &seats {
            if let Some(answer) = self.ask(seat, question, bounds) {
                let last = self.has(AgingFault::LastAnswerWins);
                young = if last { answer } else { young || answer };
            }
            if young && self.stops(question) {
                break;
            }
        }
        Ok(young)
    }
}

impl Space {
    fn stops(&self, question: Age) -> bool {
        match question {
            Age::Test => !self.has(AgingFault::TestAsksAll),
            Age::Clear | Age::ClearFlush => self.has(AgingFault::ClearStops),
        }
    }

    fn ask(&self, seat: &Arc<Seat>, question: Age, bounds: Bounds) -> Option<bool> {
        if self.has(AgingFault::OnlyRangesAsked) && !seat.callbacks.has_ranges() {
            return None;
        }
        let question = match question {
            Age::Test if self.has(AgingFault::TestClears) => Age::Clear,
            Age::ClearFlush if self.has(AgingFault::FlushSkipped) => Age::Clear,
            question => question,
        };
        let inside = Inside::Atomic(self.id, Kind::Aging);
        let answer = |callbacks: &Callbacks| match question {
            Age::ClearFlush => callbacks.clear_flush_young.as_ref().map(|ask| ask(bounds)),
            Age::Clear => callbacks.clear_young.as_ref().map(|ask| ask(bounds)),
            Age::Test => callbacks.test_young.as_ref().map(|ask| ask(bounds)),
        };
        self.call(seat, inside, answer).flatten()
    }
}
