//! From a violation back to its cause.

use super::cause::{Owed, cause, refill_cause};
use super::history::{Fact, History};
use super::judge::same;
use super::{Chain, Detail, Invalidation, Violation, ViolationKind};
use crate::addr::{Gva, Iova};
use crate::contract::{Notice, Step};
use crate::paging::{Change, Leaf, TableChange};
use crate::secondary::{CacheId, Cached, CachedTable, Held};

/// What a violation is explained by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Evidence {
    /// Nothing that is known.
    Unknown,
    /// This entry.
    Page(Cached),
    /// What the violation names as its detail.
    Detail,
    /// This change, by itself.
    Change(Step, Change),
    /// What was held when it was broken, and should have gone before the make.
    Break {
        broken: Step,
        make: (Step, Change),
        held: Held,
    },
}

impl Evidence {
    pub(super) fn entry(&self) -> Option<Cached> {
        match self {
            Self::Page(entry) => Some(*entry),
            _ => None,
        }
    }

    /// Whether it is one thing in a cache, whichever address it was used for.
    pub(super) fn is_cached(&self) -> bool {
        matches!(self, Self::Page(_) | Self::Detail)
    }

    /// The change, if it is about one.
    pub(super) fn change(&self) -> Option<(Step, Change)> {
        match *self {
            Self::Change(step, change) => Some((step, change)),
            Self::Break { make, .. } => Some(make),
            _ => None,
        }
    }
}

/// How it came to this violation, as far as is on record by now.
pub(super) fn chain(history: &History, violation: &Violation, evidence: &Evidence) -> Chain {
    match (*evidence, violation.detail) {
        (Evidence::Page(entry), _) => page_chain(history, violation, &entry),
        (Evidence::Unknown, _) => unknown_chain(history, violation),
        (Evidence::Detail, Some(Detail::Table(table))) => {
            table_chain(history, violation, violation.cache, &table)
        }
        (Evidence::Detail, _) => structure_chain(history, violation),
        (Evidence::Change(step, change), _) => Chain {
            change: Some((step, change)),
            invalidation: Invalidation::NotOwed,
            ..Chain::default()
        },
        (Evidence::Break { broken, make, held }, _) => Chain {
            change: Some(make),
            notices: notices(history, broken, violation.iova.to_gva()),
            invalidation: cause(history, &owed(violation, held, broken)),
            ..Chain::default()
        },
    }
}

fn owed(violation: &Violation, held: Held, since: Step) -> Owed {
    Owed {
        held,
        iova: violation.iova,
        since,
        until: violation.step,
    }
}

fn page_chain(history: &History, violation: &Violation, entry: &Cached) -> Chain {
    let Some(cache) = violation.cache else {
        return Chain::default();
    };
    let address = violation.iova.to_gva();
    let origin = Origin::of(history, cache, entry);
    if let Some((walked, table)) = origin.lost_in(history, entry, violation.iova) {
        return table_chain(history, violation, Some(walked), &table);
    }
    let wanted = |change: &Change| match violation.kind {
        ViolationKind::LostDirty => cleans(change),
        _ => change.kind.leaves_stale_entries(),
    };
    let until = violation.step;
    let replaced = |change: &Change| wanted(change) && same(address, change.old, Some(entry.leaf));
    let change = change_of(history, origin.began..until, address, replaced)
        .or_else(|| change_of(history, entry.filled..until, address, wanted))
        .filter(|_| history.reaches(entry.filled));
    let since = change.map_or(entry.filled, |(step, _)| step);
    let owed = owed(violation, Held::page(cache, entry), since);
    Chain {
        change,
        relinked: None,
        notices: notices(history, since, address),
        invalidation: refill_cause(history, &owed, entry, origin.source),
    }
}

fn cleans(change: &Change) -> bool {
    let dirty = |leaf: Option<Leaf>| leaf.is_some_and(|leaf| leaf.dirty);
    dirty(change.old) && !dirty(change.new)
}

