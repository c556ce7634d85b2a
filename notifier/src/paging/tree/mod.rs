//! A table tree that is watched while somebody else writes it: which page a written entry maps, and
//! what the write changes.

mod diff;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::format::{slot, table_size};
use super::walk::limited;
use super::{Change, Format, Leaf, Level, Meaning, NoMemory, TableMemory};
use crate::addr::{AddrRange, Gpa, Gva, Permissions};
use diff::diff;

pub use tables::TableChange;

/// The tables reachable from a root, with a copy of their entries as they were last reported.
///
/// Every table has exactly one entry that leads to it. A table that two entries share, or one that
/// leads back to itself, would let a few pages describe more pages than can be listed, so a write
/// that would make one is refused; so is a table outside the region in which writes are seen.
#[derive(Debug)]
pub struct Tree {
    format: Arc<dyn Format>,
    root: Gpa,
    region: AddrRange<Gpa>,
    tables: BTreeMap<Gpa, Table>,
}

#[derive(Debug)]
struct Table {
    level: Level,
    /// First translated address, as the number that the indices on the way spell.
    base: u64,
    /// The most that the entries on the way allow.
    limits: Permissions,
    entries: Vec<u64>,
}

/// Why a table can't be part of a watched tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Writes to it would not be seen.
    #[error("the page table at {table} lies outside the page-table pool {region}")]
    OutsideRegion {
        /// The table.
        table: Gpa,
        /// Where tables may be.
        region: AddrRange<Gpa>,
    },
    /// Another entry leads to it already.
    #[error("two entries lead to the page table at {0}")]
    Shared(Gpa),
    /// It has no memory.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}

/// A write that was understood but not yet made.
struct Update {
    table: Gpa,
    index: usize,
    entry: u64,
    unlinked: Vec<Gpa>,
    linked: BTreeMap<Gpa, Table>,
    changes: Vec<Change>,
}

/// A mapped page.
type Page = (AddrRange<Gva>, Leaf);

impl Tree {
    /// Reads the tree at `root`, all of whose tables must lie in `region`.
    ///
    /// # Errors
    /// [`TreeError`] if it is not a tree, or not there.
    pub fn read(
        format: Arc<dyn Format>,
        memory: &dyn TableMemory,
        root: Gpa,
        region: AddrRange<Gpa>,
    ) -> Result<Self, TreeError> {
        let mut tree = Self {
            format,
            root,
            region,
            tables: BTreeMap::new(),
        };
        let mut tables = BTreeMap::new();
        let level = tree.format.root();
        tree.load(
            memory,
            root,
            (level, 0, Permissions::all()),
            &[],
            &mut tables,
        )?;
        tree.tables = tables;
        Ok(tree)
    }

    /// Address of the root table.
    pub fn root(&self) -> Gpa {
        self.root
    }

    /// The format of the tables.
    pub fn format(&self) -> &Arc<dyn Format> {
        &self.format
    }

    /// Where tables may be.
    pub fn region(&self) -> AddrRange<Gpa> {
        self.region
    }

    /// Every page that is mapped, by address.
    pub fn pages(&self) -> Vec<(AddrRange<Gva>, Leaf)> {
        let mut pages = Vec::new();
        self.collect(&BTreeMap::new(), self.root, &mut pages);
        pages
    }

    /// The entry at `slot` as last reported, if it stands in a table of the tree.
    pub fn entry(&self, slot: Gpa) -> Option<u64> {
        let (table, index) = self.locate(slot)?;
        self.tables[&table].entries.get(index).copied()
    }

    /// The level of the table in which `slot` is an entry, if it is one of the tree.
    pub fn level_at(&self, slot: Gpa) -> Option<Level> {
        let (table, _) = self.locate(slot)?;
        Some(self.tables[&table].level)
    }

    /// Whether the entry at `slot` leads to a table now, or would if it were `entry`.
    pub fn is_structural(&self, slot: Gpa, entry: u64) -> bool {
        self.locate(slot).is_some_and(|(address, index)| {
            let table = &self.tables[&address];
            let entries = [table.entries[index], entry];
            entries
                .iter()
                .any(|entry| self.next_table(*entry, table.level).is_some())
        })
    }

