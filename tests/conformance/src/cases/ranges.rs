//! Range starts and ends: who is told what, and when.

use std::sync::Arc;

use crate::case::cases;
use crate::check::{Outcome, detected, equal, holds, offered, refused};
use crate::log::{Log, Seen};
use crate::subject::{Bounds, Change, Event, Implementation, OwnerId, Ranges, Refused};
use crate::task::OpenWindow;
use notifier::addr::Gva;

cases! { Ranges, RangeFault:
    "start-precedes-change" = start_precedes_change, unless StartLate:
        "A range start returns before the first entry changes.";
        "mm/mmu_notifier.c, __mmu_notifier_invalidate_range_start";
    "end-follows-change" = end_follows_change, unless EndEarly:
        "A range end comes after the last entry has changed.";
        "mm/mmu_notifier.c, __mmu_notifier_invalidate_range_end";
    "every-start-has-its-end" = every_start_has_its_end, unless NoEnd:
        "Whoever was told a start and stays registered is told one end with the same event and range.";
        "include/linux/mmu_notifier.h, invalidate_range_end";
    "event-is-passed-on" = event_is_passed_on, unless EventLost:
        "Start and end carry the event that the caller announced, whichever it is.";
        "include/linux/mmu_notifier.h, enum mmu_notifier_event";
    "owner-is-passed-on" = owner_is_passed_on, unless OwnersAlike:
        "MIGRATE and EXCLUSIVE carry their owner, so that the initiator can leave its own mappings alone.";
        "include/linux/mmu_notifier.h, mmu_notifier_range_init_owner";
    "range-is-half-open" = range_is_half_open, unless EndInclusive:
        "Subscribers get the range as announced, its end exclusive.";
        "include/linux/mmu_notifier.h, struct mmu_notifier_range";
    "range-is-the-same-for-all" = range_is_the_same_for_all, unless RangeConsumed:
        "Telling one subscriber does not change the range that the next one gets.";
        "f7edb07ad7c6 (a macro that moved its start argument)";
    "all-subscribers-are-told" = all_subscribers_are_told, unless OnlyFirstTold:
        "Every registered range subscriber is told every start and end.";
        "mm/mmu_notifier.c, mn_hlist_invalidate_range_start";
    "whole-address-space" = whole_address_space, unless WholeOverflows:
        "(0, ULONG_MAX) means everything, and its end does not overflow on the way.";
        "e7ad6c2a4b1a; include/linux/mmu_notifier.h";
    "empty-range-is-refused" = empty_range_is_refused, unless EmptyIsAll:
        "An empty range is an error, never a flush of everything or of nothing.";
        "f7edb07ad7c6; docs/contract.md (stricter than Linux)";
    "backward-range-is-refused" = backward_range_is_refused, unless BackwardAccepted:
        "A range whose end is before its start is an error.";
        "docs/contract.md (stricter than Linux)";
    "nested-starts-balance" = nested_starts_balance, unless EndsMerged:
        "Starts of one thread nest; each has its own end.";
        "mm/mmu_notifier.c";
    "parallel-starts-balance" = parallel_starts_balance, unless EndsMerged:
        "Windows of several threads may be open at once; each has its own end.";
        "mm/mmu_notifier.c";
    "end-without-start-is-detected" = end_without_start_is_detected, unless StrayEnd:
        "An end without a start is caught and delivered to nobody.";
        "virt/kvm/kvm_main.c, mmu_invalidate_in_progress";
}

const PAGES: Bounds = Bounds::pages(16, 4);

/// The log of one window with one subscriber.
fn one_window(
    implementation: &dyn Implementation,
    event: Event,
) -> Result<Vec<Seen>, crate::check::Failure> {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let registration = space.register(log.ranges(1))?;
    space.invalidate(event, PAGES, &mut || log.push(Seen::Body))?;
    let seen = log.take();
    registration.unregister()?;
    Ok(seen)
}

