//! Violations in words.

use std::fmt;

use super::{Chain, Invalidation, Violation, ViolationKind};
use crate::paging::ChangeKind;

/// `device write to 0x... was refused by an entry cached at step 7; the guest upgraded the page at
/// step 12; no invalidation covered it`
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access, iova, .. } = self;
        write!(f, "device {access} to {iova} ")?;
        match self.kind {
            ViolationKind::StaleReadOnly => f.write_str("was refused by an entry")?,
            ViolationKind::StaleWritable => {
                f.write_str("was made, although no longer allowed, through an entry")?;
            }
            ViolationKind::UseAfterUnmap => {
                f.write_str("reached a page no longer mapped there through an entry")?;
            }
            ViolationKind::LostProgress => {
                let times = self.occurrences;
                write!(f, "was given up after {times} faults, refused by an entry")?;
            }
        }
        match &self.stale_entry {
            Some(entry) => write!(f, " cached at {}", entry.filled)?,
            None => f.write_str(" that is not known")?,
        }
        write!(f, "; {}", self.chain)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Some((step, change)) => {
                write!(f, "the guest {} the page at {step}; ", done(change.kind))?;
            }
            None => f.write_str("the change that made it stale is no longer on record; ")?,
        }
        match (self.invalidation, self.notices.is_empty()) {
            (Invalidation::Missing, true) => f.write_str("no invalidation covered it"),
            (Invalidation::Missing, false) => {
                f.write_str("it was notified, but no invalidation of the cache covered it")
            }
            (Invalidation::Late(step), _) => {
                write!(
                    f,
                    "the first invalidation that covered it came late, at {step}"
                )
            }
            (Invalidation::Ineffective(step), _) => {
                write!(
                    f,
                    "the invalidation of {step} covered it and did not take it away"
                )
            }
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
