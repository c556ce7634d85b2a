//! The walker: from an address to its page, the way hardware does it.

use super::format::{index, slot};
use super::{Format, Leaf, Level, Malformed, Meaning, NoMemory, TableMemory};
use crate::addr::{Gpa, Gva, Permissions};

/// A walk that found no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("walk for {address}: {kind}")]
pub struct WalkFault {
    /// The address that was to be translated.
    pub address: Gva,
    /// Why it was not.
    pub kind: WalkFaultKind,
}

/// Why a walk ended without a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkFaultKind {
    /// The address is not one that the format translates.
    #[error("not a canonical address")]
    NotCanonical,
    /// An entry on the way is not present.
    #[error("not present at {0}")]
    NotPresent(Level),
    /// An entry on the way has reserved bits set.
    #[error(transparent)]
    Malformed(Malformed),
    /// An entry at this level leads to an address beyond the format's output size.
    #[error("an address beyond the output size at {0}")]
    AddressSize(Level),
    /// An entry on the way points to a table outside memory.
    #[error("table outside memory: {0}")]
    NoMemory(#[from] NoMemory),
}

impl From<Malformed> for WalkFaultKind {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::AddressSize { level, .. } => Self::AddressSize(level),
            other => Self::Malformed(other),
        }
    }
}

/// Translates `address` by the table tree at `root`.
///
/// # Errors
/// [`WalkFault`] if no page is found; never for what a page allows, which is the caller's to check.
pub fn walk(
    format: &dyn Format,
    memory: &(impl TableMemory + ?Sized),
    root: Gpa,
    address: Gva,
) -> Result<Leaf, WalkFault> {
    find(format, memory, root, address).map_err(|kind| WalkFault { address, kind })
}

fn find(
    format: &dyn Format,
    memory: &(impl TableMemory + ?Sized),
    root: Gpa,
    address: Gva,
) -> Result<Leaf, WalkFaultKind> {
    if !format.is_canonical(address) {
        return Err(WalkFaultKind::NotCanonical);
    }
    let (mut table, mut level) = (root, format.root());
    let mut limits = Permissions::all();
    loop {
        let entry = memory.read_entry(slot(table, index(format, level, address)))?;
        match format.decode(entry, level)? {
            Meaning::NotPresent => return Err(WalkFaultKind::NotPresent(level)),
            Meaning::Leaf(leaf) => return Ok(limited(leaf, limits)),
            Meaning::Table { next, limits: more } => {
                table = next;
                limits &= more;
                level = level.below().ok_or(WalkFaultKind::NotPresent(level))?;
            }
        }
    }
}

/// `leaf` with no more permissions than `limits`.
pub(crate) fn limited(leaf: Leaf, limits: Permissions) -> Leaf {
    let permissions = leaf.permissions & limits;
    Leaf {
        permissions,
        ..leaf
    }
}

#[cfg(test)]
mod tests {
    use super::super::x86_64::{Entry, X86_64};
    use super::super::{FlatMemory, TableMemoryMut};
    use super::*;
    use crate::addr::PageSize;

    const FORMAT: X86_64 = X86_64::four_level(40);
    const ROOT: Gpa = Gpa::new(0x1000);

    /// Tables at 0x1000, 0x2000, 0x3000, 0x4000, each one's entry 0 leading on with `flags`.
    fn tables(flags: [Entry; 3]) -> FlatMemory {
        let memory = FlatMemory::new(0x6000);
        for (table, flags) in (1..).zip(flags) {
            let next = Entry::new((table + 1) * 0x1000) | flags;
            let slot = Gpa::new(table * 0x1000);
            memory.write_entry(slot, next.raw()).unwrap();
        }
        memory
    }

    const OPEN: Entry = Entry::PRESENT.union(Entry::WRITE).union(Entry::USER);

    #[test]
    fn every_table_can_only_take_permissions_away() {
        let memory = tables([OPEN, Entry::PRESENT | Entry::USER, OPEN | Entry::NO_EXECUTE]);
        let page = Entry::new(0x5000) | OPEN;
        memory.write_entry(Gpa::new(0x4008), page.raw()).unwrap();

        let leaf = walk(&FORMAT, &memory, ROOT, Gva::new(0x1234)).unwrap();

        assert_eq!(leaf.permissions, Permissions::READ_ONLY);
        assert_eq!(leaf.translate(Gva::new(0x1234)), Gpa::new(0x5234));
    }

    #[test]
    fn a_large_page_ends_the_walk_early() {
        let memory = tables([OPEN, OPEN, OPEN]);
        let page = Entry::new(0x20_0000) | OPEN | Entry::LARGE;
        memory.write_entry(Gpa::new(0x3008), page.raw()).unwrap();

        let leaf = walk(&FORMAT, &memory, ROOT, Gva::new(0x2a_bcde)).unwrap();

        assert_eq!(leaf.size, PageSize::M2);
        assert_eq!(leaf.translate(Gva::new(0x2a_bcde)), Gpa::new(0x2a_bcde));
    }

    #[test]
    fn each_way_to_find_no_page_has_its_fault() {
        let memory = tables([OPEN, OPEN, OPEN]);
        let outside = Entry::new(0x7000_0000) | OPEN;
        memory.write_entry(Gpa::new(0x3008), outside.raw()).unwrap();
        let reserved = Entry::new(1 << 45) | OPEN;
        memory
            .write_entry(Gpa::new(0x4008), reserved.raw())
            .unwrap();
        let fault = |address| {
            let result = walk(&FORMAT, &memory, ROOT, Gva::new(address));
            result.unwrap_err().kind
        };

        assert_eq!(fault(0), WalkFaultKind::NotPresent(Level(0)));
        assert_eq!(fault(1 << 39), WalkFaultKind::NotPresent(Level(3)));
        assert_eq!(fault(1 << 47), WalkFaultKind::NotCanonical);
        assert!(matches!(fault(0x20_0000), WalkFaultKind::NoMemory(_)));
        assert!(matches!(fault(0x1000), WalkFaultKind::Malformed(_)));
    }
}
