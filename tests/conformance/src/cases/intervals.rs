//! The interval side: its number, who is in it, who is told.

use std::sync::Arc;

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered, refused};
use crate::log::{Log, Seen};
use crate::subject::{Bounds, Change, Event, Extent, Implementation, Interval, Intervals, PAGE};
use crate::task::{OpenWindow, Task};
use notifier::addr::Gva;

cases! { Intervals, IntervalFault:
    "number-starts-at-two" = starts_at_two, unless StartsAtZero:
        "The number starts at 2, so that the number before it, which the first intervals get, is odd.";
        "mm/mmu_notifier.c, __mmu_notifier_register";
    "odd-while-invalidating" = odd_while_invalidating, unless StaysEven:
        "The number is odd while a range that overlaps an interval is being invalidated.";
        "mm/mmu_notifier.c, mn_itree_inv_start_range";
    "even-and-higher-after-the-last-end" = even_after, unless EndGoesBack:
        "After the last end the number is even again and higher than before.";
        "mm/mmu_notifier.c, mn_itree_inv_end";
    "parallel-starts-share-a-number" = parallel_starts, unless EveryStartAdvances:
        "Starts that are open at once share one odd number.";
        "mm/mmu_notifier.c, mn_itree_inv_start_range";
    "odd-until-the-last-end" = odd_until_last, unless FirstEndWakes:
        "The number stays odd until the last of the starts that are open at once has ended.";
        "mm/mmu_notifier.c, mn_itree_inv_end";
    "no-overlap-stays-even" = no_overlap, unless OddWithoutOverlap:
        "A start that overlaps no interval leaves the number even.";
        "mm/mmu_notifier.c, mn_itree_inv_start_range";
    "only-overlapping-are-told" = only_overlapping, unless TouchingTold:
        "An interval is told of ranges that overlap it, not of those that only touch it.";
        "mm/mmu_notifier.c, interval_tree_iter_first";
    "insert-while-idle" = insert_idle, unless InsertIdleEven:
        "An interval that comes while nothing is open gets the odd number before the current one and is in the tree at once.";
        "mm/mmu_notifier.c, __mmu_interval_notifier_insert";
    "insert-while-open-and-even" = insert_active, unless InsertActiveEven:
        "An interval that comes while a start is open makes the number odd, and its reads wait.";
        "mm/mmu_notifier.c, __mmu_interval_notifier_insert";
    "insert-while-odd-is-deferred" = insert_odd, unless InsertOddNow:
        "An interval that comes while the number is odd is in the tree only after the last end.";
        "mm/mmu_notifier.c, __mmu_interval_notifier_insert";
    "insert-nothing-is-refused" = insert_nothing, unless ZeroLength:
        "An interval of length 0 is refused.";
        "mm/mmu_notifier.c, __mmu_interval_notifier_insert (-EOVERFLOW)";
    "insert-past-the-top-is-refused" = insert_past_top, unless Overflow:
        "An interval that runs past the top of the address space is refused.";
        "mm/mmu_notifier.c, __mmu_interval_notifier_insert (-EOVERFLOW)";
    "insert-after-exit-is-refused" = insert_after_exit, unless DeadSpace:
        "An interval of an address space that has ended is refused.";
        "mm/mmu_notifier.c, __mmu_interval_notifier_insert (-EINVAL)";
    "remove-while-idle" = remove_idle, unless RemoveForgets:
        "An interval that is removed while the number is even goes at once and is told nothing more.";
        "mm/mmu_notifier.c, mmu_interval_notifier_remove";
    "remove-while-deferred" = remove_deferred, unless DeferredComesBack:
        "An interval that is removed before it was in the tree never gets there, and nobody waits.";
        "mm/mmu_notifier.c, mmu_interval_notifier_remove";
    "remove-while-odd-waits" = remove_odd, unless RemoveDoesNotWait:
        "An interval that is in the tree while the number is odd is removed when that ends; removing waits for it.";
        "mm/mmu_notifier.c, mmu_interval_notifier_remove";
    "intervals-without-subscribers" = without_subscribers, unless NullSubscription:
        "An address space with nothing but intervals works like any other.";
        "the first check for both families crashed i915 (NULL subscription)";
    "exit-is-told-to-intervals" = exit_is_told, unless NoReleaseEvent:
        "The end of the address space is told to every interval, as RELEASE of everything.";
        "mm/mmu_notifier.c, mn_itree_release";
    "release-event-is-for-intervals" = release_event, unless ReleaseToRanges:
        "Range subscribers are released at the end, not told a start.";
        "mm/mmu_notifier.c, mn_hlist_release";
}

