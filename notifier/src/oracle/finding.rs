//! What the oracle found.

use std::fmt;

use super::Redundant;
use crate::addr::{Access, Iova, SubstreamId};
use crate::contract::{Notice, Step};
use crate::paging::vmsa::BreakReason;
use crate::paging::{Change, Leaf, TableChange};
use crate::secondary::{CacheId, Cached, CachedTable, Structure};

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
    /// A walk went on in a table that the page table no longer leads to.
    StaleTable,
    /// Translated by a cached structure although the driver relies on what memory says instead.
    StaleConfiguration,
    /// A page was written, and nothing says so.
    LostDirty,
    /// A live page was changed in a way that needs it to be unmapped, and that to be invalidated,
    /// first.
    BreakBeforeMake,
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StaleReadOnly => "stale-read-only",
            Self::StaleWritable => "stale-writable",
            Self::UseAfterUnmap => "use-after-unmap",
            Self::LostProgress => "lost-progress",
            Self::StaleTable => "stale-table",
            Self::StaleConfiguration => "stale-configuration",
            Self::LostDirty => "lost-dirty",
            Self::BreakBeforeMake => "break-before-make",
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
    /// By which cache, or in which the old entry may still be; `None` for a change that is wrong
    /// whatever any cache does.
    pub cache: Option<CacheId>,
    /// First address of the first access that showed it, or of the change.
    pub iova: Iova,
    /// What that access was; `None` if it was a walk, or a change.
    pub access: Option<Access>,
    /// When it was.
    pub step: Step,
    /// How many accesses, walks or changes showed it.
    pub occurrences: u64,
    /// The entry that was used, if one was.
    pub stale_entry: Option<Cached>,
    /// What else it is about.
    pub detail: Option<Detail>,
    /// What the page table said instead.
    pub current_entry: Option<Leaf>,
    /// How it came to that.
    pub chain: Chain,
}

/// What a violation is about, beside a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// This cached table was used.
    Table(CachedTable),
    /// This structure of a stream was used.
    Structure(Structure, Option<SubstreamId>),
    /// A break was needed, for this reason.
    Break(BreakReason),
}

/// Cause and effect behind a violation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The change that made the entry stale; `None` if the history no longer has it.
    pub change: Option<(Step, Change)>,
    /// The change that took a table out of the walk, if the walk went through that table.
    pub relinked: Option<(Step, TableChange)>,
    /// The notifications that covered it from then on.
    pub notices: Vec<(Step, Notice)>,
    /// The invalidation that it was owed.
    pub invalidation: Invalidation,
}

/// What became of an invalidation that was owed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Invalidation {
    /// There was none.
    #[default]
    Missing,
    /// It was complete only after the damage was done.
    Late(Step),
    /// It was complete before, and the cache used the entry all the same.
    Ineffective(Step),
    /// The device's TLB was told, at this step, before the SMMU's TLB, and filled again from that.
    WrongOrder(Step),
    /// A command for these addresses, of this step, was for another ASID, VMID, stream or substream.
    WrongTag(Step),
    /// A command for these addresses, of this step, was for another level or structure.
    WrongLevel(Step),
    /// A command of this step would have taken it, but no CMD_SYNC completed it in time.
    NotSynced(Step),
    /// A command of this step was for some of the addresses that changed, but not for these.
    Short(Step),
    /// None would have helped.
    NotOwed,
}

impl Invalidation {
    /// The step of the invalidation, or of the command that should have been one.
    pub fn step(self) -> Option<Step> {
        match self {
            Self::Missing | Self::NotOwed => None,
            Self::Late(step)
            | Self::Ineffective(step)
            | Self::WrongOrder(step)
            | Self::WrongTag(step)
            | Self::WrongLevel(step)
            | Self::NotSynced(step)
            | Self::Short(step) => Some(step),
        }
    }
}

impl fmt::Display for Invalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Late(_) => "late",
            Self::Ineffective(_) => "ineffective",
            Self::WrongOrder(_) => "wrong-order",
            Self::WrongTag(_) => "wrong-tag",
            Self::WrongLevel(_) => "wrong-level",
            Self::NotSynced(_) => "not-synced",
            Self::Short(_) => "short",
            Self::NotOwed => "not-owed",
        })
    }
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
    /// Invalidation commands that were of no use, by the one cache that they were for, or `None` if
    /// for more than one.
    pub redundant: Vec<(Option<CacheId>, Redundant)>,
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
