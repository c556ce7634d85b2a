//! What the oracle found.

use std::fmt;

use crate::addr::{Access, Iova};
use crate::contract::{Notice, Step};
use crate::paging::{Change, Leaf};
use crate::secondary::{CacheId, Cached};

/// The one-word result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No violation.
    Coherent,
    /// At least one.
    Violation,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coherent => "coherent",
            Self::Violation => "violation",
        })
    }
}

/// What rule was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationKind {
    /// Refused by a cached entry although the page table allows it.
    StaleReadOnly,
    /// Made through a cached entry although the page table no longer allows it.
    StaleWritable,
    /// Made through a cached entry to a page that is no longer mapped there.
    UseAfterUnmap,
    /// Given up after a bounded number of faults although the page table allows it.
    LostProgress,
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StaleReadOnly => "stale-read-only",
            Self::StaleWritable => "stale-writable",
            Self::UseAfterUnmap => "use-after-unmap",
            Self::LostProgress => "lost-progress",
        })
    }
}

/// A rule broken, with how it came to that.
///
/// The same thing going wrong again by the same entry after the same change is the same violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What rule.
    pub kind: ViolationKind,
    /// By which cache.
    pub cache: CacheId,
    /// First address of the first access that showed it.
    pub iova: Iova,
    /// What that access was.
    pub access: Access,
    /// When it was.
    pub step: Step,
    /// How many accesses showed it.
    pub occurrences: u64,
    /// The entry that was used, if one was.
    pub stale_entry: Option<Cached>,
    /// What the page table said instead.
    pub current_entry: Option<Leaf>,
    /// How it came to that.
    pub chain: Chain,
}

/// Cause and effect behind a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The change that made the entry stale; `None` if the history no longer has it.
    pub change: Option<(Step, Change)>,
    /// The notifications that covered it from then on.
    pub notices: Vec<(Step, Notice)>,
    /// The invalidation that it was owed.
    pub invalidation: Invalidation,
}

/// What became of an invalidation that was owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// There was none.
    Missing,
    /// It was complete only after the damage was done.
    Late(Step),
    /// It was complete before, and the cache used the entry all the same.
    Ineffective(Step),
}

/// Whether a fault was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Judgement {
    /// The page table refuses the access too.
    Genuine,
    /// The page table allows it: only a stale entry refused.
    Stale,
    /// The entry was just being changed, so that either answer was right.
    InFlight,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Genuine => "genuine",
            Self::Stale => "stale",
            Self::InFlight => "in-flight",
        })
    }
}

/// A fault, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedFault {
    /// When.
    pub step: Step,
    /// By which cache.
    pub cache: CacheId,
    /// Where.
    pub iova: Iova,
    /// What was refused.
    pub access: Access,
    /// Whether that was right.
    pub judgement: Judgement,
}

/// A walk found what the page table was never reported to say: somebody changed it unseen, and
/// what the oracle says of that page is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untracked {
    /// When.
    pub step: Step,
    /// An address in the page.
    pub iova: Iova,
    /// What was found, `None` for nothing.
    pub found: Option<Leaf>,
    /// What was last reported.
    pub reported: Option<Leaf>,
}

/// Everything that was found, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Rules broken.
    pub violations: Vec<Violation>,
    /// Faults, the earliest ones if there were more than can be kept.
    pub faults: Vec<JudgedFault>,
    /// Changes that the tracker missed, the earliest ones.
    pub untracked: Vec<Untracked>,
    /// Entries that invalidations took away although the page table still said the same.
    pub needless_drops: Vec<(CacheId, u64)>,
    /// Findings of any kind beyond what is kept.
    pub not_kept: u64,
}

impl Findings {
    /// The one-word result.
    pub fn verdict(&self) -> Verdict {
        if self.violations.is_empty() {
            Verdict::Coherent
        } else {
            Verdict::Violation
        }
    }

    /// Entries of this cache that were taken away needlessly.
    pub fn needless_drops_of(&self, cache: CacheId) -> u64 {
        let of_cache = self.needless_drops.iter().filter(|(id, _)| *id == cache);
        of_cache.map(|(_, count)| count).sum()
    }

    /// How the last fault on this access was judged.
    pub fn last_fault(&self, cache: CacheId, iova: Iova, access: Access) -> Option<JudgedFault> {
        let key = (cache, iova, access);
        let matches = |fault: &&JudgedFault| (fault.cache, fault.iova, fault.access) == key;
        self.faults.iter().rev().find(matches).copied()
    }
}
