//! What invalidations take away for nothing.

use std::collections::BTreeMap;

use super::map::LeafMap;
use crate::paging::Leaf;
use crate::secondary::{CacheId, Cached};

/// How many entries that were taken away wait to be judged.
const WAITING: usize = 1 << 10;

/// Invalidation commands of one cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redundant {
    /// All of them.
    pub commands: u64,
    /// Those that took nothing.
    pub took_nothing: u64,
    /// Those that took something, all of which was still right.
    pub took_only_right: u64,
}

/// Something that was taken away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    Page(CacheId, Cached),
    /// A table, and whether the page table still leads to it.
    Table(CacheId, bool),
}

/// What was taken away by one command, or by none.
#[derive(Debug)]
struct Batch {
    command: Option<Option<CacheId>>,
    /// How many entries the command says that it took.
    removed: u64,
    taken: Vec<Taken>,
}

/// Counts what was wasted once it is known what the page table says.
#[derive(Debug, Default)]
pub(super) struct Waste {
    /// Taken by whatever is being carried out.
    open: Vec<Taken>,
    waiting: Vec<Batch>,
    needless: BTreeMap<CacheId, u64>,
    redundant: BTreeMap<Option<CacheId>, Redundant>,
    held: usize,
    /// Entries that there was no room for, and that are not judged.
    pub(super) not_judged: u64,
}

impl Waste {
    pub(super) fn took(&mut self, taken: Taken) {
        if self.held < WAITING {
            self.held += 1;
            self.open.push(taken);
        } else {
            self.not_judged += 1;
        }
    }

    /// A command for this cache took what was taken since the last one, `removed` entries.
    pub(super) fn carried_out(&mut self, cache: Option<CacheId>, removed: u64) {
        let counts = self.redundant.entry(cache).or_default();
        counts.commands += 1;
        counts.took_nothing += u64::from(removed == 0);
        let taken = std::mem::take(&mut self.open);
        if !taken.is_empty() {
            self.waiting.push(Batch {
                command: Some(cache),
                removed,
                taken,
            });
        }
    }

    /// Nothing changes at the moment, and the page table says `current`.
    pub(super) fn judge(&mut self, current: &LeafMap) {
        self.held = 0;
        let loose = Batch {
            command: None,
            removed: 0,
            taken: std::mem::take(&mut self.open),
        };
        for batch in std::mem::take(&mut self.waiting).into_iter().chain([loose]) {
            let right = batch.taken.iter().filter_map(|one| one.is_right(current));
            let mut count = 0;
            for cache in right {
                count += 1;
                *self.needless.entry(cache).or_default() += 1;
            }
            if let Some(cache) = batch.command.filter(|_| count == batch.removed) {
                self.redundant.entry(cache).or_default().took_only_right += 1;
            }
        }
    }

    pub(super) fn needless(&self) -> Vec<(CacheId, u64)> {
        let counts = self.needless.iter().filter(|(_, count)| **count > 0);
        counts.map(|(cache, count)| (*cache, *count)).collect()
    }

    pub(super) fn redundant(&self) -> Vec<(Option<CacheId>, Redundant)> {
        let counts = self.redundant.iter();
        counts.map(|(cache, counts)| (*cache, *counts)).collect()
    }
}

impl Taken {
    /// The cache that it was taken from, if it was still right.
    fn is_right(&self, current: &LeafMap) -> Option<CacheId> {
        match *self {
            Self::Page(cache, entry) => {
                let address = entry.page.start().to_gva();
                let leaf = current.get(address)?;
                let same_target = leaf.translate(address) == entry.leaf.translate(address);
                (same_target && still_right(cache, &entry.leaf, &leaf)).then_some(cache)
            }
            Self::Table(cache, still) => still.then_some(cache),
        }
    }
}

/// Whether a cache may keep `entry` although the page table says `leaf`, which has the same target.
/// A TLB must go by what the entry says; page tables of one's own are looked at again before they
/// refuse anything, so there it is enough that nothing was taken away.
fn still_right(cache: CacheId, entry: &Leaf, leaf: &Leaf) -> bool {
    match cache {
        CacheId::Shadow => leaf.permissions.contains(entry.permissions),
        _ => leaf.same_translation(entry),
    }
}