fn start_precedes_change(implementation: &dyn Implementation) -> Outcome {
    for event in Event::ANNOUNCED {
        let seen = one_window(implementation, event)?;
        let position = |which: fn(&Seen) -> bool| seen.iter().position(which);
        let start = position(|seen| matches!(seen, Seen::Start(..)));
        let body = position(|seen| *seen == Seen::Body);
        holds(
            start.is_some() && start < body,
            "entries changed before the start",
        )?;
    }
    Ok(())
}

fn end_follows_change(implementation: &dyn Implementation) -> Outcome {
    for event in Event::ANNOUNCED {
        let seen = one_window(implementation, event)?;
        let position = |which: fn(&Seen) -> bool| seen.iter().position(which);
        let end = position(|seen| matches!(seen, Seen::End(..)));
        let body = position(|seen| *seen == Seen::Body);
        holds(
            body.is_some() && end > body,
            "entries changed after the end",
        )?;
    }
    Ok(())
}

fn every_start_has_its_end(implementation: &dyn Implementation) -> Outcome {
    let seen = one_window(implementation, Event::Unmap)?;
    let change = Change::blockable(Event::Unmap, PAGES);
    let right = vec![Seen::Start(1, change), Seen::Body, Seen::End(1, change)];
    equal("calls", seen, right)
}

fn event_is_passed_on(implementation: &dyn Implementation) -> Outcome {
    for event in Event::ANNOUNCED {
        let seen = one_window(implementation, event)?;
        let events = seen.iter().filter_map(|seen| match seen {
            Seen::Start(_, change) | Seen::End(_, change) => Some(change.event),
            _ => None,
        });
        equal("events", events.collect(), vec![event; 2])?;
    }
    Ok(())
}

/// As an initiator does it: what it began itself it leaves alone.
fn owner_is_passed_on(implementation: &dyn Implementation) -> Outcome {
    let (mine, other) = (OwnerId(7), OwnerId(8));
    for event in [Event::Migrate, Event::Exclusive] {
        let mut kept = Vec::new();
        for owner in [mine, other, mine] {
            let seen = one_window(implementation, event(owner))?;
            kept.push(
                seen.iter().any(
                    |seen| matches!(seen, Seen::Start(_, change) if change.event == event(mine)),
                ),
            );
        }
        equal("own mappings kept", kept, vec![true, false, true])?;
    }
    let seen = one_window(implementation, Event::Clear)?;
    let owned = seen
        .iter()
        .any(|seen| matches!(seen, Seen::Start(_, change) if change.event.owner().is_some()));
    holds(!owned, "an event without an owner arrived with one")
}

fn range_is_half_open(implementation: &dyn Implementation) -> Outcome {
    let bounds = one_window(implementation, Event::Unmap)?
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Start(_, change) | Seen::End(_, change) => Some(change.bounds),
            _ => None,
        });
    equal("ranges", bounds.collect(), vec![PAGES; 2])
}

/// The starts and ends of one window with three subscribers.
fn three(implementation: &dyn Implementation) -> Result<Vec<Seen>, crate::check::Failure> {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let registrations = [1, 2, 3].map(|who| space.register(log.ranges(who)));
    space.invalidate(Event::Clear, PAGES, &mut || ())?;
    let seen = log.take();
    for registration in registrations {
        registration?.unregister()?;
    }
    Ok(seen)
}

fn range_is_the_same_for_all(implementation: &dyn Implementation) -> Outcome {
    let ranges = three(implementation)?.into_iter().map(|seen| match seen {
        Seen::Start(_, change) | Seen::End(_, change) => Some(change.bounds),
        _ => None,
    });
    holds(
        ranges.clone().count() > 1,
        "fewer than two calls for three subscribers",
    )?;
    for range in ranges {
        equal("a range", range, Some(PAGES))?;
    }
    Ok(())
}

