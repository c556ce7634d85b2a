//! Subscribers that are shared by all their users: get and put.

use std::sync::Arc;

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::log::{Log, Seen};
use crate::subject::{
    AllocFailed, Bounds, Callbacks, Event, Implementation, Lifetime, Operations, Refused, Shared,
};
use crate::task::{Hold, Task, eventually};
use std::sync::Mutex;

cases! { Lifetime, LifetimeFault:
    "get-twice-is-one-subscriber" = get_twice, unless AlwaysNew:
        "A second get with the same operations gives the same subscriber, made once.";
        "mm/mmu_notifier.c, mmu_notifier_get_locked";
    "other-operations-other-subscriber" = other_operations, unless IgnoresOperations:
        "A get with other operations gives another subscriber.";
        "mm/mmu_notifier.c, find_get_mmu_notifier";
    "other-mm-other-subscriber" = other_mm, unless IgnoresSpace:
        "The same operations in another address space are another subscriber.";
        "mm/mmu_notifier.c, find_get_mmu_notifier";
    "users-do-not-overflow" = users_do_not_overflow, unless UsersWrap:
        "A get beyond the number of users that can be counted is refused, and one after a put is not.";
        "mm/mmu_notifier.c, find_get_mmu_notifier (-EOVERFLOW)";
    "failed-alloc-leaves-nothing" = failed_alloc, unless FailureStays:
        "When the subscriber can't be made, get fails with that and the next get tries anew.";
        "mm/mmu_notifier.c, mmu_notifier_get_locked";
    "failed-registration-frees" = failed_registration, unless FailureLeaks:
        "When what was made can't be registered, it is freed.";
        "mm/mmu_notifier.c, mmu_notifier_get_locked (out_free)";
    "first-put-of-two-changes-nothing" = first_put, unless FirstPutRemoves:
        "A subscriber is told changes until its last user has given it back.";
        "mm/mmu_notifier.c, mmu_notifier_put";
    "put-never-releases" = put_never_releases, unless PutReleases:
        "Giving back does not call release.";
        "mm/mmu_notifier.c, mmu_notifier_put";
    "free-after-last-put" = free_after_last_put, unless FreeNever:
        "After the last user has given it back the subscriber is freed, sooner or later.";
        "mm/mmu_notifier.c, mmu_notifier_free_rcu";
    "free-only-once" = free_only_once, unless FreeTwice:
        "A subscriber is freed once.";
        "mm/mmu_notifier.c, mmu_notifier_free_rcu";
    "free-waits-for-callbacks" = free_waits, unless FreeEarly:
        "A subscriber is freed only when no callback of it runs: they may go on after the last put.";
        "mm/mmu_notifier.c, mmu_notifier_put (call_srcu)";
    "put-does-not-wait" = put_does_not_wait, unless PutWaits:
        "Giving back does not wait for callbacks.";
        "mm/mmu_notifier.c, mmu_notifier_put (call_srcu)";
    "put-inside-release" = put_inside_release, unless PutNotInCallback:
        "A subscriber may be given back by its own release.";
        "include/linux/mmu_notifier.h, release";
    "get-after-last-put-makes-anew" = get_makes_anew, unless ComesBack:
        "A get after the last put makes a new subscriber.";
        "mm/mmu_notifier.c, find_get_mmu_notifier (users == 0)";
}

const PAGES: Bounds = Bounds::pages(16, 4);

/// A hold on the subscriber with these callbacks, which counts as made in the log of `who`.
fn get(
    space: &Arc<dyn Lifetime>,
    operations: Operations,
    callbacks: impl Fn() -> Callbacks,
) -> Result<Box<dyn Shared>, Refused> {
    space.get(operations, &mut || Ok(callbacks()))
}

fn frees(log: &Log) -> usize {
    log.count(|seen| matches!(seen, Seen::Free(_)))
}

fn get_twice(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    let one = get(&space, Operations::One, || log.ranges(1))?;
    let two = get(&space, Operations::One, || log.ranges(2))?;
    equal("the object", two.object(), one.object())?;
    space.invalidate(Event::Unmap, PAGES, &mut || ())?;
    equal(
        "starts",
        log.count(|seen| matches!(seen, Seen::Start(..))),
        1,
    )
}

fn other_operations(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    let one = get(&space, Operations::One, || log.ranges(1))?;
    let two = get(&space, Operations::Two, || log.ranges(2))?;
    holds(
        one.object() != two.object(),
        "two operations share a subscriber",
    )
}

fn other_mm(implementation: &dyn Implementation) -> Outcome {
    let log = Log::default();
    let first = offered(implementation.lifetime())?;
    let second = offered(implementation.lifetime())?;
    let one = get(&first, Operations::One, || log.ranges(1))?;
    let two = get(&second, Operations::One, || log.ranges(2))?;
    holds(
        one.object() != two.object(),
        "two address spaces share a subscriber",
    )
}

