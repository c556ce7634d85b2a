//! Invalidations in two passes, so that the flushes of several devices overlap.

use super::intervals::space;
use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds};
use crate::log::Seen;
use crate::subject::{Bounds, Change, Event, Implementation};

cases! { Intervals, IntervalFault:
    "first-passes-before-second" = firsts_before_seconds, unless FinishAtOnce:
        "The first passes of all intervals run before the second pass of any.";
        "20250821114626.89818-2-thomas.hellstrom@linux.intel.com";
    "second-passes-in-order" = seconds_in_order, unless FinishReversed:
        "Second passes run in the order of the first passes.";
        "20250821114626.89818-2-thomas.hellstrom@linux.intel.com (FIFO)";
    "no-second-pass-is-complete" = no_second_pass, unless FinishOnlyIfAll:
        "An interval that leaves no second pass is complete, and keeps nobody else from his.";
        "20250821114626.89818-2-thomas.hellstrom@linux.intel.com (NULL finish)";
    "start-waits-for-second-passes" = start_waits, unless FinishAtEnd:
        "A start returns only when all second passes have run.";
        "20250821114626.89818-2-thomas.hellstrom@linux.intel.com";
}

const EVENT: Event = Event::Clear;

/// Who has two passes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passes {
    AllTwo,
    OddTwo,
}

/// What one window does over three intervals that begin a page after each other.
fn window(implementation: &dyn Implementation, passes: Passes) -> Result<Vec<Seen>, Failure> {
    let (space, log) = space(implementation)?;
    let inserted = (1..=3).map(|who: u8| {
        let callbacks = if passes == Passes::AllTwo || who % 2 == 1 {
            log.two_pass(who)
        } else {
            log.interval(who)
        };
        space.insert(Bounds::pages(who.into(), 8).into(), callbacks)
    });
    let intervals = inserted.collect::<Result<Vec<_>, _>>()?;
    space.invalidate(EVENT, Bounds::pages(0, 16), &mut || log.push(Seen::Body))?;
    let seen = log.take();
    for interval in intervals {
        interval.remove()?;
    }
    Ok(seen)
}

fn firsts_before_seconds(implementation: &dyn Implementation) -> Outcome {
    let seen = window(implementation, Passes::AllTwo)?;
    let first = seen
        .iter()
        .rposition(|seen| matches!(seen, Seen::Interval(..)));
    let second = seen.iter().position(|seen| matches!(seen, Seen::Finish(_)));
    holds(second.is_some(), "no second pass ran")?;
    holds(first < second, "a second pass ran before a first")
}

fn seconds_in_order(implementation: &dyn Implementation) -> Outcome {
    let seen = window(implementation, Passes::AllTwo)?;
    let change = Change::blockable(EVENT, Bounds::pages(0, 16));
    let firsts = seen.iter().filter_map(|seen| match seen {
        Seen::Interval(who, told) if *told == change => Some(*who),
        _ => None,
    });
    let seconds = seen.iter().filter_map(|seen| match seen {
        Seen::Finish(who) => Some(*who),
        _ => None,
    });
    equal(
        "the order of second passes",
        seconds.collect::<Vec<_>>(),
        firsts.collect(),
    )
}

fn no_second_pass(implementation: &dyn Implementation) -> Outcome {
    let seen = window(implementation, Passes::OddTwo)?;
    let firsts = seen
        .iter()
        .filter(|seen| matches!(seen, Seen::Interval(..)));
    let mut finished: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Finish(who) => Some(*who),
            _ => None,
        })
        .collect();
    finished.sort_unstable();
    equal("first passes", firsts.count(), 3)?;
    equal("second passes", finished, vec![1, 3])
}

fn start_waits(implementation: &dyn Implementation) -> Outcome {
    let seen = window(implementation, Passes::AllTwo)?;
    let body = seen.iter().position(|seen| *seen == Seen::Body);
    let last = seen
        .iter()
        .rposition(|seen| matches!(seen, Seen::Finish(_)));
    holds(last.is_some(), "no second pass ran")?;
    holds(last < body, "entries changed before a second pass had run")
}