const PAGES: Bounds = Bounds::pages(16, 4);
const ELSEWHERE: Bounds = Bounds::pages(64, 4);
const EVENT: Event = Event::Clear;

pub(super) fn space(
    implementation: &dyn Implementation,
) -> Result<(Arc<dyn Intervals>, Log), Failure> {
    Ok((offered(implementation.intervals())?, Log::default()))
}

fn told(log: &Log) -> usize {
    log.count(|seen| matches!(seen, Seen::Interval(..)))
}

fn starts_at_two(implementation: &dyn Implementation) -> Outcome {
    let (space, _) = space(implementation)?;
    equal("the first number", space.sequence(), 2)
}

fn odd_while_invalidating(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _interval = space.insert(PAGES.into(), log.interval(1))?;
    let mut inside = 0;
    space.invalidate(EVENT, PAGES, &mut || inside = space.sequence())?;
    holds(inside % 2 == 1, "the number was even inside a window")
}

fn even_after(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _interval = space.insert(PAGES.into(), log.interval(1))?;
    let before = space.sequence();
    for rounds in 1..=3 {
        space.invalidate(EVENT, PAGES, &mut || ())?;
        equal(
            "the number after a window",
            space.sequence(),
            before + 2 * rounds,
        )?;
    }
    Ok(())
}

fn parallel_starts(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _interval = space.insert(PAGES.into(), log.interval(1))?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let first = space.sequence();
    let mut second = 0;
    space.invalidate(EVENT, PAGES, &mut || second = space.sequence())?;
    window.close()?;
    equal("the number of the second start", second, first)
}

fn odd_until_last(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _interval = space.insert(PAGES.into(), log.interval(1))?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let number = space.sequence();
    window.close()?;
    holds(
        number % 2 == 1,
        "the number was even with a start still open",
    )?;
    holds(
        space.sequence().is_multiple_of(2),
        "the number is odd after the last end",
    )
}

fn no_overlap(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _interval = space.insert(PAGES.into(), log.interval(1))?;
    let (before, mut inside) = (space.sequence(), 0);
    space.invalidate(EVENT, ELSEWHERE, &mut || inside = space.sequence())?;
    equal(
        "the number inside and after",
        (inside, space.sequence()),
        (before, before),
    )
}

fn only_overlapping(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _interval = space.insert(PAGES.into(), log.interval(1))?;
    for touching in [Bounds::pages(14, 2), Bounds::pages(20, 2), ELSEWHERE] {
        space.invalidate(EVENT, touching, &mut || ())?;
    }
    equal("calls by ranges that do not overlap", told(&log), 0)?;
    for overlapping in [Bounds::pages(14, 3), Bounds::pages(19, 9), Bounds::ALL] {
        space.invalidate(EVENT, overlapping, &mut || ())?;
        let call = Seen::Interval(1, Change::blockable(EVENT, overlapping));
        equal("calls by one that does", log.take(), vec![call])?;
    }
    Ok(())
}

fn insert_idle(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let numbers = (interval.sequence(), space.sequence());
    equal("its number and the other", numbers, (1, 2))?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    equal("calls by the next window", told(&log), 1)
}

