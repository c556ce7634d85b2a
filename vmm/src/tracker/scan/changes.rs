//! What one scan found, handed to the mirror in an order that makes no tree that can't have been.
//!
//! Entries are known with what they were at the last scan and what they are now, but not in which
//! order they became it. So:
//!
//! 1. what stands in pages that are no tables is copied first: it means nothing yet, and will when
//!    the page is linked;
//! 2. entries that no longer lead to a table, from the root down: what is below is gone at once,
//!    and whatever its page was used for afterwards was never a translation;
//! 3. entries that lead to another table than before. If a table is to move to a place before its
//!    old place is changed, then the guest has made an entry lead nowhere in between, since a table
//!    can't have two places: all entries that are still to change are taken for that, and then
//!    each is what it is now;
//! 4. pages, by address.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use guest::abi::layout;
use notifier::addr::Gpa;
use notifier::paging::{Level, Meaning, TableMemory, TreeError};

use super::ShadowCopy;
use crate::mirror::{Mirror, MirrorError};
use crate::tracker::PageTableWrite;

/// Entries that differ from the copy.
pub(super) struct Changes<'a> {
    copy: &'a ShadowCopy,
    mirror: &'a Mirror,
    /// By address, what they are now.
    entries: BTreeMap<Gpa, u64>,
}

/// Where an entry led at the last scan and leads now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To a table, and now not.
    Ended,
    /// Now to a table.
    Leads,
    /// To none.
    None,
}

impl<'a> Changes<'a> {
    pub(super) fn new(
        copy: &'a ShadowCopy,
        mirror: &'a Mirror,
        entries: BTreeMap<Gpa, u64>,
    ) -> Self {
        Self {
            copy,
            mirror,
            entries,
        }
    }

    /// Hands everything over.
    ///
    /// # Errors
    /// [`MirrorError`] if what is there now can't be followed; the copy is then something between
    /// what it was and what is there.
    pub(super) fn apply(mut self) -> Result<(), MirrorError> {
        self.copy_loose();
        self.unlink()?;
        self.link()?;
        while let Some((slot, entry)) = self.entries.pop_first() {
            self.make(slot, entry)?;
        }
        Ok(())
    }

    fn unlink(&mut self) -> Result<(), MirrorError> {
        for slot in self.leading(Way::Ended) {
            self.change(slot)?;
        }
        Ok(())
    }

    fn link(&mut self) -> Result<(), MirrorError> {
        for slot in self.leading(Way::Leads) {
            match self.change(slot) {
                Err(MirrorError::Tree(TreeError::Shared(_))) => return self.move_tables(),
                other => other?,
            }
        }
        Ok(())
    }

    /// Takes out all tables whose places change, and then puts them where they are now.
    fn move_tables(&mut self) -> Result<(), MirrorError> {
        for slot in self.leading(Way::Leads) {
            if self.mirror.page_table().is_structural(slot, 0) {
                self.make(slot, 0)?;
                self.copy_loose();
            }
        }
        for slot in self.leading(Way::Leads) {
            self.change(slot)?;
        }
        Ok(())
    }

    /// Makes the entry at `slot` what it is now, unless its table has gone meanwhile.
    fn change(&mut self, slot: Gpa) -> Result<(), MirrorError> {
        if let Some(entry) = self.entries.get(&slot).copied() {
            self.make(slot, entry)?;
            self.entries.remove(&slot);
            self.copy_loose();
        }
        Ok(())
    }

    /// One change of one entry, as the mirror is told of any. If hardware marks the entry meanwhile,
    /// which it can do twice at most, the change is made anew, of the marked entry.
    fn make(&self, slot: Gpa, entry: u64) -> Result<(), MirrorError> {
        loop {
            if let Some(marked) = self.copy.take_unstored(slot) {
                self.store(slot, marked)?;
            }
            match self.store(slot, entry) {
                Err(MirrorError::Overtaken) => {}
                done => return done,
            }
        }
    }

    fn store(&self, slot: Gpa, entry: u64) -> Result<(), MirrorError> {
        let before = self.copy.read_entry(slot)?;
        let window = self.mirror.prepare(PageTableWrite::entry(slot, entry))?;
        self.mirror.commit(window, |_| {
            let replaced = self.copy.replace(slot, before, entry);
            replaced.then_some(()).ok_or(MirrorError::Overtaken)
        })
    }

    /// Copies what stands in pages that are no tables.
    fn copy_loose(&mut self) {
        let tree = self.mirror.page_table();
        let pages: BTreeSet<_> = self.entries.keys().map(|slot| page(*slot)).collect();
        let loose = pages
            .into_iter()
            .filter(|page| tree.level_at(*page).is_none());
        for page in loose {
            let end = Gpa::new(page.raw() + layout::PAGE);
            let mut rest = self.entries.split_off(&page);
            self.entries.append(&mut rest.split_off(&end));
            for (slot, entry) in rest {
                self.copy.store(slot, entry);
            }
        }
    }

    /// The entries whose way changed like this, those of the highest tables first.
    fn leading(&self, wanted: Way) -> Vec<Gpa> {
        let tree = self.mirror.page_table();
        let leads = |entry, level| {
            let meaning = tree.format().decode(entry, level);
            matches!(meaning, Ok(Meaning::Table { .. }))
        };
        let way = |slot: Gpa, now: u64, level: Level| {
            let before = tree.entry(slot).is_some_and(|entry| leads(entry, level));
            match (before, leads(now, level)) {
                (_, true) => Way::Leads,
                (true, false) => Way::Ended,
                (false, false) => Way::None,
            }
        };
        let placed = self.entries.iter().filter_map(|(slot, entry)| {
            let level = tree.level_at(*slot)?;
            (way(*slot, *entry, level) == wanted).then_some((Reverse(level), *slot))
        });
        let sorted: BTreeSet<_> = placed.collect();
        sorted.into_iter().map(|(_, slot)| slot).collect()
    }
}

fn page(slot: Gpa) -> Gpa {
    Gpa::new(slot.raw() & !(layout::PAGE - 1))
}

#[cfg(test)]
mod tests;
