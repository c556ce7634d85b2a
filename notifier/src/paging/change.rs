//! What the difference between two entries amounts to.

use std::fmt;

use super::Leaf;
use crate::addr::{AddrRange, Gva};

/// What happened to a page's translation.
///
/// Where more than one thing happened, the kind is the one that asks most of a secondary MMU: a
/// page that moved is a [`Remap`](Self::Remap) whatever its permissions did, and one that lost any
/// permission is a [`Downgrade`](Self::Downgrade) even if it gained another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Not present to present.
    Map,
    /// Present to not present.
    Unmap,
    /// Another page, or another memory type.
    Remap,
    /// Permissions were taken away.
    Downgrade,
    /// Permissions were only added.
    Upgrade,
    /// The same translation from a larger or smaller page.
    Resize,
    /// Only accessed, dirty or global bits, or hints.
    AccessDirty,
    /// Only bits that hardware ignores.
    Software,
}

impl ChangeKind {
    /// All kinds, in the order in which reports list them.
    pub const ALL: [Self; 8] = [
        Self::Upgrade,
        Self::Downgrade,
        Self::Map,
        Self::Unmap,
        Self::Remap,
        Self::Resize,
        Self::AccessDirty,
        Self::Software,
    ];

    /// Whether an entry cached before the change gives another answer than one cached after it.
    ///
    /// Nothing was cached before a [`Map`](Self::Map), because an entry that faults is never kept.
    pub fn leaves_stale_entries(self) -> bool {
        !matches!(self, Self::Map | Self::AccessDirty | Self::Software)
    }

    /// Whether an entry cached before the change allows what is no longer allowed.
    pub fn revokes(self) -> bool {
        matches!(self, Self::Unmap | Self::Remap | Self::Downgrade)
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Remap => "remap",
            Self::Downgrade => "downgrade",
            Self::Upgrade => "upgrade",
            Self::Resize => "resize",
            Self::AccessDirty => "access_dirty",
            Self::Software => "software",
        })
    }
}

/// A change to the translation of a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The addresses: the smaller of the old and the new page.
    pub range: AddrRange<Gva>,
    /// What happened.
    pub kind: ChangeKind,
    /// The page they were in, `None` for none.
    pub old: Option<Leaf>,
    /// The page they are in now.
    pub new: Option<Leaf>,
}

impl Change {
    /// The change of `range` from `old` to `new`, or `None` if nothing differs.
    ///
    /// ```
    /// use notifier::addr::{AddrRange, Gpa, Gva, PageSize};
    /// use notifier::paging::x86_64::{Entry, X86_64};
    /// use notifier::paging::{Change, ChangeKind, Format, Level, Meaning};
    ///
    /// let format = X86_64::four_level(40);
    /// let leaf = |entry: Entry| match format.decode(entry.raw(), Level(0)) {
    ///     Ok(Meaning::Leaf(leaf)) => Some(leaf),
    ///     _ => None,
    /// };
    /// let clean = Entry::PRESENT | Entry::USER | Entry::ACCESSED;
    /// let range = AddrRange::page(Gva::new(0x1000), PageSize::K4);
    ///
    /// let upgrade = Change::between(range, leaf(clean), leaf(clean | Entry::WRITE | Entry::DIRTY));
    /// assert_eq!(upgrade.unwrap().kind, ChangeKind::Upgrade);
    /// ```
    pub fn between(range: AddrRange<Gva>, old: Option<Leaf>, new: Option<Leaf>) -> Option<Self> {
        let kind = match (&old, &new) {
            (None, None) => return None,
            (None, Some(_)) => ChangeKind::Map,
            (Some(_), None) => ChangeKind::Unmap,
            (Some(old), Some(new)) => kind_between(range, old, new)?,
        };
        Some(Self {
            range,
            kind,
            old,
            new,
        })
    }
}

