//! Starts that must not sleep, and what follows a refusal.

use std::sync::Arc;

use crate::case::cases;
use crate::check::{Failure, Outcome, detected, equal, holds, offered};
use crate::log::{Log, Seen};
use crate::subject::{
    Again, Bounds, Callbacks, Change, Event, Implementation, Interval, Intervals, Refusals,
    Refused, Refuses, Registration, Start,
};
use crate::task::Task;

cases! { Refusals, RefusalFault:
    "all-starts-run-after-refusal" = all_starts_run, unless StopsAtFirst:
        "After a range subscriber has refused, the starts of the others still run.";
        "20210310213117.1444147-1-seanjc@google.com v2";
    "ends-follow-refusal" = ends_follow_refusal, unless NoEndsAfterRefusal:
        "After a refusal everybody who was told the start and has an end is told the end at once.";
        "20210310213117.1444147-1-seanjc@google.com v2";
    "no-second-end-after-refusal" = no_second_end, unless DoubleEnd:
        "The end that follows a refusal is the only one.";
        "mm/mmu_notifier.c, mn_hlist_invalidate_range_start";
    "caller-is-told-again" = caller_is_told_again, unless RefusalIgnored:
        "The caller gets -EAGAIN, has no window, and leaves the entries alone.";
        "mm/memory.c, zap_vma_for_reaping";
    "refuser-has-no-end" = refuser_has_no_end, unless RefuserWithEnd:
        "A subscriber whose start can fail does not define an end.";
        "mm/mmu_notifier.c (WARN in mn_hlist_invalidate_range_start)";
    "error-when-blockable-is-violation" = error_when_blockable, unless BlockableRefusal:
        "A start that may sleep must not fail; if it does, that is a violation and not a reason to try again.";
        "mm/mmu_notifier.c (WARN_ON if blockable)";
    "end-must-not-sleep-either" = end_must_not_sleep_either, unless EndForgets:
        "The end of a start that must not sleep must not sleep either, and says so.";
        "include/linux/mmu_notifier.h, mmu_notifier_range_blockable";
    "start-says-whether-it-may-sleep" = start_says_whether, unless FlagLost:
        "A start says whether the callback may sleep, by the one flag there is.";
        "include/linux/mmu_notifier.h, MMU_NOTIFIER_RANGE_BLOCKABLE";
    "refuser-follows-when-it-may-sleep" = refuser_follows, unless RefuserSkipped:
        "Who refuses when it must not sleep follows like all others when it may.";
        "include/linux/mmu_notifier.h, invalidate_range_start";
    "nothing-is-owed-after-refusal" = nothing_is_owed, unless WindowStaysOpen:
        "After a refusal no window is open: the next invalidation and the next registration go through.";
        "mm/mmu_notifier.c, __mmu_notifier_invalidate_range_start";
    "interval-refusal-stops-intervals" = interval_refusal_stops, unless IntervalsGoOn:
        "The interval side stops at the first that refuses.";
        "mm/mmu_notifier.c, mn_itree_invalidate";
    "interval-refusal-spares-ranges" = interval_refusal_spares, unless RangesDespiteInterval:
        "After an interval has refused no range subscriber is told anything.";
        "mm/mmu_notifier.c, __mmu_notifier_invalidate_range_start";
    "interval-refusal-runs-owed-finishes" = owed_finishes, unless FinishesLost:
        "Second passes of intervals that were told before the refusal still run.";
        "20250821114626.89818-2-thomas.hellstrom@linux.intel.com";
    "interval-refusal-ends-the-odd-period" = ends_odd_period, unless StaysOdd:
        "After an interval has refused the number is even again.";
        "mm/mmu_notifier.c, mn_itree_invalidate (mn_itree_inv_end)";
    "range-refusal-ends-the-interval-side" = ends_interval_side, unless Gap:
        "After a range subscriber has refused, the interval side, which had accepted, is ended too.";
        "deduced from mm/mmu_notifier.c, where it stays open; docs/contract.md (stricter than Linux)";
    "taken-user-lock-refuses" = taken_user_lock, unless WaitsForUserLock:
        "An interval that must not sleep and whose user lock is taken refuses; it does not wait, and nothing has changed.";
        "lib/test_hmm.c, dmirror_interval_invalidate (mutex_trylock)";
    "intervals-before-ranges" = intervals_before_ranges, unless RangesFirst:
        "Intervals are told a start before range subscribers.";
        "mm/mmu_notifier.c; drivers/gpu/drm/nouveau/nouveau_svm.c relies on it";
}

const PAGES: Bounds = Bounds::pages(16, 4);
const EVENT: Event = Event::Clear;

