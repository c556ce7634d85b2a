//! What subscribers of a case write down.

use std::sync::{Arc, Mutex, PoisonError};

use crate::subject::{
    Again, Answer, Bounds, Callbacks, Change, IntervalCallbacks, Refuses, Start, Step, Witness,
};

/// Which subscriber of a case.
pub(crate) type Who = u8;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Start(Who, Change),
    End(Who, Change),
    Tlb(Who, Bounds),
    ClearFlushYoung(Who, Bounds),
    ClearYoung(Who, Bounds),
    TestYoung(Who, Bounds),
    Release(Who),
    Free(Who),
    Interval(Who, Change),
    Finish(Who),
    /// The case itself, between a start and its end.
    Body,
    /// The page table's side.
    Step(Step),
}

/// Everything that was seen, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub(crate) fn push(&self, seen: Seen) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(seen);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What was seen since it was last taken.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn count(&self, which: impl Fn(&Seen) -> bool) -> usize {
        self.seen().into_iter().filter(which).count()
    }

    pub(crate) fn has(&self, seen: Seen) -> bool {
        self.count(|other| *other == seen) > 0
    }

    /// One with page tables of its own.
    pub(crate) fn ranges(&self, who: Who) -> Callbacks {
        let (start, end) = (self.clone(), self.clone());
        Callbacks {
            range_start: Some(Start::infallible(move |change| {
                start.push(Seen::Start(who, change));
            })),
            range_end: Some(Box::new(move |change| end.push(Seen::End(who, change)))),
            ..self.coming_and_going(who)
        }
    }

    /// One with page tables of its own that refuses whenever it must not sleep.
    pub(crate) fn refusing(&self, who: Who) -> Callbacks {
        let start = self.clone();
        let call = move |change: Change| {
            start.push(Seen::Start(who, change));
            match change.blocking {
                crate::subject::Blocking::Allowed => Ok(()),
                crate::subject::Blocking::Forbidden => Err(Again),
            }
        };
        Callbacks {
            range_start: Some(Start {
                refuses: Refuses::WhenMustNotSleep,
                call: Box::new(call),
            }),
            ..self.coming_and_going(who)
        }
    }

    /// One that caches the primary page table.
    pub(crate) fn tlb(&self, who: Who) -> Callbacks {
        let tlb = self.clone();
        Callbacks {
            secondary_tlb: Some(Box::new(move |bounds| tlb.push(Seen::Tlb(who, bounds)))),
            ..self.coming_and_going(who)
        }
    }

    /// One with page tables of its own that gives these answers about age.
    pub(crate) fn aging(&self, who: Who, young: bool) -> Callbacks {
        let answer = |seen: fn(Who, Bounds) -> Seen| {
            let log = self.clone();
            Box::new(move |bounds| {
                log.push(seen(who, bounds));
                young
            })
        };
        Callbacks {
            clear_flush_young: Some(answer(Seen::ClearFlushYoung)),
            clear_young: Some(answer(Seen::ClearYoung)),
            test_young: Some(answer(Seen::TestYoung)),
            ..self.ranges(who)
        }
    }

    fn coming_and_going(&self, who: Who) -> Callbacks {
        let (release, free) = (self.clone(), self.clone());
        Callbacks {
            release: Some(Box::new(move || release.push(Seen::Release(who)))),
            free: Some(Box::new(move || free.push(Seen::Free(who)))),
            ..Callbacks::default()
        }
    }

    /// An interval in one pass.
    pub(crate) fn interval(&self, who: Who) -> IntervalCallbacks {
        self.answering(who, |_| Answer::Done)
    }

    /// An interval in two passes.
    pub(crate) fn two_pass(&self, who: Who) -> IntervalCallbacks {
        let log = self.clone();
        self.answering(who, move |_| {
            let log = log.clone();
            Answer::Finish(Box::new(move || log.push(Seen::Finish(who))))
        })
    }

    /// An interval that refuses whenever it must not sleep.
    pub(crate) fn refusing_interval(&self, who: Who) -> IntervalCallbacks {
        self.answering(who, |change| match change.blocking {
            crate::subject::Blocking::Allowed => Answer::Done,
            crate::subject::Blocking::Forbidden => Answer::Refuse,
        })
    }

    fn answering(
        &self,
        who: Who,
        answer: impl Fn(Change) -> Answer + Send + Sync + 'static,
    ) -> IntervalCallbacks {
        let log = self.clone();
        let invalidate = move |change| {
            log.push(Seen::Interval(who, change));
            answer(change)
        };
        IntervalCallbacks {
            invalidate: Box::new(invalidate),
        }
    }
}

impl Witness for Log {
    fn saw(&self, step: Step) {
        self.push(Seen::Step(step));
    }
}
