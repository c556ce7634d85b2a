//! Violations in words.

use std::fmt;

use super::{Chain, Detail, Invalidation, Violation, ViolationKind};
use crate::paging::ChangeKind;

/// `device write to 0x... was refused by an entry cached at step 7; the guest upgraded the page at
/// step 12; no invalidation covered it`
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iova = self.iova;
        match self.access {
            Some(access) => write!(f, "device {access} to {iova} ")?,
            None if self.kind == ViolationKind::StaleTable => write!(f, "walk for {iova} ")?,
            None => write!(f, "a change of the page at {iova} ")?,
        }
        f.write_str(self.done())?;
        if self.kind == ViolationKind::LostProgress {
            write!(f, " after {} faults, refused by an entry", self.occurrences)?;
        }
        self.write_detail(f)?;
        write!(f, "; {}", self.chain)
    }
}

impl Violation {
    /// What was done that should not have been.
    fn done(&self) -> &'static str {
        match self.kind {
            ViolationKind::StaleReadOnly => "was refused by an entry",
            ViolationKind::StaleWritable => {
                "was made, although no longer allowed, through an entry"
            }
            ViolationKind::UseAfterUnmap => {
                "reached a page no longer mapped there through an entry"
            }
            ViolationKind::LostProgress => "was given up",
            ViolationKind::StaleTable => "went on in a table that is no longer part of it",
            ViolationKind::StaleConfiguration => "was translated by an old",
            ViolationKind::LostDirty if self.access.is_some() => {
                "was made, and the page not marked dirty, through an entry"
            }
            ViolationKind::LostDirty => "took away a mark that hardware had just made",
            ViolationKind::BreakBeforeMake => "was made without a break",
        }
    }

    fn write_detail(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.detail, &self.stale_entry) {
            (Some(Detail::Table(table)), _) => {
                write!(f, ", {}, cached at {}", table.next, table.filled)
            }
            (Some(Detail::Structure(structure, _)), _) => write!(f, " {structure}"),
            (Some(Detail::Break(reason)), _) => write!(f, " ({reason})"),
            (None, Some(entry)) => write!(f, " cached at {}", entry.filled),
            (None, None) if self.access.is_some() => f.write_str(" that is not known"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.change, &self.relinked) {
            (Some((step, change)), _) => {
                write!(f, "the guest {} the page at {step}", done(change.kind))?;
            }
            (None, Some((step, change))) => write!(f, "{change} at {step}")?,
            (None, None) => f.write_str("the change that made it stale is not on record")?,
        }
        self.write_invalidation(f)
    }
}

impl Chain {
    fn write_invalidation(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.invalidation {
            Invalidation::Missing if self.notices.is_empty() => {
                f.write_str("; no invalidation covered it")
            }
            Invalidation::Missing => {
                f.write_str("; it was notified, but no invalidation of the cache covered it")
            }
            Invalidation::Late(step) => {
                write!(
                    f,
                    "; the first invalidation that covered it came late, at {step}"
                )
            }
            Invalidation::Ineffective(step) => {
                write!(
                    f,
                    "; the invalidation of {step} covered it and did not take it away"
                )
            }
            Invalidation::WrongOrder(step) => write!(
                f,
                "; the device TLB was told at {step}, before the SMMU's, and filled again from it"
            ),
            Invalidation::WrongTag(step) => write!(
                f,
                "; the command of {step} was for its addresses with another tag"
            ),
            Invalidation::WrongLevel(step) => {
                write!(f, "; the command of {step} was for another level of it")
            }
            Invalidation::NotSynced(step) => {
                write!(f, "; no CMD_SYNC completed the command of {step} in time")
            }
            Invalidation::Short(step) => {
                write!(f, "; the command of {step} was for a part without it")
            }
            Invalidation::NotOwed => Ok(()),
        }
    }
}

fn done(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Map => "mapped",
        ChangeKind::Unmap => "unmapped",
        ChangeKind::Remap => "remapped",
        ChangeKind::Downgrade => "downgraded",
        ChangeKind::Upgrade => "upgraded",
        ChangeKind::Resize => "split or merged",
        ChangeKind::AccessDirty => "marked",
        ChangeKind::Software => "tagged",
    }
}
