//! Which tables a write takes out of the tree, and which it puts there.

use std::fmt;

use super::{Table, Tree, TreeError};
use crate::addr::{AddrRange, Gpa, Gva, PageSize};
use crate::paging::{Level, TableMemory};

/// Another table, or none, for the walks of a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// The addresses whose walks go through it: all that one entry of the table above spans.
    pub range: AddrRange<Gva>,
    /// Its level.
    pub level: Level,
    /// The table that was there, `None` for none.
    pub old: Option<Gpa>,
    /// The table that is there now.
    pub new: Option<Gpa>,
}

/// `table at level 0 for [0x200000, 0x400000): 0x3000 -> none`
impl fmt::Display for TableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |table: Option<Gpa>| table.map_or("none".into(), |table| table.to_string());
        let (old, new) = (show(self.old), show(self.new));
        let (level, range) = (self.level, self.range);
        write!(f, "table at {level} for {range}: {old} -> {new}")
    }
}

impl Tree {
    /// Which tables writing `entry` at `slot` would take out of their places, or put there, without
    /// recording it. A table that stays where it was is not among them.
    ///
    /// # Errors
    /// As for [`preview`](Tree::preview).
    pub fn preview_tables(
        &self,
        memory: &dyn TableMemory,
        slot: Gpa,
        entry: u64,
    ) -> Result<Vec<TableChange>, TreeError> {
        let Some(update) = self.plan(memory, slot, entry)? else {
            return Ok(Vec::new());
        };
        let place = |address: &Gpa, table: &Table| (*address, table.level, self.walks(table));
        let old = update.unlinked.iter().filter_map(|address| {
            let table = self.tables.get(address)?;
            Some(place(address, table))
        });
        let old: Vec<_> = old.collect();
        let new = update.linked.iter();
        let new: Vec<_> = new.map(|(address, table)| place(address, table)).collect();
        let gone = old.iter().filter(|place| !new.contains(place));
        let gone = gone.map(|(address, level, range)| TableChange {
            range: *range,
            level: *level,
            old: Some(*address),
            new: None,
        });
        let come = new.iter().filter(|place| !old.contains(place));
        let come = come.map(|(address, level, range)| TableChange {
            range: *range,
            level: *level,
            old: None,
            new: Some(*address),
        });
        Ok(gone.chain(come).collect())
    }

    /// The addresses whose walks go through a table.
    fn walks(&self, table: &Table) -> AddrRange<Gva> {
        let last = table.entries.len().saturating_sub(1) as u64;
        let span: PageSize = self.format.span(table.level);
        let start = self.format.canonical(table.base);
        let end = table.base + (last << span.shift()) + span.offset_mask();
        AddrRange::through(start, self.format.canonical(end))
            .unwrap_or(AddrRange::page(start, span))
    }
}