fn users_do_not_overflow(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    let mut users = Vec::new();
    for _ in 0..space.user_limit() {
        users.push(get(&space, Operations::One, || log.ranges(1))?);
    }
    let one_more = get(&space, Operations::One, || log.ranges(1));
    let refused = matches!(one_more, Err(Refused::Overflow(_)));
    holds(refused, "one more user than can be counted was accepted")?;
    match users.pop() {
        Some(user) => user.put()?,
        None => return Err(Failure::Broken("no user can be counted".into())),
    }
    get(&space, Operations::One, || log.ranges(1))?;
    Ok(())
}

fn failed_alloc(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    let failed = space.get(Operations::One, &mut || Err(AllocFailed));
    equal("the error", failed.map(|_| ()), Err(Refused::Alloc))?;
    get(&space, Operations::One, || log.ranges(1))?;
    Ok(())
}

/// An implementation that looks before it makes one has nothing to free.
fn failed_registration(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    space.exit()?;
    let mut made = 0;
    let late = space.get(Operations::One, &mut || {
        made += 1;
        Ok(log.ranges(1))
    });
    holds(late.is_err(), "a get after the end was accepted")?;
    equal("frees", frees(&log), made)
}

fn first_put(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    let one = get(&space, Operations::One, || log.ranges(1))?;
    let _two = get(&space, Operations::One, || log.ranges(1))?;
    one.put()?;
    space.invalidate(Event::Unmap, PAGES, &mut || ())?;
    equal(
        "starts",
        log.count(|seen| matches!(seen, Seen::Start(..))),
        1,
    )?;
    equal("frees", frees(&log), 0)
}

fn put_never_releases(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    get(&space, Operations::One, || log.ranges(1))?.put()?;
    equal(
        "releases",
        log.count(|seen| matches!(seen, Seen::Release(_))),
        0,
    )
}

fn free_after_last_put(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    get(&space, Operations::One, || log.ranges(1))?.put()?;
    eventually("it was never freed", || frees(&log) > 0)
}

fn free_only_once(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    get(&space, Operations::One, || log.ranges(1))?.put()?;
    eventually("it was never freed", || frees(&log) > 0)?;
    space.exit()?;
    std::thread::sleep(crate::task::A_WHILE);
    equal("frees", frees(&log), 1)
}

/// A shared secondary TLB that stays in its callback while `body` gives it back.
fn put_beside_callback(
    implementation: &dyn Implementation,
    verify: impl FnOnce(&Log, Task<Result<(), Refused>>) -> Outcome,
) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    let hold: Arc<Hold> = Arc::default();
    let callbacks = || {
        let hold = Arc::clone(&hold);
        Callbacks {
            secondary_tlb: Some(Box::new(move |_| hold.stay())),
            ..log.tlb(1)
        }
    };
    let shared = get(&space, Operations::One, callbacks)?;
    let teller = Arc::clone(&space);
    let telling = Task::spawn(move || teller.invalidate_unlocked(PAGES));
    hold.wait_entered("the secondary TLB")?;
    let verified = verify(&log, Task::spawn(move || shared.put()));
    hold.let_go();
    telling.finish("an invalidation")??;
    verified?;
    eventually("it was never freed", || frees(&log) > 0)
}

fn free_waits(implementation: &dyn Implementation) -> Outcome {
    put_beside_callback(implementation, |log, putting| {
        putting.finish("giving back")??;
        std::thread::sleep(crate::task::A_WHILE);
        equal("frees while a callback runs", frees(log), 0)
    })
}

fn put_does_not_wait(implementation: &dyn Implementation) -> Outcome {
    put_beside_callback(implementation, |_, putting| {
        Ok(putting.finish("giving back")??)
    })
}

fn put_inside_release(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    let held: Arc<Mutex<Option<Box<dyn Shared>>>> = Arc::default();
    let result = Arc::new(Mutex::new(None));
    let callbacks = || {
        let (held, result) = (Arc::clone(&held), Arc::clone(&result));
        let release = move || {
            let shared = held.lock().ok().and_then(|mut held| held.take());
            if let (Some(shared), Ok(mut result)) = (shared, result.lock()) {
                *result = Some(shared.put());
            }
        };
        Callbacks {
            release: Some(Box::new(release)),
            ..log.ranges(1)
        }
    };
    let shared = get(&space, Operations::One, callbacks)?;
    held.lock()
        .map_err(|_| Failure::Broken("a callback panicked".into()))?
        .replace(shared);
    let ending = Task::spawn(move || space.exit());
    ending.finish("the end of the address space")??;
    let result = result.lock().ok().and_then(|mut result| result.take());
    equal("giving back", result, Some(Ok(())))?;
    eventually("it was never freed", || frees(&log) > 0)
}

fn get_makes_anew(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.lifetime())?, Log::default());
    get(&space, Operations::One, || log.ranges(1))?.put()?;
    let _shared = get(&space, Operations::One, || log.ranges(2))?;
    space.invalidate(Event::Unmap, PAGES, &mut || ())?;
    let new = log.count(|seen| matches!(seen, Seen::Start(2, _)));
    let old = log.count(|seen| matches!(seen, Seen::Start(1, _)));
    equal("starts of the old and the new one", (old, new), (0, 1))
}
