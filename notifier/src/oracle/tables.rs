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
    /// How many are about to put it back: a walk may find it there before the oracle is told.
    coming: u32,
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
            let (settled, coming) = (false, 0);
            match change.old.map(place) {
                Some(old) if self.tables.0.len() < GONE || self.tables.0.contains_key(&old) => {
                    self.tables.0.insert(
                        old,
                        Gone {
                            since,
                            settled,
                            coming,
                        },
                    );
                }
                Some(_) => self.not_kept(),
                None => {}
            }
        }
    }

    /// The tables that these would put somewhere are about to be there.
    pub(super) fn tables_coming(&mut self, changes: &[TableChange]) {
        self.each_coming(changes, |gone| gone.coming = gone.coming.saturating_add(1));
    }

    /// They are not going to be.
    pub(super) fn tables_called_off(&mut self, changes: &[TableChange]) {
        self.each_coming(changes, |gone| gone.coming = gone.coming.saturating_sub(1));
    }

    fn each_coming(&mut self, changes: &[TableChange], act: impl Fn(&mut Gone)) {
        for change in changes {
            let place = change
                .new
                .map(|new| (new, change.level, change.range.start()));
            if let Some(gone) = place.and_then(|place| self.tables.0.get_mut(&place)) {
                act(gone);
            }
        }
    }

    pub(super) fn table_used(&mut self, cache: CacheId, iova: Iova, table: &CachedTable) {
        let Some(gone) = self.tables.of(table) else {
            return;
        };
        let step = self.note(Fact::TableUsed(cache, iova, *table));
        let held = Held::table(cache, table);
        if gone.coming > 0 {
            return;
        }
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
