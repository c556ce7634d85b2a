//! What must not be done where.

use std::sync::{Arc, Mutex};

use super::sleeping::{Attempt, inside, tlb_that};
use crate::case::cases;
use crate::check::{Outcome, detected, holds, offered};
use crate::log::Log;
use crate::subject::{
    Answer, Bounds, Callbacks, Event, Implementation, Interval, IntervalCallbacks, Refused,
    Registration, Start,
};

cases! { Context, ContextFault:
    "no-sleep-under-page-table-lock" = sleep_under_lock, unless SleepUnderLock:
        "Nothing that may sleep is called with the page-table lock held.";
        "Documentation/mm/mmu_notifier.rst";
    "no-start-under-page-table-lock" = start_under_lock, unless StartUnderLock:
        "A start that may sleep is not called with the page-table lock held.";
        "include/linux/mmu_notifier.h, mmu_notifier_invalidate_range_start (might_sleep)";
    "no-coming-or-going-under-page-table-lock" = register_under_lock, unless RegisterUnderLock:
        "Nobody registers or unregisters with the page-table lock held.";
        "mm/mmu_notifier.c, mmu_notifier_register (mmap_lock), mmu_notifier_unregister (synchronize_srcu)";
    "callback-does-not-take-page-table-lock" = lock_in_callback, unless LockTwice:
        "A secondary-TLB callback does not take the page-table lock, which its caller may hold.";
        "Documentation/mm/mmu_notifier.rst";
    "page-table-locks-are-one-per-mm" = two_locks, unless LocksAlike:
        "The page-table locks of two address spaces may be held at once.";
        "mm/memory.c, copy_pte_range (SINGLE_DEPTH_NESTING)";
    "callback-does-not-register" = register_in_callback, unless RegisterInCallback:
        "A callback does not register with its address space.";
        "mm/mmu_notifier.c, mmu_notifier_register (mmap_lock is held around callbacks)";
    "callback-does-not-unregister" = unregister_in_callback, unless UnregisterInCallback:
        "A callback does not unregister: it would wait for itself.";
        "mm/mmu_notifier.c, mmu_notifier_unregister (synchronize_srcu)";
    "nobody-registers-in-his-own-window" = register_in_window, unless RegisterInOwnWindow:
        "Who has a window open does not register: he would wait for himself.";
        "mm/mmu_notifier.c, __mmu_notifier_register (mmap_assert_write_locked)";
    "callback-installs-nothing" = install_in_callback, unless InstallInCallback:
        "A secondary-TLB callback can't be used to install or widen an entry.";
        "Jason Gunthorpe, ZHKYmOc/x+0w2Nd3@nvidia.com";
    "no-read-under-user-lock" = read_under_user_lock, unless ReadUnderUserLock:
        "A read is not begun with a lock held that the invalidation takes.";
        "mm/mmu_notifier.c, mmu_interval_read_begin (lock_map_acquire)";
    "no-remove-under-user-lock" = remove_under_user_lock, unless RemoveUnderUserLock:
        "An interval is not removed with a lock held that the invalidation takes.";
        "mm/mmu_notifier.c, mmu_interval_notifier_remove (lock_map_acquire)";
    "callback-does-not-remove" = remove_in_callback, unless RemoveInCallback:
        "A callback does not remove an interval: it would wait for itself.";
        "mm/mmu_notifier.c, mmu_interval_notifier_remove";
}

const PAGES: Bounds = Bounds::pages(16, 4);
const EVENT: Event = Event::Clear;

fn sleep_under_lock(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.context())?;
    let mut outcome = Ok(());
    space.with_page_table(&mut |_| {
        outcome = detected("sleeping under the page-table lock", || space.might_sleep());
    })?;
    outcome?;
    // What was caught is over.
    Ok(space.might_sleep()?)
}

fn start_under_lock(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.context())?;
    let mut outcome = Ok(());
    space.with_page_table(&mut |_| {
        let start = || space.invalidate(EVENT, PAGES, &mut || ());
        outcome = detected("a start under the page-table lock", start);
    })?;
    outcome?;
    Ok(space.invalidate(EVENT, PAGES, &mut || ())?)
}

fn register_under_lock(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.context())?, Log::default());
    let mut registration = Some(space.register(log.ranges(1))?);
    let mut outcome = Ok(());
    space.with_page_table(&mut |_| {
        let going = registration.take();
        let unregister = || going.map_or(Ok(()), Registration::unregister);
        outcome = detected("unregistering under the page-table lock", unregister);
    })?;
    outcome?;
    let mut outcome = Ok(());
    space.with_page_table(&mut |_| {
        let register = || space.register(log.ranges(2));
        outcome = detected("registering under the page-table lock", register);
    })?;
    outcome
}