fn kind_between(range: AddrRange<Gva>, old: &Leaf, new: &Leaf) -> Option<ChangeKind> {
    let target = |leaf: &Leaf| (leaf.translate(range.start()), leaf.memory_type);
    let marks = |leaf: &Leaf| (leaf.accessed, leaf.dirty, leaf.global, leaf.hints);
    if target(old) != target(new) {
        Some(ChangeKind::Remap)
    } else if !new.permissions.contains(old.permissions) {
        Some(ChangeKind::Downgrade)
    } else if old.permissions != new.permissions {
        Some(ChangeKind::Upgrade)
    } else if old.size != new.size {
        Some(ChangeKind::Resize)
    } else if marks(old) != marks(new) {
        Some(ChangeKind::AccessDirty)
    } else if old.software != new.software {
        Some(ChangeKind::Software)
    } else {
        None
    }
}

/// `upgrade of [0x1000, 0x2000): 0x500000 4 KiB r--u -> 0x500000 4 KiB rw-u`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |leaf: &Option<Leaf>| leaf.map_or("nothing".into(), |leaf| leaf.to_string());
        let (old, new) = (show(&self.old), show(&self.new));
        write!(f, "{} of {}: {old} -> {new}", self.kind, self.range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gpa, PageSize, Permissions};
    use crate::paging::LeafHints;

    const PAGE: Leaf = Leaf::page(Gpa::new(0x50_0000), PageSize::K4, Permissions::READ_ONLY);

    fn kind(old: Option<Leaf>, new: Option<Leaf>) -> Option<ChangeKind> {
        let range = AddrRange::page(Gva::new(0x1000), PageSize::K4);
        Change::between(range, old, new).map(|change| change.kind)
    }

    #[test]
    fn presence_alone_decides_map_and_unmap() {
        assert_eq!(kind(None, None), None);
        assert_eq!(kind(None, Some(PAGE)), Some(ChangeKind::Map));
        assert_eq!(kind(Some(PAGE), None), Some(ChangeKind::Unmap));
        assert_eq!(kind(Some(PAGE), Some(PAGE)), None);
    }

    #[test]
    fn each_difference_has_its_kind() {
        let writable = Leaf {
            permissions: Permissions::READ_WRITE,
            dirty: true,
            ..PAGE
        };
        let moved = Leaf {
            output: Gpa::new(0x60_0000),
            ..writable
        };
        let young = Leaf {
            accessed: false,
            software: 1,
            ..PAGE
        };
        let tagged = Leaf {
            software: 1,
            ..PAGE
        };
        assert_eq!(kind(Some(PAGE), Some(writable)), Some(ChangeKind::Upgrade));
        assert_eq!(
            kind(Some(writable), Some(PAGE)),
            Some(ChangeKind::Downgrade)
        );
        assert_eq!(kind(Some(PAGE), Some(moved)), Some(ChangeKind::Remap));
        assert_eq!(kind(Some(young), Some(PAGE)), Some(ChangeKind::AccessDirty));
        assert_eq!(kind(Some(tagged), Some(PAGE)), Some(ChangeKind::Software));
        let grouped = Leaf {
            hints: LeafHints::CONTIGUOUS,
            ..PAGE
        };
        assert_eq!(
            kind(Some(grouped), Some(PAGE)),
            Some(ChangeKind::AccessDirty)
        );
    }

    #[test]
    fn gaining_one_permission_and_losing_another_is_a_downgrade() {
        let executable = Leaf {
            permissions: Permissions::READ_ONLY | Permissions::EXECUTE,
            ..PAGE
        };
        let writable = Leaf {
            permissions: Permissions::READ_WRITE,
            ..PAGE
        };
        assert_eq!(
            kind(Some(executable), Some(writable)),
            Some(ChangeKind::Downgrade)
        );
    }

    #[test]
    fn a_split_that_keeps_the_target_is_a_resize() {
        let large = Leaf {
            output: Gpa::new(0x40_0000),
            size: PageSize::M2,
            ..PAGE
        };
        let small = Leaf {
            output: Gpa::new(0x40_1000),
            ..PAGE
        };
        assert_eq!(kind(Some(large), Some(small)), Some(ChangeKind::Resize));
    }
}
