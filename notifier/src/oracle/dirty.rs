//! Marks that hardware makes, and pages that are written without one.

use super::ViolationKind;
use super::chain::Evidence;
use super::history::Fact;
use super::judge::{Seen, State, same};
use super::under_way::Announced;
use crate::addr::{Access, AddrRange, Iova};
use crate::contract::Step;
use crate::paging::{Change, Leaf, LeafHints};

/// Who marks a page dirty before a device writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirtyManagement {
    /// Software, when it makes a page writable: whether a page is dirty says nothing of devices.
    #[default]
    Software,
    /// The secondary MMU (HTTU): a write through a clean page is one that nobody will know of. A
    /// format whose writable pages are not all managed decodes those that are not as dirty.
    Hardware,
}

impl State {
    pub(super) fn marked(&mut self, iova: Iova, access: Access, before: &Leaf, after: &Leaf) {
        self.note(Fact::Updated(iova, access, *before));
        let address = iova.to_gva();
        self.under_way.marked(address, before, after);
        if same(address, self.current.get(address), Some(*before)) {
            let page = AddrRange::page(address, after.size);
            self.current.set(page, Some(*after));
        }
    }

    /// Whether hardware would have had to mark `leaf` before a write.
    fn is_clean(&self, leaf: &Leaf) -> bool {
        self.dirty == DirtyManagement::Hardware && !leaf.dirty
    }

    /// What a write amounts to that is made although the page table says `current`, and that is of
    /// this kind by permissions alone.
    pub(super) fn with_dirt(
        &self,
        kind: Option<ViolationKind>,
        access: Access,
        current: Option<&Leaf>,
    ) -> Option<ViolationKind> {
        let clean = current.filter(|leaf| access == Access::Write && self.is_clean(leaf));
        match (kind, clean) {
            (None, Some(_)) => Some(ViolationKind::LostDirty),
            // Nothing was revoked: the page only waits to be marked.
            (Some(ViolationKind::StaleWritable), Some(leaf)) if waits(leaf) => {
                Some(ViolationKind::LostDirty)
            }
            (kind, _) => kind,
        }
    }

    /// Whether hardware would mark the page and let the write through.
    pub(super) fn allows_by_mark(&self, leaf: &Leaf, access: Access) -> bool {
        access == Access::Write && self.is_clean(leaf) && waits(leaf)
    }

    /// `made` is what became of what was `announced`. If hardware marked the page between, and the
    /// new entry does not say so, nor did who made it know of the mark, it is lost.
    pub(super) fn judge_mark(&mut self, announced: &[Announced], step: Step, made: &Change) {
        let knew = made.old.is_some_and(|old| old.dirty);
        let says_so = made.new.is_some_and(|new| new.dirty);
        let overtaken = announced
            .iter()
            .any(|one| one.overtaken && one.change.range.overlaps(made.range));
        if self.dirty == DirtyManagement::Hardware && overtaken && !knew && !says_so {
            let seen = Seen::change(step, None, Iova::shared(made.range.start()));
            let evidence = Evidence::Change(step, *made);
            self.violation_by(ViolationKind::LostDirty, seen, evidence, None);
        }
    }
}

/// Whether it is a page that is writable once it is marked.
fn waits(leaf: &Leaf) -> bool {
    leaf.hints.contains(LeafHints::DIRTY_MANAGED) && leaf.permissions.allow(Access::Read)
}