fn unknown_chain(history: &History, violation: &Violation) -> Chain {
    let address = violation.iova.to_gva();
    let stale = |change: &Change| change.kind.leaves_stale_entries();
    let change = change_of(history, Step(1)..violation.step, address, stale);
    let since = change.map_or(Step(1), |(step, _)| step);
    Chain {
        change: change.filter(|_| history.reaches(Step(1))),
        notices: notices(history, since, address),
        ..Chain::default()
    }
}

fn table_chain(
    history: &History,
    violation: &Violation,
    cache: Option<CacheId>,
    table: &CachedTable,
) -> Chain {
    let Some(cache) = cache else {
        return Chain::default();
    };
    let gone = |change: &TableChange| {
        change.old == Some(table.next)
            && change.level == table.level
            && change.range.overlaps(table.range.map(Iova::to_gva))
    };
    let relinked = history
        .since(Step(1))
        .filter_map(|record| match record.fact {
            Fact::Relinked(change) if gone(&change) && record.step < violation.step => {
                Some((record.step, change))
            }
            _ => None,
        });
    let relinked = relinked.last();
    let since = relinked.map_or(table.filled, |(step, _)| step);
    Chain {
        change: None,
        relinked,
        notices: notices(history, since, violation.iova.to_gva()),
        invalidation: cause(history, &owed(violation, Held::table(cache, table), since)),
    }
}

fn structure_chain(history: &History, violation: &Violation) -> Chain {
    let (Some(Detail::Structure(structure, substream)), Some(CacheId::SmmuConfiguration(stream))) =
        (violation.detail, violation.cache)
    else {
        return Chain::default();
    };
    let fetched = history.since(Step(0)).filter(|record| {
        record.step < violation.step && record.fact == Fact::Fetched(stream, substream)
    });
    let since = fetched.last().map_or(Step(0), |record| record.step);
    let held = Held::structure(stream, structure, substream);
    Chain {
        invalidation: cause(history, &owed(violation, held, since)),
        ..Chain::default()
    }
}

/// The first change of `address` in `steps` that is `wanted` and was not called off.
fn change_of(
    history: &History,
    steps: std::ops::Range<Step>,
    address: Gva,
    wanted: impl Fn(&Change) -> bool,
) -> Option<(Step, Change)> {
    let records = history.since(steps.start);
    let mut records = records.take_while(|record| record.step < steps.end);
    records.find_map(|record| match record.fact {
        Fact::Changing(change)
            if change.range.contains(address)
                && wanted(&change)
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

fn notices(history: &History, since: Step, address: Gva) -> Vec<(Step, Notice)> {
    let notices = history.since(since).filter_map(|record| match record.fact {
        Fact::Notified(notice) if notice.range().contains(address) => Some((record.step, notice)),
        _ => None,
    });
    notices.take(8).collect()
}

/// Where an entry came from.
struct Origin {
    /// When the walk for it began.
    began: Step,
    /// The cache that it was copied from, if it was.
    source: Option<CacheId>,
}

impl Origin {
    fn of(history: &History, cache: CacheId, entry: &Cached) -> Self {
        let walk = |step| match history.at(step) {
            Some(Fact::Filled(cache, _, _, began)) => Some((*cache, *began)),
            _ => None,
        };
        let Some((_, began)) = walk(entry.filled) else {
            let (began, source) = (entry.filled, None);
            return Self { began, source };
        };
        // A device TLB's walk is a look into the SMMU's.
        let source = walk(began).filter(|_| matches!(cache, CacheId::Atc(_)));
        Self {
            began: source.map_or(began, |(_, began)| began),
            source: source.map(|(cache, _)| cache),
        }
    }

    /// The cached table by which the walk left the page table, if it did.
    fn lost_in(
        &self,
        history: &History,
        entry: &Cached,
        iova: Iova,
    ) -> Option<(CacheId, CachedTable)> {
        let walked = history.since(self.began);
        let mut walked = walked.take_while(|record| record.step <= entry.filled);
        walked.find_map(|record| match record.fact {
            Fact::TableUsed(cache, _, table) if table.range.contains(iova) => Some((cache, table)),
            _ => None,
        })
    }
}
