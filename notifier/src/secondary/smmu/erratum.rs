//! An erratum as a choice: an entry that survives an invalidation which races with traffic.

use std::collections::BTreeSet;

use crate::addr::{Asid, Iova};
use crate::secondary::Cached;

/// A way in which hardware deviates from the architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Erratum {
    /// None.
    #[default]
    None,
    /// An entry that is used between a TLB invalidation and its CMD_SYNC survives it, but not the
    /// next one as well (Tegra264; Linux: `ARM_SMMU_OPT_TLBI_TWICE`).
    RacingEntrySurvives,
}

/// An entry, by what tags it.
type Tag = (Asid, Iova);

/// Which entries traffic races for.
#[derive(Debug, Default)]
pub(super) struct Racing {
    erratum: Erratum,
    /// Used since a TLB invalidation was submitted that is not complete.
    used: BTreeSet<Tag>,
    /// Survived one already.
    survived: BTreeSet<Tag>,
}

impl Racing {
    pub(super) fn new(erratum: Erratum) -> Self {
        Self {
            erratum,
            ..Self::default()
        }
    }

    /// `entry` is used while an invalidation is on its way.
    pub(super) fn used(&mut self, asid: Asid, entry: &Cached) {
        if self.erratum == Erratum::RacingEntrySurvives {
            self.used.insert((asid, entry.page.start()));
        }
    }

    /// Whether `entry`, which an invalidation covers, stays all the same.
    pub(super) fn spares(&mut self, asid: Asid, entry: &Cached) -> bool {
        let tag = (asid, entry.page.start());
        let had_its_turn = self.survived.remove(&tag);
        let spared = !had_its_turn && self.used.contains(&tag);
        if spared {
            self.survived.insert(tag);
        }
        spared
    }

    /// No invalidation is on its way any more.
    pub(super) fn over(&mut self) {
        self.used.clear();
    }
}
