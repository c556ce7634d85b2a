//! What the software under test does about a permission upgrade.

use std::fmt;

/// How secondary MMUs learn that a page became writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpgradePolicy {
    /// They do not: Linux up to 6.5.
    None,
    /// By a start/end pair of its own kind, after the change: the proposal of May 2023.
    Range,
    /// By an invalidation of secondary TLBs from page-table code, under its lock: Linux from 6.6 on.
    SecondaryTlb,
}

impl UpgradePolicy {
    /// All of them, in order of their history.
    pub const ALL: [Self; 3] = [Self::None, Self::Range, Self::SecondaryTlb];

    /// Whether the SMMU's driver is of the age at which the end of every range invalidation
    /// invalidated it too (up to 6.5).
    pub fn ends_invalidate_tlbs(self) -> bool {
        self != Self::SecondaryTlb
    }
}

impl fmt::Display for UpgradePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Range => "range",
            Self::SecondaryTlb => "secondary-tlb",
        })
    }
}