    /// What writing `entry` at `slot` would change, without recording it.
    ///
    /// # Errors
    /// [`TreeError`] if the write would make it something other than a tree.
    pub fn preview(
        &self,
        memory: &dyn TableMemory,
        slot: Gpa,
        entry: u64,
    ) -> Result<Vec<Change>, TreeError> {
        let update = self.plan(memory, slot, entry)?;
        Ok(update.map(|update| update.changes).unwrap_or_default())
    }

    /// Records that `entry` is written at `slot`, and says what that changes. A slot in no table
    /// of the tree changes nothing. Tables that the entry newly leads to are read from `memory`.
    ///
    /// # Errors
    /// As for [`preview`](Self::preview); the tree is then as before.
    pub fn apply(
        &mut self,
        memory: &dyn TableMemory,
        slot: Gpa,
        entry: u64,
    ) -> Result<Vec<Change>, TreeError> {
        let Some(update) = self.plan(memory, slot, entry)? else {
            return Ok(Vec::new());
        };
        for table in update.unlinked {
            self.tables.remove(&table);
        }
        self.tables.extend(update.linked);
        if let Some(table) = self.tables.get_mut(&update.table) {
            table.entries[update.index] = update.entry;
        }
        Ok(update.changes)
    }

    /// The table and index that `slot` is, if it is an entry of the tree.
    fn locate(&self, slot: Gpa) -> Option<(Gpa, usize)> {
        let inside = |(table, read): (&Gpa, &Table)| {
            let index = usize::try_from((slot.raw() - table.raw()) / 8).ok()?;
            (index < read.entries.len()).then_some((*table, index))
        };
        // No two tables overlap, so only the last one that starts at or before the slot can hold it.
        self.tables.range(..=slot).next_back().and_then(inside)
    }

