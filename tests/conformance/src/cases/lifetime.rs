//! Registering, unregistering, and the end of the address space.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::log::{Log, Seen};
use crate::subject::{Bounds, Callbacks, Event, Implementation, Lifetime, Refused};
use crate::task::{Hold, OpenWindow, Task};

cases! { Lifetime, LifetimeFault:
    "registration-waits-for-window" = registration_waits, unless RegistersInWindow:
        "Registering completes only when no window is open that the subscriber was not told of.";
        "mm/mmu_notifier.c, __mmu_notifier_register (mmap_lock, mm_take_all_locks)";
    "no-end-without-its-start" = no_lone_end, unless LoneEnd:
        "Who registers while a window is open is not told its end.";
        "mm/mmu_notifier.c, __mmu_notifier_register";
    "unregister-inside-window" = unregister_inside_window, unless EndAfterUnregister:
        "Who unregisters inside a window was told its start and is not told its end.";
        "virt/kvm/kvm_main.c, kvm_destroy_vm";
    "unregister-does-not-wait-for-window" = unregister_goes_on, unless UnregisterWaitsForWindows:
        "Unregistering does not wait for open windows.";
        "mm/mmu_notifier.c, mmu_notifier_unregister";
    "unregister-waits-for-callback" = unregister_waits, unless UnregisterDoesNotWait:
        "Unregistering returns only when no callback of the subscriber runs.";
        "mm/mmu_notifier.c, mmu_notifier_unregister (synchronize_srcu)";
    "nothing-after-unregister" = nothing_after_unregister, unless StaysRegistered:
        "After unregistering has returned no callback is called.";
        "mm/mmu_notifier.c, mmu_notifier_unregister";
    "nothing-after-unregister-under-load" = nothing_under_load, unless UnregisterDoesNotWait:
        "The same with a million invalidations while subscribers come and go.";
        "mm/mmu_notifier.c, mmu_notifier_unregister";
    "unregister-releases" = unregister_releases, unless UnregisterSkipsRelease:
        "Unregistering calls release if nobody has.";
        "mm/mmu_notifier.c, mmu_notifier_unregister";
    "exit-releases" = exit_releases, unless ExitSkipsRelease:
        "The end of the address space calls release before it returns, so before pages are freed.";
        "mm/mmu_notifier.c, mn_hlist_release; mm/mmap.c, exit_mmap";
    "release-once-if-nobody-races" = release_once, unless ReleaseTwice:
        "Who was released by the end of the address space is not released by unregistering later.";
        "mm/mmu_notifier.c, mmu_notifier_unregister (hlist_unhashed)";
    "exit-races-unregister" = exit_races, unless NoRelease:
        "When the end and unregistering race, release is called by one or by both, and has returned when either returns.";
        "mm/mmu_notifier.c, mn_hlist_release (deduced)";
    "exit-waits-for-callbacks" = exit_waits, unless ExitDoesNotWait:
        "The end of the address space waits for callbacks that run, since pages are freed next.";
        "mm/mmu_notifier.c, mn_hlist_release (synchronize_srcu)";
    "exit-waits-for-release-under-way" = exit_waits_for_release, unless ExitDoesNotWait:
        "The end of the address space waits for a release that unregistering has begun.";
        "mm/mmu_notifier.c, mn_hlist_release (synchronize_srcu)";
    "register-after-exit-is-refused" = register_after_exit, unless JoinsAfterExit:
        "Nobody registers with an address space that has ended.";
        "mm/mmu_notifier.c, __mmu_notifier_register (BUG_ON mm_users <= 0)";
    "nothing-after-exit" = nothing_after_exit, unless ToldAfterExit:
        "After the end nobody is told of a change.";
        "mm/mmu_notifier.c, mn_hlist_release (hlist_del_init_rcu)";
    "registration-keeps-the-mm" = registration_keeps, unless SpaceNotKept:
        "A registration keeps the address space's structure until it is unregistered.";
        "mm/mmu_notifier.c, __mmu_notifier_register (mmgrab)";
}