/// One who refuses, 2, between two who don't.
struct Three {
    space: Arc<dyn Refusals>,
    log: Log,
    _registrations: Vec<Box<dyn Registration>>,
}

fn three(implementation: &dyn Implementation) -> Result<Three, Failure> {
    let (space, log) = (offered(implementation.refusals())?, Log::default());
    let callbacks = [log.ranges(1), log.refusing(2), log.ranges(3)];
    let registered = callbacks.map(|callbacks| space.register(callbacks));
    let _registrations = registered.into_iter().collect::<Result<_, _>>()?;
    Ok(Three {
        space,
        log,
        _registrations,
    })
}

impl Three {
    /// Tries to invalidate without sleeping.
    fn try_it(&self) -> Result<(), Refused> {
        let body = &mut || self.log.push(Seen::Body);
        self.space.try_invalidate(EVENT, PAGES, body)
    }
}

fn change() -> Change {
    Change::nonblocking(EVENT, PAGES)
}

fn all_starts_run(implementation: &dyn Implementation) -> Outcome {
    let three = three(implementation)?;
    // What the caller is told is another case's matter.
    let _outcome = three.try_it();
    for who in [1, 2, 3] {
        holds(
            three.log.has(Seen::Start(who, change())),
            "a start did not run",
        )?;
    }
    Ok(())
}

fn ends_follow_refusal(implementation: &dyn Implementation) -> Outcome {
    let three = three(implementation)?;
    let _outcome = three.try_it();
    for who in [1, 3] {
        holds(three.log.has(Seen::End(who, change())), "an end is missing")?;
    }
    let own = three.log.count(|seen| matches!(seen, Seen::End(2, _)));
    equal("ends of the one who refused", own, 0)
}

fn no_second_end(implementation: &dyn Implementation) -> Outcome {
    let three = three(implementation)?;
    let _outcome = three.try_it();
    for who in [1, 3] {
        let starts = three
            .log
            .count(|seen| matches!(seen, Seen::Start(w, _) if *w == who));
        let ends = three
            .log
            .count(|seen| matches!(seen, Seen::End(w, _) if *w == who));
        holds(ends <= starts, "there are more ends than starts")?;
    }
    Ok(())
}

fn caller_is_told_again(implementation: &dyn Implementation) -> Outcome {
    let three = three(implementation)?;
    equal(
        "what the caller is told",
        three.try_it(),
        Err(Refused::Again),
    )?;
    holds(
        !three.log.has(Seen::Body),
        "entries were changed after a refusal",
    )
}

/// Refused when it is registered, or at its first refusal; never told an end.
fn refuser_has_no_end(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.refusals())?, Log::default());
    let callbacks = Callbacks {
        range_end: log.ranges(1).range_end,
        ..log.refusing(1)
    };
    detected("a subscriber that may refuse and has an end", || {
        let _registration = space.register(callbacks)?;
        space.try_invalidate(EVENT, PAGES, &mut || ())
    })
}

fn error_when_blockable(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.refusals())?;
    let start = Start {
        refuses: Refuses::Always,
        call: Box::new(|_| Err(Again)),
    };
    let callbacks = Callbacks {
        range_start: Some(start),
        ..Callbacks::default()
    };
    detected("an error of a start that may sleep", || {
        let _registration = space.register(callbacks)?;
        space.invalidate(EVENT, PAGES, &mut || ())
    })
}

fn end_must_not_sleep_either(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.refusals())?, Log::default());
    let _registration = space.register(log.ranges(1))?;
    space.try_invalidate(EVENT, PAGES, &mut || ())?;
    holds(log.has(Seen::End(1, change())), "no such end was told")
}

fn start_says_whether(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.refusals())?, Log::default());
    let _registration = space.register(log.ranges(1))?;
    space.try_invalidate(EVENT, PAGES, &mut || ())?;
    holds(
        log.has(Seen::Start(1, change())),
        "a start said that it may sleep",
    )?;
    log.take();
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let may = Seen::Start(1, Change::blockable(EVENT, PAGES));
    holds(log.has(may), "a start said that it may not sleep")
}

fn refuser_follows(implementation: &dyn Implementation) -> Outcome {
    let three = three(implementation)?;
    three.space.invalidate(EVENT, PAGES, &mut || ())?;
    let start = Seen::Start(2, Change::blockable(EVENT, PAGES));
    holds(three.log.has(start), "who may refuse was left out")
}

fn nothing_is_owed(implementation: &dyn Implementation) -> Outcome {
    let three = three(implementation)?;
    let _outcome = three.try_it();
    three.log.take();
    let (space, log) = (Arc::clone(&three.space), three.log.clone());
    let next = Task::spawn(move || -> Outcome {
        let _late = space.register(log.ranges(4))?;
        space.invalidate(EVENT, PAGES, &mut || ())?;
        Ok(())
    });
    next.finish("a registration after a refusal")??;
    let ends = three.log.count(|seen| matches!(seen, Seen::End(..)));
    equal("ends of the next window", ends, 3)
}