    fn plan(
        &self,
        memory: &dyn TableMemory,
        slot: Gpa,
        entry: u64,
    ) -> Result<Option<Update>, TreeError> {
        let Some((address, index)) = self.locate(slot) else {
            return Ok(None);
        };
        let table = &self.tables[&address];
        let place = self.below(table, index);
        let old = table.entries[index];

        let unlinked = self.subtree(old, table.level);
        let mut linked = BTreeMap::new();
        if let Some((next, limits)) = self.next_table(entry, table.level) {
            let (level, base, above) = place;
            let place = (level, base, above & limits);
            self.load(memory, next, place, &unlinked, &mut linked)?;
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        self.collect_entry(&BTreeMap::new(), old, table, index, &mut before);
        self.collect_entry(&linked, entry, table, index, &mut after);
        Ok(Some(Update {
            table: address,
            index,
            entry,
            unlinked,
            linked,
            changes: diff(&before, &after),
        }))
    }

    /// Level, first address and limits of what is below entry `index` of `table`.
    fn below(&self, table: &Table, index: usize) -> (Level, u64, Permissions) {
        let base = table.base + ((index as u64) << self.format.span(table.level).shift());
        let level = table.level.below().unwrap_or(Level(0));
        (level, base, table.limits)
    }

    /// The table that `entry` leads to, if it leads to one.
    fn next_table(&self, entry: u64, level: Level) -> Option<(Gpa, Permissions)> {
        match self.format.decode(entry, level) {
            Ok(Meaning::Table { next, limits }) => Some((next, limits)),
            _ => None,
        }
    }

    /// The tables reached through `entry` of a table at `level`.
    fn subtree(&self, entry: u64, level: Level) -> Vec<Gpa> {
        let mut found = Vec::new();
        let mut waiting: Vec<_> = self.next_table(entry, level).into_iter().collect();
        while let Some((address, _)) = waiting.pop() {
            let Some(table) = self.tables.get(&address) else {
                continue;
            };
            found.push(address);
            let entries = table.entries.iter();
            waiting.extend(entries.filter_map(|entry| self.next_table(*entry, table.level)));
        }
        found
    }

    /// Reads the table at `address` and all below it into `tables`. Those in `unlinked` may be
    /// linked again, others of the tree may not.
    fn load(
        &self,
        memory: &dyn TableMemory,
        address: Gpa,
        (level, base, limits): (Level, u64, Permissions),
        unlinked: &[Gpa],
        tables: &mut BTreeMap<Gpa, Table>,
    ) -> Result<(), TreeError> {
        self.check(address, level, unlinked, tables)?;
        let entries = (0..self.format.entries(level))
            .map(|index| memory.read_entry(slot(address, index)))
            .collect::<Result<Vec<_>, _>>()?;
        let table = Table {
            level,
            base,
            limits,
            entries: entries.clone(),
        };
        let places: Vec<_> = (0..entries.len()).map(|i| self.below(&table, i)).collect();
        tables.insert(address, table);
        for (entry, (below, base, above)) in entries.into_iter().zip(places) {
            if let Some((next, limits)) = self.next_table(entry, level) {
                let place = (below, base, above & limits);
                self.load(memory, next, place, unlinked, tables)?;
            }
        }
        Ok(())
    }

    fn check(
        &self,
        table: Gpa,
        level: Level,
        unlinked: &[Gpa],
        tables: &BTreeMap<Gpa, Table>,
    ) -> Result<(), TreeError> {
        let region = self.region;
        let outside = TreeError::OutsideRegion { table, region };
        let whole = self.occupied(table, level).ok_or(outside)?;
        let linked = self.tables.contains_key(&table) && !unlinked.contains(&table);
        if !region.covers(whole) {
            Err(outside)
        } else if linked || tables.contains_key(&table) || self.meets_root(whole, level) {
            Err(TreeError::Shared(table))
        } else {
            Ok(())
        }
    }

    /// The memory of the table at `table`.
    fn occupied(&self, table: Gpa, level: Level) -> Option<AddrRange<Gpa>> {
        AddrRange::from_length(table, table_size(&*self.format, level)).ok()
    }

    /// Whether a table below the root shares memory with it. All other tables are of one size and
    /// aligned to it, so that two of them are the same or apart; the root may be smaller or larger.
    fn meets_root(&self, whole: AddrRange<Gpa>, level: Level) -> bool {
        let top = self.format.root();
        let root = self.occupied(self.root, top);
        level != top && root.is_some_and(|root| root.overlaps(whole))
    }

    /// Appends the pages mapped by the table at `address`, those of `linked` taking precedence.
    fn collect(&self, linked: &BTreeMap<Gpa, Table>, address: Gpa, pages: &mut Vec<Page>) {
        let Some(table) = linked.get(&address).or_else(|| self.tables.get(&address)) else {
            return;
        };
        for (index, entry) in table.entries.iter().enumerate() {
            self.collect_entry(linked, *entry, table, index, pages);
        }
    }

    fn collect_entry(
        &self,
        linked: &BTreeMap<Gpa, Table>,
        entry: u64,
        table: &Table,
        index: usize,
        pages: &mut Vec<Page>,
    ) {
        match self.format.decode(entry, table.level) {
            Ok(Meaning::Table { next, .. }) => self.collect(linked, next, pages),
            Ok(Meaning::Leaf(leaf)) => {
                let (_, base, limits) = self.below(table, index);
                let range = AddrRange::page(self.format.canonical(base), leaf.size);
                pages.push((range, limited(leaf, limits)));
            }
            Ok(Meaning::NotPresent) | Err(_) => {}
        }
    }

    /// Index of `address` in the tables that its walk would visit; for tests of other modules.
    #[cfg(test)]
    pub(crate) fn slot_of(&self, address: Gva) -> Gpa {
        let mut table = self.root;
        let mut level = self.format.root();
        loop {
            let slot = slot(
                table,
                crate::paging::format::index(&*self.format, level, address),
            );
            match self.next_table(self.entry(slot).unwrap_or(0), level) {
                Some((next, _)) => (table, level) = (next, Level(level.0 - 1)),
                None => return slot,
            }
        }
    }
}