fn insert_active(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _there = space.insert(ELSEWHERE.into(), log.interval(1))?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let even = space.sequence();
    let interval: Arc<dyn Interval> = space.insert(PAGES.into(), log.interval(2))?.into();
    let numbers = (interval.sequence(), space.sequence());
    equal("its number and the other", numbers, (even + 1, even + 1))?;
    let reader = Arc::clone(&interval);
    let mut reading = Task::spawn(move || reader.read_begin().map(|_| ()));
    let waited = reading.waits();
    window.close()?;
    reading.finish("a read")??;
    holds(
        waited,
        "a read began inside a window that its interval was not told of",
    )
}

fn insert_odd(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _there = space.insert(PAGES.into(), log.interval(1))?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let _late = space.insert(PAGES.into(), log.interval(2))?;
    log.take();
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let early = log.count(|seen| matches!(seen, Seen::Interval(2, _)));
    window.close()?;
    equal("calls before it is in the tree", early, 0)?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let after = log.count(|seen| matches!(seen, Seen::Interval(2, _)));
    equal("calls after the last end", after, 1)
}

fn insert_nothing(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let start = Gva::new(16 * PAGE);
    let nothing = Extent { start, length: 0 };
    refused(
        "an interval of length 0",
        space.insert(nothing, log.interval(1)),
    )
}

fn insert_past_top(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let start = Gva::new(u64::MAX - PAGE);
    let past = Extent {
        start,
        length: 2 * PAGE,
    };
    refused(
        "an interval past the top",
        space.insert(past, log.interval(1)),
    )
}

fn insert_after_exit(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    space.exit()?;
    refused(
        "an interval after the end",
        space.insert(PAGES.into(), log.interval(1)),
    )
}

fn remove_idle(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let window = OpenWindow::open(&space, EVENT, ELSEWHERE)?;
    let removing = Task::spawn(move || interval.remove());
    let removed = removing.finish("removing while the number is even");
    window.close()?;
    removed??;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    equal("calls", told(&log), 0)
}

fn remove_deferred(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _there = space.insert(PAGES.into(), log.interval(1))?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let late = space.insert(PAGES.into(), log.interval(2))?;
    let removing = Task::spawn(move || late.remove());
    let removed = removing.finish("removing what was deferred");
    window.close()?;
    removed??;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    let calls = log.count(|seen| matches!(seen, Seen::Interval(2, _)));
    equal("calls of what was removed", calls, 0)
}

fn remove_odd(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let interval = space.insert(PAGES.into(), log.interval(1))?;
    let window = OpenWindow::open(&space, EVENT, PAGES)?;
    let mut removing = Task::spawn(move || interval.remove());
    let waited = removing.waits();
    window.close()?;
    removing.finish("removing")??;
    holds(
        waited,
        "an interval was removed while it was being invalidated",
    )?;
    log.take();
    space.invalidate(EVENT, PAGES, &mut || ())?;
    equal("calls of what was removed", told(&log), 0)
}

fn without_subscribers(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _interval = space.insert(PAGES.into(), log.interval(1))?;
    space.invalidate(EVENT, PAGES, &mut || ())?;
    space.try_invalidate(EVENT, PAGES, &mut || ())?;
    space.invalidate_unlocked(PAGES)?;
    equal("calls", told(&log), 2)?;
    Ok(space.exit()?)
}

fn exit_is_told(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _one = space.insert(PAGES.into(), log.interval(1))?;
    let _two = space.insert(ELSEWHERE.into(), log.interval(2))?;
    space.exit()?;
    for who in [1, 2] {
        let release = Change::blockable(Event::Release, Bounds::ALL);
        holds(
            log.has(Seen::Interval(who, release)),
            "an interval was not told of the end",
        )?;
    }
    Ok(())
}

fn release_event(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = space(implementation)?;
    let _registration = space.register(log.ranges(1))?;
    space.exit()?;
    let starts = log.count(|seen| matches!(seen, Seen::Start(..)));
    equal("starts told at the end", starts, 0)?;
    holds(log.has(Seen::Release(1)), "it was not released")
}
