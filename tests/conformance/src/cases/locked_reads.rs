//! The lock that whoever installs what he read has to hold.

use std::sync::Arc;

use super::intervals::space;
use crate::case::cases;
use crate::check::{Outcome, detected, equal, holds};
use crate::log::{Log, Seen};
use crate::subject::{Bounds, Event, Implementation};
use crate::task::{A_WHILE, Task};

cases! { Intervals, IntervalFault:
    "retry-under-another-lock-is-detected" = another_lock, unless AnyLockWillDo:
        "Whether a read has to be repeated is not asked under another lock than the one that the invalidation takes.";
        "include/linux/mmu_notifier.h, mmu_interval_read_retry (user lock)";
    "install-excludes-invalidation" = install_excludes, unless RetryWithoutLock:
        "From the question whether to repeat a read until its result is installed no invalidation of the interval gets in.";
        "Documentation/mm/hmm.rst (take_lock); include/linux/mmu_notifier.h, mmu_interval_read_retry";
}

const PAGES: Bounds = Bounds::pages(16, 4);

fn told(log: &Log) -> usize {
    log.count(|seen| matches!(seen, Seen::Interval(..)))
}

fn another_lock(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    detected("asking under another lock", || {
        interval.retry_under_another_lock()
    })
}

/// What is installed while an invalidation goes by would be stale from then on.
fn install_excludes(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let read = interval.read_begin()?;
    let (mut early, mut window) = (0, None);
    let retry = read.retry(&mut || {
        let space = Arc::clone(&space);
        let invalidate = move || space.invalidate(Event::Clear, PAGES, &mut || ());
        window = Some(Task::spawn(invalidate));
        std::thread::sleep(A_WHILE);
        early = told(&log);
    });
    holds(!retry, "a read had to be repeated for nothing")?;
    if let Some(window) = window {
        window.finish("an invalidation")??;
    }
    equal("invalidations beside the installation", early, 0)?;
    equal("invalidations after it", told(&log), 1)
}