/// Intervals 1 (two passes), 2 (refuses) and 3 (two passes), of which each begins a page after the
/// one before, so that order by insertion and order by address are the same; and a range subscriber,
/// 4.
struct Mixed {
    space: Arc<dyn Intervals>,
    log: Log,
    _intervals: Vec<Box<dyn Interval>>,
    _registration: Box<dyn Registration>,
}

fn mixed(implementation: &dyn Implementation) -> Result<Mixed, Failure> {
    let (space, log) = (offered(implementation.intervals())?, Log::default());
    let callbacks = [log.two_pass(1), log.refusing_interval(2), log.two_pass(3)];
    let inserted = (0..).zip(callbacks).map(|(n, callbacks)| {
        let pages = Bounds::pages(16 + n, 4 - n);
        space.insert(pages.into(), callbacks)
    });
    Ok(Mixed {
        _intervals: inserted.collect::<Result<_, _>>()?,
        _registration: space.register(log.ranges(4))?,
        space,
        log,
    })
}

impl Mixed {
    fn try_it(&self) -> Vec<Seen> {
        let _outcome = self.space.try_invalidate(EVENT, PAGES, &mut || ());
        self.log.take()
    }
}

fn interval_refusal_stops(implementation: &dyn Implementation) -> Outcome {
    let seen = mixed(implementation)?.try_it();
    let refuser = seen
        .iter()
        .position(|seen| matches!(seen, Seen::Interval(2, _)));
    let last = seen
        .iter()
        .rposition(|seen| matches!(seen, Seen::Interval(..)));
    holds(refuser.is_some(), "the interval that refuses was not told")?;
    equal("the last interval told", last, refuser)
}

fn interval_refusal_spares(implementation: &dyn Implementation) -> Outcome {
    let seen = mixed(implementation)?.try_it();
    let ranges = seen
        .iter()
        .any(|seen| matches!(seen, Seen::Start(..) | Seen::End(..)));
    holds(!ranges, "a range subscriber was told")
}

fn owed_finishes(implementation: &dyn Implementation) -> Outcome {
    let seen = mixed(implementation)?.try_it();
    let count = |which: fn(&Seen) -> bool| seen.iter().filter(|seen| which(seen)).count();
    let firsts = count(|seen| matches!(seen, Seen::Interval(1 | 3, _)));
    let finishes = count(|seen| matches!(seen, Seen::Finish(_)));
    holds(
        firsts > 0,
        "no interval was told before the one that refuses",
    )?;
    equal("second passes", finishes, firsts)
}

fn ends_odd_period(implementation: &dyn Implementation) -> Outcome {
    let mixed = mixed(implementation)?;
    let before = mixed.space.sequence();
    mixed.try_it();
    let after = mixed.space.sequence();
    holds(after % 2 == 0, "the number is odd after a refusal")?;
    holds(after > before, "the number did not advance")
}

fn ends_interval_side(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.intervals())?, Log::default());
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let _refuser = space.register(log.refusing(2))?;
    let outcome = space.try_invalidate(EVENT, PAGES, &mut || ());
    equal("what the caller is told", outcome, Err(Refused::Again))?;
    holds(space.sequence().is_multiple_of(2), "the number stays odd")?;
    let read = Task::spawn(move || interval.read_begin().map(|_| ()));
    read.finish("a read after a refusal")??;
    Ok(())
}

fn intervals_before_ranges(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.intervals())?, Log::default());
    let _ranges = space.register(log.ranges(1))?;
    let _interval = space.insert(PAGES.into(), log.interval(2))?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let change = Change::blockable(EVENT, PAGES);
    let right = vec![
        Seen::Interval(2, change),
        Seen::Start(1, change),
        Seen::End(1, change),
    ];
    equal("calls", log.take(), right)
}

fn taken_user_lock(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.intervals())?, Log::default());
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let mut tried = None;
    interval.with_user_lock(&mut || {
        let space = Arc::clone(&space);
        let invalidate = move || space.try_invalidate(Event::Clear, PAGES, &mut || ());
        tried = Some(Task::spawn(invalidate).finish("a start that must not sleep"));
    });
    let tried = tried.transpose()?;
    equal("what the caller is told", tried, Some(Err(Refused::Again)))?;
    equal("calls", log.take(), vec![])?;
    space.try_invalidate(Event::Clear, PAGES, &mut || ())?;
    equal("calls when the lock is free", log.take().len(), 1)
}
