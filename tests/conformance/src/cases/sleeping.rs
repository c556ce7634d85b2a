//! Who may sleep, and who must not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};

use crate::case::cases;
use crate::check::{Failure, Outcome, detected, offered};
use crate::log::Log;
use crate::subject::{
    Age, Answer, Bounds, Callbacks, Event, Implementation, IntervalCallbacks, Operations, Refused,
    Start,
};

cases! { Context, ContextFault:
    "secondary-tlb-never-sleeps" = tlb_sleeps, unless TlbSleeps:
        "A secondary-TLB callback does not sleep, whatever is held.";
        "include/linux/mmu_notifier.h, arch_invalidate_secondary_tlbs";
    "nonblockable-callback-never-sleeps" = nonblocking_sleeps, unless NonblockingSleeps:
        "A range callback does not sleep if it must not.";
        "mm/mmu_notifier.c (non_block_start)";
    "nonblockable-end-never-sleeps" = nonblocking_end_sleeps, unless NonblockingEndSleeps:
        "The end of what must not sleep does not sleep either: it may only if its start may.";
        "include/linux/mmu_notifier.h, invalidate_range_end (mmu_notifier_range_blockable)";
    "aging-callback-never-sleeps" = aging_sleeps, unless AgingSleeps:
        "Aging callbacks do not sleep.";
        "include/linux/mmu_notifier.h, clear_flush_young (under the page-table lock)";
    "free-never-sleeps" = free_sleeps, unless FreeSleeps:
        "The callback that frees a shared subscriber does not sleep.";
        "include/linux/mmu_notifier.h, free_notifier (SRCU callback)";
    "making-a-subscriber-may-sleep" = alloc_may_sleep, unless AllocNeverSleeps:
        "What makes a shared subscriber may sleep.";
        "include/linux/mmu_notifier.h, alloc_notifier";
    "blockable-callbacks-may-sleep" = may_sleep, unless NeverSleeps:
        "Range callbacks that may sleep, intervals' callbacks and release may.";
        "include/linux/mmu_notifier.h, invalidate_range_start, release";
}

const PAGES: Bounds = Bounds::pages(16, 4);
const EVENT: Event = Event::Clear;

/// What was tried inside a callback and what came of it; a panic there counts as caught.
#[derive(Clone, Default)]
pub(super) struct Attempt(Arc<Mutex<Option<Outcome>>>);

impl Attempt {
    fn set(&self, outcome: Outcome) {
        if let Ok(mut slot) = self.0.lock() {
            slot.get_or_insert(outcome);
        }
    }

    /// Something that must be caught.
    pub(super) fn must_be_caught<T>(&self, what: &str, body: impl FnOnce() -> Result<T, Refused>) {
        self.set(detected(what, body));
    }

    /// Something that must go through.
    fn must_go_through(&self, body: impl FnOnce() -> Result<(), Refused>) {
        let done = catch_unwind(AssertUnwindSafe(body));
        let outcome = done.unwrap_or_else(|_| Err(Refused::Violation("it panicked".into())));
        self.set(outcome.map_err(Failure::from));
    }

    pub(super) fn outcome(&self) -> Outcome {
        let outcome = self.0.lock().ok().and_then(|mut slot| slot.take());
        outcome.unwrap_or_else(|| Err(Failure::Broken("the callback was not called".into())))
    }
}

/// A subscriber that does `doing` in its secondary-TLB callback.
pub(super) fn tlb_that(doing: impl Fn() + Send + Sync + 'static) -> Callbacks {
    Callbacks {
        secondary_tlb: Some(Box::new(move |_| doing())),
        ..Callbacks::default()
    }
}

/// The space as a callback holds it, which must not keep it.
pub(super) fn inside<S: ?Sized>(space: &Weak<S>) -> Result<Arc<S>, Refused> {
    space.upgrade().ok_or(Refused::Exited)
}

