//! Reads of an interval, which find out afterwards whether they were overtaken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::intervals::space;
use crate::case::cases;
use crate::check::{Outcome, holds};
use crate::subject::{Answer, Bounds, Event, Implementation, Interval, IntervalCallbacks};
use crate::task::{A_WHILE, OpenWindow, Task};

cases! { Intervals, IntervalFault:
    "read-waits-for-its-invalidation" = read_waits, unless ReadDoesNotWait:
        "Beginning a read waits for an invalidation of its interval that is open.";
        "mm/mmu_notifier.c, mmu_interval_read_begin";
    "read-goes-on-elsewhere" = read_goes_on, unless ReadWaitsForAll:
        "Beginning a read does not wait for an invalidation that its interval was not told of.";
        "mm/mmu_notifier.c, mmu_interval_read_begin (seq != invalidate_seq)";
    "read-waits-once" = read_waits_once, unless ReadLoops:
        "Beginning a read returns after the invalidation that it waited for, though a new one has begun.";
        "mm/mmu_notifier.c, mmu_interval_read_begin (no loop)";
    "retry-after-invalidation" = retry_after, unless NumberNotSet:
        "A read that an invalidation of its interval overtook has to be repeated, whatever the callback did.";
        "mm/mmu_notifier.c, mmu_interval_set_seq (unconditional)";
    "retry-inside-window" = retry_inside, unless NumberNotSet:
        "While its interval is being invalidated nothing that was read before may be installed.";
        "Documentation/mm/hmm.rst";
    "no-retry-when-undisturbed" = no_retry, unless AlwaysRetry:
        "A read that nothing overtook need not be repeated.";
        "include/linux/mmu_notifier.h, mmu_interval_read_retry";
    "no-retry-for-changes-elsewhere" = no_retry_elsewhere, unless RetryOnAnyChange:
        "A read need not be repeated for invalidations that its interval was not told of.";
        "include/linux/mmu_notifier.h, mmu_interval_read_retry";
    "hint-is-right-when-it-says-yes" = hint_says_yes, unless HintAlwaysTrue:
        "The lockless hint says yes only if the read has to be repeated.";
        "include/linux/mmu_notifier.h, mmu_interval_check_retry";
    "invalidation-takes-the-user-lock" = takes_user_lock, unless NoUserLock:
        "An interval's invalidation excludes whoever installs under its user lock.";
        "Documentation/mm/hmm.rst (take_lock); include/linux/mmu_notifier.h, mmu_interval_set_seq";
    "installed-is-never-stale" = never_stale, unless NumberNotSet:
        "What the read protocol installs is gone before the entry that it was read from changes.";
        "Documentation/mm/hmm.rst";
}

const PAGES: Bounds = Bounds::pages(16, 4);
const ELSEWHERE: Bounds = Bounds::pages(64, 4);
const EVENT: Event = Event::Clear;

fn read_waits(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval: Arc<dyn Interval> = space.insert(PAGES.into(), log.interval(1))?.into();
    let reader = Arc::clone(&interval);
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let mut reading = Task::spawn(move || reader.read_begin().map(|_| ()));
    let waited = reading.waits();
    window.close()?;
    reading.finish("a read")??;
    holds(
        waited,
        "a read began while its interval was being invalidated",
    )
}

fn read_goes_on(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval: Arc<dyn Interval> = space.insert(PAGES.into(), log.interval(1))?.into();
    let reader = Arc::clone(&interval);
    let _elsewhere = space.insert(ELSEWHERE.into(), log.interval(2))?;
    let window = OpenWindow::open(&space, EVENT, ELSEWHERE)?;
    let reading = Task::spawn(move || reader.read_begin().map(|_| ()));
    let read = reading.finish("a read beside another interval's invalidation");
    window.close()?;
    Ok(read??)
}

/// Between the two windows there is a moment in which nothing is open. Who slept through it must not
/// wait for what came after.
fn read_waits_once(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval: Arc<dyn Interval> = space.insert(PAGES.into(), log.interval(1))?.into();
    let reader = Arc::clone(&interval);
    let first = OpenWindow::open(&space, EVENT, PAGES)?;
    let mut reading = Task::spawn(move || reader.read_begin().map(|_| ()));
    let waited = reading.waits();
    // On a busy host it may only now be about to wait.
    std::thread::sleep(A_WHILE);
    first.close()?;
    let second = OpenWindow::open(&space, EVENT, PAGES)?;
    let read = reading.finish("a read whose invalidation has ended");
    second.close()?;
    read??;
    holds(
        waited,
        "a read began while its interval was being invalidated",
    )
}

