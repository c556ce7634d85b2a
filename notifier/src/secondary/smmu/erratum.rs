//! An erratum: an entry that survives an invalidation which races with traffic.

use std::collections::BTreeSet;

use super::Racing;
use crate::addr::Iova;
use crate::secondary::Cached;
use crate::secondary::cache::{Fate, SpaceKey};

/// An entry, by what tags it.
type Tag = (SpaceKey, Iova);

/// Entries that are kept in mind. With more, those that are used later have no luck: bounded, since a
/// device decides how many it uses.
const MOST: usize = 1 << 16;

/// Which entries traffic races for.
#[derive(Debug, Default)]
pub(super) struct RacingEntries {
    racing: Racing,
    /// Used since a TLB invalidation was submitted that is not complete.
    used: BTreeSet<Tag>,
    /// Survived one already.
    survived: BTreeSet<Tag>,
}

impl RacingEntries {
    pub(super) fn new(racing: Racing) -> Self {
        Self {
            racing,
            ..Self::default()
        }
    }

    /// `entry` is used while an invalidation is on its way.
    pub(super) fn used(&mut self, space: SpaceKey, entry: &Cached) {
        if self.racing == Racing::Survives && self.used.len() < MOST {
            self.used.insert((space, entry.page.start()));
        }
    }

    /// What becomes of `entry`, which an invalidation covers.
    pub(super) fn fate(&mut self, space: SpaceKey, entry: &Cached) -> Fate {
        let tag = (space, entry.page.start());
        let had_its_turn = self.survived.remove(&tag);
        if had_its_turn || !self.used.contains(&tag) {
            return Fate::Goes;
        }
        self.survived.insert(tag);
        Fate::Stays
    }

    /// No invalidation is on its way any more.
    pub(super) fn over(&mut self) {
        self.used.clear();
    }
}