fn tlb_sleeps(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.context())?;
    for locked in [true, false] {
        let (attempt, weak) = (Attempt::default(), Arc::downgrade(&space));
        let seen = attempt.clone();
        let callbacks = tlb_that(move || {
            seen.must_be_caught("a secondary TLB that sleeps", || {
                inside(&weak)?.might_sleep()
            });
        });
        let registration = space.register(callbacks)?;
        let mut told = Ok(());
        if locked {
            space.with_page_table(&mut |table| told = table.invalidate_secondary_tlbs(PAGES))?;
        } else {
            told = space.invalidate_unlocked(PAGES);
        }
        told?;
        registration.unregister()?;
        attempt.outcome()?;
    }
    Ok(())
}

/// The group of non-blocking starts and this one have to be offered by the same type, whose detector
/// is asked through an address space of this group.
fn nonblocking(
    implementation: &dyn Implementation,
    callbacks: impl FnOnce(Box<dyn Fn() + Send + Sync>) -> Callbacks,
) -> Outcome {
    let space = offered(implementation.refusals())?;
    let detector = offered(implementation.context())?;
    let attempt = Attempt::default();
    let seen = attempt.clone();
    let doing = move || {
        seen.must_be_caught("a callback that sleeps", || detector.might_sleep());
    };
    let _registration = space.register(callbacks(Box::new(doing)))?;
    space.try_invalidate(EVENT, PAGES, &mut || ())?;
    attempt.outcome()
}

fn nonblocking_sleeps(implementation: &dyn Implementation) -> Outcome {
    nonblocking(implementation, |doing| Callbacks {
        range_start: Some(Start::infallible(move |_| doing())),
        ..Callbacks::default()
    })
}

fn nonblocking_end_sleeps(implementation: &dyn Implementation) -> Outcome {
    nonblocking(implementation, |doing| Callbacks {
        range_start: Some(Start::infallible(|_| ())),
        range_end: Some(Box::new(move |_| doing())),
        ..Callbacks::default()
    })
}

fn aging_sleeps(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.aging())?;
    let detector = offered(implementation.context())?;
    let attempt = Attempt::default();
    let seen = attempt.clone();
    let callbacks = Callbacks {
        test_young: Some(Box::new(move |_| {
            seen.must_be_caught("an aging callback that sleeps", || detector.might_sleep());
            false
        })),
        ..Log::default().ranges(1)
    };
    let _registration = space.register(callbacks)?;
    space.age(Age::Test, PAGES)?;
    attempt.outcome()
}

fn free_sleeps(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.lifetime())?;
    let detector = offered(implementation.context())?;
    let attempt = Attempt::default();
    let shared = space.get(Operations::One, &mut || {
        let (seen, detector) = (attempt.clone(), Arc::clone(&detector));
        Ok(Callbacks {
            free: Some(Box::new(move || {
                seen.must_be_caught("a free that sleeps", || detector.might_sleep());
            })),
            ..Log::default().ranges(1)
        })
    })?;
    shared.put()?;
    let called = || attempt.0.lock().is_ok_and(|slot| slot.is_some());
    crate::task::eventually("it was never freed", called)?;
    attempt.outcome()
}

fn may_sleep(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.intervals())?;
    let detector = offered(implementation.context())?;
    let attempts = [(); 4].map(|()| Attempt::default());
    let doing = |which: usize| {
        let (attempt, detector) = (attempts[which].clone(), Arc::clone(&detector));
        move || attempt.must_go_through(|| detector.might_sleep())
    };
    let (start, end, release, interval) = (doing(0), doing(1), doing(2), doing(3));
    let callbacks = Callbacks {
        range_start: Some(Start::infallible(move |_| start())),
        range_end: Some(Box::new(move |_| end())),
        release: Some(Box::new(release)),
        ..Callbacks::default()
    };
    let _registration = space.register(callbacks)?;
    let invalidate = move |_| {
        interval();
        Answer::Done
    };
    let callbacks = IntervalCallbacks {
        invalidate: Box::new(invalidate),
    };
    let _interval = space.insert(PAGES.into(), callbacks)?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    space.exit()?;
    attempts.iter().try_for_each(Attempt::outcome)
}

fn alloc_may_sleep(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.lifetime())?;
    let detector = offered(implementation.context())?;
    let attempt = Attempt::default();
    let shared = space.get(Operations::One, &mut || {
        attempt.must_go_through(|| detector.might_sleep());
        Ok(Log::default().ranges(1))
    })?;
    shared.put()?;
    attempt.outcome()
}