fn retry_after(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let read = interval.read_begin()?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let mut installed = false;
    let retry = read.retry(&mut || installed = true);
    holds(
        retry && !installed,
        "what an invalidation overtook was installed",
    )
}

fn retry_inside(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let read = interval.read_begin()?;
    let mut installed = false;
    space.invalidate(EVENT, PAGES, &mut || {
        read.retry(&mut || installed = true);
    })?;
    holds(!installed, "something was installed inside the window")
}

fn no_retry(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let mut installed = false;
    let retry = interval.read_begin()?.retry(&mut || installed = true);
    holds(!retry && installed, "a read had to be repeated for nothing")
}

fn no_retry_elsewhere(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let _elsewhere = space.insert(ELSEWHERE.into(), log.interval(2))?;
    let read = interval.read_begin()?;
    space.invalidate(EVENT, ELSEWHERE, &mut || ())?;
    holds(
        !read.retry(&mut || ()),
        "a read had to be repeated for another interval",
    )
}

fn hint_says_yes(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let read = interval.read_begin()?;
    holds(!read.check_retry(), "the hint said yes for nothing")?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let (hint, truth) = (read.check_retry(), read.retry(&mut || ()));
    holds(!hint || truth, "the hint said yes, the truth is no")
}

fn takes_user_lock(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let mut early = false;
    let mut window = None;
    interval.with_user_lock(&mut || {
        let space = Arc::clone(&space);
        let task = Task::spawn(move || space.invalidate(EVENT, PAGES, &mut || ()));
        std::thread::sleep(A_WHILE);
        early = log.count(|_| true) > 0;
        window = Some(task);
    });
    if let Some(window) = window {
        window.finish("an invalidation")??;
    }
    holds(!early, "an interval was told while its user lock was held")
}

/// A driver's mirror of one entry, against a page table that changes all the time. The mirror holds
/// what was read, 0 for nothing.
fn never_stale(implementation: &dyn Implementation) -> Outcome {
    const CHANGES: u64 = 20_000;
    let (space, _) = space(implementation)?;
    let (entry, mirror) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
    let told = Arc::clone(&mirror);
    let callbacks = IntervalCallbacks {
        invalidate: Box::new(move |_| {
            told.store(0, Ordering::SeqCst);
            Answer::Done
        }),
    };
    let interval = space.insert(PAGES.into(), callbacks)?;
    let (changing, value, copy) = (Arc::clone(&space), Arc::clone(&entry), Arc::clone(&mirror));
    let writer = Task::spawn(move || {
        let mut stale = 0_u64;
        for next in 2..CHANGES {
            let changed = changing.invalidate(EVENT, PAGES, &mut || {
                stale += u64::from(copy.load(Ordering::SeqCst) != 0);
                value.store(next, Ordering::SeqCst);
                stale += u64::from(copy.load(Ordering::SeqCst) != 0);
            });
            changed?;
        }
        Ok::<_, crate::subject::Refused>(stale)
    });
    let last = CHANGES - 1;
    let now = || entry.load(Ordering::SeqCst);
    let mut stale_reads = 0_u64;
    for round in 0_u64.. {
        let read = interval.read_begin()?;
        let seen = now();
        // Now and then the entry surely changes between the read and the question.
        while round.is_multiple_of(64) && now() == seen && seen < last {
            std::thread::yield_now();
        }
        read.retry(&mut || {
            mirror.store(seen, Ordering::SeqCst);
            // A change that has begun waits for the user lock before it changes anything.
            stale_reads += u64::from(now() != seen);
        });
        if now() == last {
            break;
        }
    }
    holds(
        stale_reads == 0,
        "an entry that had changed since it was read was installed",
    )?;
    let stale = writer.finish("the changes")??;
    holds(stale == 0, "the mirror held an entry while it changed")?;
    let (mirror, entry) = (mirror.load(Ordering::SeqCst), entry.load(Ordering::SeqCst));
    holds(
        mirror == 0 || mirror == entry,
        "the mirror holds an old entry",
    )
}
