//! Tables that walks no longer lead to, and walk caches that go on in them.

use std::collections::BTreeMap;

use super::history::Fact;
use super::judge::{Seen, State};
use super::under_way::Made;
use super::waste::Taken;
use super::{Detail, ViolationKind};
use crate::addr::{Gpa, Gva, Iova};
use crate::contract::Step;
use crate::paging::{Level, TableChange};
use crate::secondary::{CacheId, CachedTable, Held};

/// How many tables that are gone are remembered. A guest can't have more at a time than its
/// page-table pool has room for, but it can have them in ever more places.
const GONE: usize = 1 << 12;

/// A table, and the place in the tree that it had.
type Place = (Gpa, Level, Gva);

/// Tables that were taken out of their place.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<Place, Gone>);

#[derive(Clone, Copy, Debug)]
struct Gone {
    since: Step,
    /// Whoever took it out has gone on.
    settled: bool,
}

impl Tables {
    fn of(&self, table: &CachedTable) -> Option<Gone> {
        let place = (table.next, table.level, table.range.start().to_gva());
        self.0.get(&place).copied()
    }

    /// Those who took tables out at these steps have gone on.
    pub(super) fn settle(&mut self, steps: &[Step]) {
        let mine = |gone: &&mut Gone| steps.contains(&gone.since);
        self.0
            .values_mut()
            .filter(mine)
            .for_each(|gone| gone.settled = true);
    }
}

impl State {
    pub(super) fn tables_made(&mut self, made: &mut Made, changes: &[TableChange]) {
        for change in changes {
            let since = self.note(Fact::Relinked(*change));
            made.tables.push(since);
            let place = |table| (table, change.level, change.range.start());
            if let Some(new) = change.new {
                self.tables.0.remove(&place(new));
            }
            let settled = false;
            match change.old.map(place) {
                Some(old) if self.tables.0.len() < GONE || self.tables.0.contains_key(&old) => {
                    self.tables.0.insert(old, Gone { since, settled });
                }
                Some(_) => self.not_kept(),
                None => {}
            }
        }
    }

    pub(super) fn table_used(&mut self, cache: CacheId, iova: Iova, table: &CachedTable) {
        let Some(gone) = self.tables.of(table) else {
            return;
        };
        let step = self.note(Fact::TableUsed(cache, iova, *table));
        let held = Held::table(cache, table);
        if gone.settled || self.is_invalidated(table.filled, &held, iova) {
            let seen = Seen::walk(step, cache, iova);
            self.violation(
                ViolationKind::StaleTable,
                seen,
                None,
                Some(Detail::Table(*table)),
            );
        }
    }

    pub(super) fn table_dropped(&mut self, cache: CacheId, table: &CachedTable) {
        let still = self.tables.of(table).is_none();
        self.took(Taken::Table(cache, still));
    }
}