const PAGES: Bounds = Bounds::pages(16, 4);
const EVENT: Event = Event::Unmap;

/// A space whose only subscriber, 1, follows ranges.
fn space(implementation: &dyn Implementation) -> Result<(Arc<dyn Lifetime>, Log), Failure> {
    Ok((offered(implementation.lifetime())?, Log::default()))
}

fn releases(log: &Log) -> usize {
    log.count(|seen| matches!(seen, Seen::Release(_)))
}

fn registration_waits(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let (late, callbacks) = (Arc::clone(&space), log.ranges(1));
    let mut registering = Task::spawn(move || late.register(callbacks));
    let waited = registering.waits();
    window.close()?;
    registering.finish("a registration")??;
    holds(waited, "a registration completed inside a window")
}

fn no_lone_end(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let (late, callbacks) = (Arc::clone(&space), log.ranges(1));
    let mut registering = Task::spawn(move || late.register(callbacks));
    // An implementation may let it in, as long as it is not told half of the window.
    let _waited = registering.waits();
    window.close()?;
    let _registration = registering.finish("a registration")??;
    let starts = log.count(|seen| matches!(seen, Seen::Start(..)));
    let ends = log.count(|seen| matches!(seen, Seen::End(..)));
    equal(
        "starts and ends of a window from before",
        (starts, ends),
        (0, 0),
    )
}

fn unregister_inside_window(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let registration = space.register(log.ranges(1))?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let going = Task::spawn(move || registration.unregister());
    going.finish("unregistering inside a window")??;
    window.close()?;
    equal("ends", log.count(|seen| matches!(seen, Seen::End(..))), 0)?;
    equal(
        "starts",
        log.count(|seen| matches!(seen, Seen::Start(..))),
        1,
    )
}

fn unregister_goes_on(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let registration = space.register(log.ranges(1))?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let going = Task::spawn(move || registration.unregister());
    let gone = going.finish("unregistering inside a window");
    window.close()?;
    Ok(gone??)
}

/// A secondary TLB that stays in its callback.
fn slow_tlb(hold: &Arc<Hold>) -> Callbacks {
    let hold = Arc::clone(hold);
    Callbacks {
        secondary_tlb: Some(Box::new(move |_| hold.stay())),
        ..Callbacks::default()
    }
}

/// One that is in its callback on another thread when `body` runs on a third; whether `body` waited
/// for it.
fn beside_callback<T: Send + 'static>(
    space: &Arc<dyn Lifetime>,
    hold: &Arc<Hold>,
    body: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<bool, Failure> {
    let teller = Arc::clone(space);
    let telling = Task::spawn(move || teller.invalidate_unlocked(PAGES));
    hold.wait_entered("the secondary TLB")?;
    let mut other = Task::spawn(body);
    let waited = other.waits();
    hold.let_go();
    telling.finish("an invalidation")??;
    other.finish("what waits for a callback")??;
    Ok(waited)
}

fn unregister_waits(implementation: &dyn Implementation) -> Outcome {
    let (space, hold) = (offered(implementation.lifetime())?, Arc::default());
    let registration = space.register(slow_tlb(&hold))?;
    let waited = beside_callback(&space, &hold, move || registration.unregister())?;
    holds(waited, "unregistering returned while a callback ran")
}

fn nothing_after_unregister(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    space.register(log.ranges(1))?.unregister()?;
    space.register(log.tlb(2))?.unregister()?;
    log.take();
    space.invalidate(EVENT, PAGES, &mut || ())?;
    space.invalidate_unlocked(PAGES)?;
    equal("calls", log.take(), vec![])
}