fn lock_in_callback(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.context())?;
    let (attempt, weak) = (Attempt::default(), Arc::downgrade(&space));
    let seen = attempt.clone();
    let callbacks = tlb_that(move || {
        let take = || inside(&weak)?.with_page_table(&mut |_| ());
        seen.must_be_caught("taking the page-table lock twice", take);
    });
    let _registration = space.register(callbacks)?;
    let mut told = Ok(());
    space.with_page_table(&mut |table| told = table.invalidate_secondary_tlbs(PAGES))?;
    told?;
    attempt.outcome()
}

fn two_locks(implementation: &dyn Implementation) -> Outcome {
    let parent = offered(implementation.context())?;
    let child = offered(implementation.context())?;
    let mut both = false;
    let mut inner = Ok(());
    parent.with_page_table(&mut |_| inner = child.with_page_table(&mut |_| both = true))?;
    inner?;
    holds(both, "the second lock was not taken")
}

fn register_in_callback(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.context())?, Log::default());
    let (attempt, weak) = (Attempt::default(), Arc::downgrade(&space));
    let seen = attempt.clone();
    let callbacks = tlb_that(move || {
        let register = || inside(&weak)?.register(log.tlb(2));
        seen.must_be_caught("registering in a callback", register);
    });
    let _registration = space.register(callbacks)?;
    space.invalidate_unlocked(PAGES)?;
    attempt.outcome()
}

/// Another subscriber's registration is given up, so that an implementation that does not notice
/// does not wait for itself.
fn unregister_in_callback(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.context())?, Log::default());
    let attempt = Attempt::default();
    let other: Arc<Mutex<Option<Box<dyn Registration>>>> = Arc::default();
    let (seen, going) = (attempt.clone(), Arc::clone(&other));
    let callbacks = Callbacks {
        range_start: Some(Start::infallible(move |_| {
            let registration = going.lock().ok().and_then(|mut other| other.take());
            let unregister = || registration.map_or(Ok(()), Registration::unregister);
            seen.must_be_caught("unregistering in a callback", unregister);
        })),
        ..Callbacks::default()
    };
    let _registration = space.register(callbacks)?;
    let registered = space.register(log.tlb(2))?;
    if let Ok(mut other) = other.lock() {
        other.replace(registered);
    }
    space.invalidate(EVENT, PAGES, &mut || ())?;
    attempt.outcome()
}

fn register_in_window(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.context())?, Log::default());
    let mut outcome = Ok(());
    space.invalidate(EVENT, PAGES, &mut || {
        let register = || space.register(log.ranges(1));
        outcome = detected("registering in one's own window", register);
    })?;
    outcome?;
    let _fine = space.register(log.ranges(1))?;
    Ok(())
}

fn install_in_callback(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.context())?;
    let (attempt, weak) = (Attempt::default(), Arc::downgrade(&space));
    let seen = attempt.clone();
    let callbacks = tlb_that(move || {
        let install = || inside(&weak)?.install(PAGES);
        seen.must_be_caught("installing an entry in a callback", install);
    });
    let _registration = space.register(callbacks)?;
    space.invalidate_unlocked(PAGES)?;
    attempt.outcome()
}

fn read_under_user_lock(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.intervals())?, Log::default());
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let mut outcome = Ok(());
    interval.with_user_lock(&mut || {
        let read = || interval.read_begin().map(|_| ());
        outcome = detected("a read with the user lock held", read);
    });
    outcome
}

/// The interval, for whoever takes it first.
type Slot = Arc<Mutex<Option<Box<dyn Interval>>>>;

/// Tries to remove what is in the slot.
fn remove(slot: &Slot) -> Result<(), Refused> {
    let interval = slot.lock().ok().and_then(|mut slot| slot.take());
    interval.map_or(Ok(()), |interval| interval.remove())
}

fn remove_under_user_lock(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.intervals())?, Log::default());
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let mut outcome = Ok(());
    interval.with_user_lock(&mut || {
        outcome = detected("removing with the user lock held", || interval.remove());
    });
    outcome
}

fn remove_in_callback(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.intervals())?, Log::default());
    let (attempt, slot) = (Attempt::default(), Slot::default());
    let (seen, going) = (attempt.clone(), Arc::clone(&slot));
    let callbacks = IntervalCallbacks {
        invalidate: Box::new(move |_| {
            seen.must_be_caught("removing an interval in a callback", || remove(&going));
            Answer::Done
        }),
    };
    let _told = space.insert(PAGES.into(), callbacks)?;
    let other = space.insert(PAGES.into(), log.interval(2))?;
    if let Ok(mut slot) = slot.lock() {
        slot.replace(other);
    }
    space.invalidate(EVENT, PAGES, &mut || ())?;
    attempt.outcome()
}
