//! What became of an invalidation that was owed, by the commands on record.

use super::Invalidation;
use super::history::{Fact, History};
use crate::addr::{AddrRange, Gva, Iova};
use crate::contract::Step;
use crate::secondary::{CacheId, Cached, Fit, Held, Scope};

/// An invalidation of what is held that was owed from one step on and missed at another.
#[derive(Clone, Copy)]
pub(super) struct Owed {
    pub(super) held: Held,
    /// The address that was used.
    pub(super) iova: Iova,
    /// When what is held became stale.
    pub(super) since: Step,
    /// When it was used all the same.
    pub(super) until: Step,
}

/// The commands that were something like what was owed.
#[derive(Default)]
struct Seen {
    /// The first that is right, if it was submitted in time.
    right: Option<Step>,
    wrong_level: Option<Step>,
    short: Option<Step>,
    wrong_tag: Option<Step>,
}

/// What became of it.
pub(super) fn cause(history: &History, owed: &Owed) -> Invalidation {
    let done = history.completed(owed.since, &owed.held, owed.iova);
    if let Some(step) = done.filter(|step| *step < owed.until) {
        return Invalidation::Ineffective(step);
    }
    let seen = look(history, owed);
    let nearly = || {
        let level = seen.wrong_level.map(Invalidation::WrongLevel);
        level.or(seen.short.map(Invalidation::Short))
    };
    let right = seen.right.map(Invalidation::NotSynced);
    right
        .or_else(nearly)
        .or(done.map(Invalidation::Late))
        .or(seen.wrong_tag.map(Invalidation::WrongTag))
        .unwrap_or(Invalidation::Missing)
}

/// Everything that was submitted or carried out between the change and the damage.
fn look(history: &History, owed: &Owed) -> Seen {
    let mut seen = Seen::default();
    let meant = meant(history, owed);
    let records = history.since(owed.since);
    for record in records.take_while(|record| record.step < owed.until) {
        let (Fact::Submitted(scope) | Fact::CarriedOut(scope, _)) = record.fact else {
            continue;
        };
        let kept = match scope.fit(&owed.held) {
            Fit::Covers => &mut seen.right,
            Fit::WrongLevel => &mut seen.wrong_level,
            Fit::WrongTag if meant.is_open(record.step) => &mut seen.wrong_tag,
            Fit::Short if meant.is_for(&scope) => &mut seen.short,
            _ => continue,
        };
        kept.get_or_insert(record.step);
    }
    seen
}

/// What tells a command that was meant for this change from one that is for something else.
struct Meant {
    /// What changed, and what was notified about it.
    ranges: Vec<AddrRange<Gva>>,
    /// When whoever made the change went on, or somebody who made one before it.
    settled: Option<Step>,
}

impl Meant {
    /// Whether the change was not settled yet. Later a command for something else may come.
    fn is_open(&self, step: Step) -> bool {
        self.settled.is_none_or(|settled| step < settled)
    }

    fn is_for(&self, scope: &Scope) -> bool {
        let range = scope.range.map(Iova::to_gva);
        self.ranges.iter().any(|meant| meant.overlaps(range))
    }
}

fn meant(history: &History, owed: &Owed) -> Meant {
    let address = owed.iova.to_gva();
    let mut meant = Meant {
        ranges: changed(history, owed.since).into_iter().collect(),
        settled: None,
    };
    let records = history.since(owed.since);
    for record in records.take_while(|record| record.step < owed.until) {
        match record.fact {
            Fact::Notified(notice) if notice.range().contains(address) => {
                meant.ranges.push(notice.range());
            }
            Fact::Settled(first) if first <= owed.since => {
                meant.settled.get_or_insert(record.step);
            }
            _ => {}
        }
    }
    meant
}

/// The addresses that changed at `step`, and those right beside them that changed with them.
fn changed(history: &History, step: Step) -> Option<AddrRange<Gva>> {
    let page = |step| match history.at(step) {
        Some(Fact::Changing(change)) => Some(change.range),
        Some(Fact::Relinked(change)) => Some(change.range),
        _ => None,
    };
    let mut range = page(step)?;
    let mut later = step.0 + 1;
    while let Some(next) = page(Step(later)).filter(|next| is_next(range, *next)) {
        (range, later) = (range.hull(next), later + 1);
    }
    let mut earlier = step.0.saturating_sub(1);
    while let Some(before) = page(Step(earlier)).filter(|before| is_next(*before, range)) {
        (range, earlier) = (range.hull(before), earlier.saturating_sub(1));
    }
    Some(range)
}

fn is_next(one: AddrRange<Gva>, other: AddrRange<Gva>) -> bool {
    one.last().raw().checked_add(1) == Some(other.start().raw())
}

/// The same for an entry that may be a copy of what `source`, another cache, had at the time.
///
/// If it was made after the change, the other cache still had the old translation: then what became
/// of that one's invalidation is the cause, and if that came after this one's, their order is.
pub(super) fn refill_cause(
    history: &History,
    owed: &Owed,
    entry: &Cached,
    source: Option<CacheId>,
) -> Invalidation {
    let Some(source) = source.filter(|_| owed.since < entry.filled) else {
        return cause(history, owed);
    };
    let since = entry.filled;
    let own = cause(history, &Owed { since, ..*owed });
    let before = first_of(history, owed, entry.filled);
    let (Some(told), Invalidation::Missing | Invalidation::Late(_)) = (before, own) else {
        return own;
    };
    let held = Held::page(source, entry);
    let until = entry.filled;
    match cause(
        history,
        &Owed {
            held,
            until,
            ..*owed
        },
    ) {
        Invalidation::Late(_) | Invalidation::NotSynced(_) => Invalidation::WrongOrder(told),
        other => other,
    }
}

/// When the first invalidation of what is held had its effect, if before `until`.
fn first_of(history: &History, owed: &Owed, until: Step) -> Option<Step> {
    let mut records = history.since(owed.since);
    let found = records.find(|record| match record.fact {
        Fact::Invalidated(cache, range) => cache == owed.held.cache && range.contains(owed.iova),
        Fact::CarriedOut(scope, _) => scope.fit(&owed.held) == Fit::Covers,
        _ => false,
    });
    found.map(|record| record.step).filter(|step| *step < until)
}
