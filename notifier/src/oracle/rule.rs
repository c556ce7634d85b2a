//! The coherence rule itself: what a cached entry may be used for, given what the page table says.
//!
//! Pure functions, so that whoever watches a live machine and whoever explores an abstract one
//! judge by the same rule.

use super::ViolationKind;
use crate::addr::{Access, Gva};
use crate::paging::Leaf;

/// What an access to `address` through `entry` breaks when the page table says `current`, and no
/// change of it is under way: `None` if it is lawful.
///
/// Using an entry that allows less than it could is lawful: it harms nobody.
pub fn trespass(
    entry: &Leaf,
    current: Option<&Leaf>,
    address: Gva,
    access: Access,
) -> Option<ViolationKind> {
    match current {
        None => Some(ViolationKind::UseAfterUnmap),
        Some(leaf) if leaf.translate(address) != entry.translate(address) => {
            Some(ViolationKind::UseAfterUnmap)
        }
        Some(leaf) if !leaf.permissions.allow(access) => Some(ViolationKind::StaleWritable),
        Some(_) => None,
    }
}

/// Whether whoever makes this access is owed its success: the page table's permissions let it
/// through. Accessed bits are not asked: where hardware sets them, nobody reports it.
pub fn owed(current: Option<&Leaf>, access: Access) -> bool {
    current.is_some_and(|leaf| leaf.permissions.allow(access))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gpa, PageSize, Permissions};

    const ADDRESS: Gva = Gva::new(0x1000);

    fn page(output: u64, permissions: Permissions) -> Leaf {
        Leaf {
            output: Gpa::new(output),
            size: PageSize::K4,
            permissions,
            accessed: true,
            dirty: false,
            global: false,
            memory_type: 0,
            software: 0,
            hints: crate::paging::LeafHints::empty(),
        }
    }

    #[test]
    fn an_access_is_judged_by_what_the_page_table_says_now() {
        let (writable, read_only) = (Permissions::READ_WRITE, Permissions::READ_ONLY);
        let cached = page(0x5000, writable);
        let judge =
            |current: Option<Leaf>, access| trespass(&cached, current.as_ref(), ADDRESS, access);

        assert_eq!(judge(Some(cached), Access::Write), None);
        assert_eq!(
            judge(None, Access::Read),
            Some(ViolationKind::UseAfterUnmap)
        );
        let moved = Some(page(0x6000, writable));
        assert_eq!(
            judge(moved, Access::Read),
            Some(ViolationKind::UseAfterUnmap)
        );
        let downgraded = Some(page(0x5000, read_only));
        assert_eq!(
            judge(downgraded, Access::Write),
            Some(ViolationKind::StaleWritable)
        );
        assert_eq!(judge(downgraded, Access::Read), None);
    }

    #[test]
    fn only_what_the_page_table_allows_is_owed() {
        assert!(owed(Some(&page(0, Permissions::READ_WRITE)), Access::Write));
        assert!(!owed(Some(&page(0, Permissions::READ_ONLY)), Access::Write));
        assert!(!owed(None, Access::Read));
    }
}
