//! Hardware update of access flag and dirty state (`IHI0070` 3.13).
//!
//! The entry is changed in memory in one access, and only if it is still what the walk found;
//! otherwise the walk begins anew.

use super::model::count;
use super::regime::{Marks, is_clean};
use super::spec::Class;
use super::walker::{Reached, Refused, Walk};
use super::{Httu, Smmu};
use crate::addr::{Access, Gva, Iova};
use crate::paging::{Leaf, Meaning, WalkFaultKind, limited};
use crate::secondary::{Cached, Denial};

/// What became of an entry.
pub(super) enum Marked {
    /// It says this now.
    As(Leaf),
    /// Somebody else changed it.
    Changed,
}

impl Marks {
    fn sets_accessed(self) -> bool {
        self.httu != Httu::None
    }

    pub(super) fn sets_dirty(self) -> bool {
        self.httu == Httu::AccessDirty
    }
}

impl Smmu {
    /// Marks the entry as used for `access`, as far as the stage does that and there is need to.
    pub(super) fn mark(
        &self,
        walk: &Walk<'_>,
        address: Gva,
        reached: &Reached,
        access: Access,
    ) -> Result<Marked, Refused> {
        let leaf = reached.leaf;
        let wanted = wanted(walk, reached, access);
        if let Some(marked) = wanted {
            return self.set_mark(walk, address, reached, marked);
        }
        if !leaf.accessed && !walk.marks.ignores_access_flag {
            return Err(walk.refused(Denial::AccessFlag(leaf)));
        }
        Ok(Marked::As(leaf))
    }

    fn set_mark(
        &self,
        walk: &Walk<'_>,
        address: Gva,
        reached: &Reached,
        marked: u64,
    ) -> Result<Marked, Refused> {
        let slot = reached.slot;
        if let Some(ipa) = slot.ipa.filter(|_| !slot.writable) {
            let page = crate::addr::AddrRange::page(Iova::shared(address), reached.leaf.size);
            let entry = Cached {
                page,
                leaf: reached.leaf,
                filled: walk.began(),
            };
            return Err(Refused {
                table_access: Access::Write,
                ..Refused::of_table(entry, ipa, Class::Table)
            });
        }
        let exchanged = self.memory.compare_exchange(slot.at, reached.entry, marked);
        let found = exchanged.map_err(|none| walk.fault(address, WalkFaultKind::from(none)))?;
        if found != reached.entry {
            return Ok(Marked::Changed);
        }
        let leaf = meaning(walk, reached, marked).unwrap_or(reached.leaf);
        let access = if leaf.dirty == reached.leaf.dirty {
            Access::Read
        } else {
            Access::Write
        };
        let iova = Iova::shared(address);
        count(&self.counters.marks);
        self.observer.marked(iova, access, &reached.leaf, &leaf);
        Ok(Marked::As(leaf))
    }
}

/// What the entry is to become; `None` if it is to stay as it is.
///
/// Dirty only for a write that is allowed then: what the tables on the way take away, no mark gives
/// back.
fn wanted(walk: &Walk<'_>, reached: &Reached, access: Access) -> Option<u64> {
    let marks = walk.marks;
    let dirty = access == Access::Write && marks.sets_dirty() && is_clean(&reached.leaf);
    let written = dirty.then(|| walk.format.marked(reached.entry, Access::Write));
    let allows = |entry: &u64| {
        let leaf = meaning(walk, reached, *entry);
        leaf.is_some_and(|leaf| leaf.permissions.allow(Access::Write))
    };
    let used = marks.sets_accessed() && !reached.leaf.accessed;
    let used = used.then(|| walk.format.marked(reached.entry, Access::Read));
    written.filter(allows).or(used)
}

fn meaning(walk: &Walk<'_>, reached: &Reached, entry: u64) -> Option<Leaf> {
    match walk.format.decode(entry, reached.level) {
        Ok(Meaning::Leaf(leaf)) => Some(limited(leaf, reached.limits)),
        _ => None,
    }
}