fn all_subscribers_are_told(implementation: &dyn Implementation) -> Outcome {
    let seen = three(implementation)?;
    for who in [1, 2, 3] {
        let starts = seen
            .iter()
            .filter(|seen| matches!(seen, Seen::Start(w, _) if *w == who));
        let ends = seen
            .iter()
            .filter(|seen| matches!(seen, Seen::End(w, _) if *w == who));
        equal(
            "starts and ends of a subscriber",
            (starts.count(), ends.count()),
            (1, 1),
        )?;
    }
    Ok(())
}

fn whole_address_space(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _ranges = space.register(log.ranges(1))?;
    let _tlb = space.register(log.tlb(2))?;
    space.invalidate(Event::Unmap, Bounds::ALL, &mut || ())?;
    space.invalidate_unlocked(Bounds::ALL)?;
    let bounds = log.take().into_iter().filter_map(|seen| match seen {
        Seen::Start(_, change) | Seen::End(_, change) => Some(change.bounds),
        Seen::Tlb(_, bounds) => Some(bounds),
        _ => None,
    });
    equal("ranges", bounds.collect(), vec![Bounds::ALL; 3])
}

/// None of the ways to invalidate takes these bounds.
fn nobody_takes(implementation: &dyn Implementation, what: &str, bounds: Bounds) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _ranges = space.register(log.ranges(1))?;
    let _tlb = space.register(log.tlb(2))?;
    let started = space.invalidate(Event::Unmap, bounds, &mut || ());
    refused(&format!("{what} at a start"), started)?;
    refused(
        &format!("{what} for TLBs"),
        space.invalidate_unlocked(bounds),
    )?;
    let mut locked = Ok(());
    space.with_page_table(&mut |table| locked = table.invalidate_secondary_tlbs(bounds))?;
    refused(&format!("{what} for TLBs"), locked)?;
    equal("calls", log.take(), vec![])
}

fn empty_range_is_refused(implementation: &dyn Implementation) -> Outcome {
    let empty = Bounds::new(Gva::new(0x4000), Gva::new(0x4000));
    nobody_takes(implementation, "an empty range", empty)
}

fn backward_range_is_refused(implementation: &dyn Implementation) -> Outcome {
    let backward = Bounds::new(Gva::new(0x5000), Gva::new(0x4000));
    nobody_takes(implementation, "a backward range", backward)
}

fn nested_starts_balance(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _registration = space.register(log.ranges(1))?;
    let (outer, inner) = (Bounds::pages(0, 8), Bounds::pages(2, 2));
    let mut nested: Result<(), Refused> = Ok(());
    space.invalidate(Event::Unmap, outer, &mut || {
        nested = space.invalidate(Event::Clear, inner, &mut || ());
    })?;
    nested?;
    let outer = Change::blockable(Event::Unmap, outer);
    let inner = Change::blockable(Event::Clear, inner);
    let right = vec![
        Seen::Start(1, outer),
        Seen::Start(1, inner),
        Seen::End(1, inner),
        Seen::End(1, outer),
    ];
    equal("calls", log.take(), right)
}

fn parallel_starts_balance(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _registration = space.register(log.ranges(1))?;
    let (first, second) = (Bounds::pages(0, 2), Bounds::pages(8, 2));
    let one = OpenWindow::open(&space, Event::Unmap, first)?;
    let two = OpenWindow::open(&space, Event::Clear, second)?;
    one.close()?;
    two.close()?;
    let first = Change::blockable(Event::Unmap, first);
    let second = Change::blockable(Event::Clear, second);
    let right = vec![
        Seen::Start(1, first),
        Seen::Start(1, second),
        Seen::End(1, first),
        Seen::End(1, second),
    ];
    equal("calls", log.take(), right)
}

fn end_without_start_is_detected(implementation: &dyn Implementation) -> Outcome {
    let (space, log): (Arc<dyn Ranges>, _) = (offered(implementation.ranges())?, Log::default());
    let _registration = space.register(log.ranges(1))?;
    let stray = || space.end_without_start(Event::Unmap, PAGES);
    detected("an end without a start", stray)?;
    equal("calls", log.take(), vec![])
}
