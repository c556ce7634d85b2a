//! Was it used?

use std::sync::Arc;

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::log::{Log, Seen};
use crate::subject::{Age, Aging, Bounds, Callbacks, Implementation, Registration};

cases! { Aging, AgingFault:
    "clearing-asks-all" = clearing_asks_all, unless ClearStops:
        "clear_flush_young and clear_young ask every subscriber, also after the first yes.";
        "mm/mmu_notifier.c, __mmu_notifier_clear_flush_young";
    "answers-are-ored" = answers_are_ored, unless LastAnswerWins:
        "A page was used if any subscriber says so.";
        "mm/mmu_notifier.c, __mmu_notifier_clear_flush_young";
    "testing-stops-at-first-yes" = testing_stops, unless TestAsksAll:
        "test_young asks nobody after the first yes.";
        "mm/mmu_notifier.c, __mmu_notifier_test_young";
    "testing-clears-nothing" = testing_clears_nothing, unless TestClears:
        "test_young calls no callback that forgets the use.";
        "include/linux/mmu_notifier.h, test_young";
    "clear-flush-really-flushes" = really_flushes, unless FlushSkipped:
        "clear_flush_young is passed on as such, so that the next use sets the bit again.";
        "include/linux/mmu_notifier.h, clear_flush_young";
    "nobody-is-not-young" = nobody_is_not_young, unless YoungByDefault:
        "Without subscribers, or with subscribers that have no such callback, a page is not young.";
        "mm/mmu_notifier.c, __mmu_notifier_clear_young (ops checked)";
    "age-of-the-range-asked-for" = range_asked_for, unless Widened:
        "The question is about the range that was asked for.";
        "include/linux/mmu_notifier.h, clear_young";
    "both-families-are-asked" = both_families, unless OnlyRangesAsked:
        "Subscribers of both families are asked.";
        "mm/mmu_notifier.c, __mmu_notifier_clear_flush_young";
}

const PAGE: Bounds = Bounds::pages(5, 1);

struct Asked {
    space: Arc<dyn Aging>,
    log: Log,
    _registrations: Vec<Box<dyn Registration>>,
}

/// Subscribers 1, 2, ... that give these answers.
fn asked(implementation: &dyn Implementation, answers: &[bool]) -> Result<Asked, Failure> {
    let (space, log) = (offered(implementation.aging())?, Log::default());
    let register = (1..)
        .zip(answers)
        .map(|(who, young)| space.register(log.aging(who, *young)));
    let _registrations = register.collect::<Result<_, _>>()?;
    Ok(Asked {
        space,
        log,
        _registrations,
    })
}

fn clearing_asks_all(implementation: &dyn Implementation) -> Outcome {
    let asked = asked(implementation, &[true, false, true])?;
    for question in [Age::ClearFlush, Age::Clear] {
        asked.space.age(question, PAGE)?;
        equal("subscribers asked", asked.log.take().len(), 3)?;
    }
    Ok(())
}

fn answers_are_ored(implementation: &dyn Implementation) -> Outcome {
    let cases = [[false, false], [true, false], [false, true]];
    for answers in cases {
        let asked = asked(implementation, &answers)?;
        for question in [Age::ClearFlush, Age::Clear, Age::Test] {
            let young = asked.space.age(question, PAGE)?;
            equal("the answer", young, answers.contains(&true))?;
        }
    }
    Ok(())
}

fn testing_stops(implementation: &dyn Implementation) -> Outcome {
    let asked = asked(implementation, &[false, true, true])?;
    equal("the answer", asked.space.age(Age::Test, PAGE)?, true)?;
    // Whichever of those who say yes comes first, one of them is not asked.
    let yes = asked
        .log
        .count(|seen| matches!(seen, Seen::TestYoung(2 | 3, _)));
    equal("those asked who say yes", yes, 1)
}

fn testing_clears_nothing(implementation: &dyn Implementation) -> Outcome {
    let asked = asked(implementation, &[false, false])?;
    asked.space.age(Age::Test, PAGE)?;
    let seen = asked.log.take();
    let tests = seen
        .iter()
        .filter(|seen| matches!(seen, Seen::TestYoung(..)));
    equal("tests", tests.count(), 2)?;
    equal("calls", seen.len(), 2)
}

fn really_flushes(implementation: &dyn Implementation) -> Outcome {
    let asked = asked(implementation, &[true, true])?;
    asked.space.age(Age::ClearFlush, PAGE)?;
    let flushes = asked
        .log
        .count(|seen| matches!(seen, Seen::ClearFlushYoung(..)));
    equal("calls with a flush", flushes, 2)
}

fn nobody_is_not_young(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.aging())?, Log::default());
    for question in [Age::ClearFlush, Age::Clear, Age::Test] {
        holds(!space.age(question, PAGE)?, "a page was young for nobody")?;
    }
    let _without = space.register(log.ranges(1))?;
    for question in [Age::ClearFlush, Age::Clear, Age::Test] {
        holds(
            !space.age(question, PAGE)?,
            "a page was young without a callback",
        )?;
    }
    Ok(())
}

fn range_asked_for(implementation: &dyn Implementation) -> Outcome {
    let asked = asked(implementation, &[false])?;
    for question in [Age::ClearFlush, Age::Clear, Age::Test] {
        asked.space.age(question, PAGE)?;
    }
    let right = vec![
        Seen::ClearFlushYoung(1, PAGE),
        Seen::ClearYoung(1, PAGE),
        Seen::TestYoung(1, PAGE),
    ];
    equal("calls", asked.log.take(), right)
}

fn both_families(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.aging())?, Log::default());
    let tlb = Callbacks {
        range_start: None,
        range_end: None,
        secondary_tlb: log.tlb(1).secondary_tlb,
        ..log.aging(1, true)
    };
    let _tlb = space.register(tlb)?;
    for question in [Age::ClearFlush, Age::Clear, Age::Test] {
        holds(space.age(question, PAGE)?, "a secondary TLB was not asked")?;
    }
    Ok(())
}
