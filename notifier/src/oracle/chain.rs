//! From a violation back to its cause.

use super::history::{Fact, History};
use super::{Chain, Invalidation, Violation};
use crate::addr::Gva;
use crate::contract::Step;
use crate::paging::Change;

/// How it came to this violation, as far as is on record by now.
pub(super) fn chain(history: &History, violation: &Violation) -> Chain {
    let address = violation.iova.to_gva();
    let filled = violation.stale_entry.map_or(Step(1), |entry| entry.filled);
    let change = change_since(history, filled, violation.step, address);
    let since = change.map_or(filled, |(step, _)| step);
    let notices = history.since(since).filter_map(|record| match record.fact {
        Fact::Notified(notice) if notice.range().contains(address) => Some((record.step, notice)),
        _ => None,
    });
    Chain {
        change: change.filter(|_| history.reaches(filled)),
        notices: notices.take(8).collect(),
        invalidation: invalidation(history, since, violation),
    }
}

/// The first change of `address` after `from` that left entries stale and was not called off.
fn change_since(history: &History, from: Step, to: Step, address: Gva) -> Option<(Step, Change)> {
    let records = history.since(from).take_while(|record| record.step < to);
    records.into_iter().find_map(|record| match record.fact {
        Fact::Changing(change)
            if change.range.contains(address)
                && change.kind.leaves_stale_entries()
                && !was_called_off(history, record.step) =>
        {
            Some((record.step, change))
        }
        _ => None,
    })
}

fn was_called_off(history: &History, change: Step) -> bool {
    let mut later = history.since(change).map(|record| record.fact);
    later.any(
        |fact| matches!(fact, Fact::CalledOff(first, last) if first <= change && change <= last),
    )
}

fn invalidation(history: &History, since: Step, violation: &Violation) -> Invalidation {
    let first = history.since(since).find(|record| match record.fact {
        Fact::Invalidated(cache, range) => {
            cache == violation.cache && range.contains(violation.iova)
        }
        _ => false,
    });
    match first {
        None => Invalidation::Missing,
        Some(record) if record.step < violation.step => Invalidation::Ineffective(record.step),
        Some(record) => Invalidation::Late(record.step),
    }
}