/// One thread invalidates a million times; another has subscribers come and go, and each checks that
/// it is not called when it is gone.
fn nothing_under_load(implementation: &dyn Implementation) -> Outcome {
    const INVALIDATIONS: u64 = 1_000_000;
    let space = offered(implementation.lifetime())?;
    let (done, late) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (teller, is_done) = (Arc::clone(&space), Arc::clone(&done));
    let telling = Task::spawn(move || {
        let told = (0..INVALIDATIONS).try_for_each(|_| teller.invalidate_unlocked(PAGES));
        is_done.store(true, Ordering::SeqCst);
        told
    });
    while !done.load(Ordering::SeqCst) {
        let gone = Arc::new(AtomicBool::new(false));
        let (is_gone, late) = (Arc::clone(&gone), Arc::clone(&late));
        let callbacks = Callbacks {
            secondary_tlb: Some(Box::new(move |_| {
                std::hint::spin_loop();
                late.fetch_add(is_gone.load(Ordering::SeqCst).into(), Ordering::SeqCst);
            })),
            ..Callbacks::default()
        };
        space.register(callbacks)?.unregister()?;
        gone.store(true, Ordering::SeqCst);
    }
    telling.finish("a million invalidations")??;
    equal("calls after unregistering", late.load(Ordering::SeqCst), 0)
}

fn unregister_releases(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let registration = space.register(log.ranges(1))?;
    equal("releases while registered", releases(&log), 0)?;
    registration.unregister()?;
    equal("releases", releases(&log), 1)
}

fn exit_releases(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _ranges = space.register(log.ranges(1))?;
    let _tlb = space.register(log.tlb(2))?;
    space.exit()?;
    for who in [1, 2] {
        holds(log.has(Seen::Release(who)), "a subscriber was not released")?;
    }
    Ok(())
}

fn release_once(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let registration = space.register(log.ranges(1))?;
    space.exit()?;
    registration.unregister()?;
    equal("releases", releases(&log), 1)
}

fn exit_races(implementation: &dyn Implementation) -> Outcome {
    for _ in 0..50 {
        let (space, log) = space(implementation)?;
        let registration = space.register(log.ranges(1))?;
        let (ending, seen) = (Arc::clone(&space), log.clone());
        let exit = Task::spawn(move || ending.exit().map(|()| releases(&seen)));
        registration.unregister()?;
        let by_unregister = releases(&log);
        let by_exit = exit.finish("the end of the address space")??;
        holds(
            (1..=2).contains(&by_unregister),
            "not released when unregistering returned",
        )?;
        holds(
            (1..=2).contains(&by_exit),
            "not released when the end returned",
        )?;
    }
    Ok(())
}

fn exit_waits(implementation: &dyn Implementation) -> Outcome {
    let (space, hold) = (offered(implementation.lifetime())?, Arc::default());
    let _registration = space.register(slow_tlb(&hold))?;
    let ending = Arc::clone(&space);
    let waited = beside_callback(&space, &hold, move || ending.exit())?;
    holds(waited, "the address space ended while a callback ran")
}

fn exit_waits_for_release(implementation: &dyn Implementation) -> Outcome {
    let (space, hold) = (
        offered(implementation.lifetime())?,
        Arc::new(Hold::default()),
    );
    let staying = Arc::clone(&hold);
    let callbacks = Callbacks {
        release: Some(Box::new(move || staying.stay())),
        ..Callbacks::default()
    };
    let registration = space.register(callbacks)?;
    let going = Task::spawn(move || registration.unregister());
    hold.wait_entered("release")?;
    let mut exit = Task::spawn(move || space.exit());
    let waited = exit.waits();
    hold.let_go();
    exit.finish("the end of the address space")??;
    going.finish("unregistering")??;
    holds(waited, "the address space ended while a release ran")
}

fn register_after_exit(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    space.exit()?;
    let late = space.register(log.ranges(1));
    holds(late.is_err(), "somebody registered after the end")
}

fn nothing_after_exit(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _ranges = space.register(log.ranges(1))?;
    let _tlb = space.register(log.tlb(2))?;
    space.exit()?;
    log.take();
    // It may refuse; what counts is that nobody is told.
    let _refused = space.invalidate(EVENT, PAGES, &mut || ());
    let _refused = space.invalidate_unlocked(PAGES);
    equal("calls", log.take(), vec![])
}

fn registration_keeps(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let registration = space.register(log.ranges(1))?;
    drop(space);
    registration.unregister()?;
    equal("releases", releases(&log), 1)
}
