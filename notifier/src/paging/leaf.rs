//! A translation: what a present, non-table entry says about its page.

use std::fmt;

use crate::addr::{Address, Gpa, PageSize, Permissions};

/// One page's translation, permissions taken along the whole walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// Guest-physical address of the page's first byte; aligned to `size`.
    pub output: Gpa,
    /// Size of the page.
    pub size: PageSize,
    /// What the walk allows: each table on the way can only take away.
    pub permissions: Permissions,
    /// The entry was used by a walker, or made to look so.
    pub accessed: bool,
    /// The page was written, or made to look so.
    pub dirty: bool,
    /// Global: not bound to one address space.
    pub global: bool,
    /// Memory-type index, in the format's own numbering.
    pub memory_type: u8,
    /// Bits that hardware ignores, packed in the format's own order.
    pub software: u16,
    /// What else an entry may say of its page; not every format can say all of it.
    pub hints: LeafHints,
}

bitflags::bitflags! {
    /// What some formats say beside the translation.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct LeafHints: u8 {
        /// One of a group of neighbours that a TLB may hold as one entry (VMSAv8-64: Contiguous).
        const CONTIGUOUS = 1 << 0;
        /// A clean page that hardware may make writable by itself (VMSAv8-64: DBM).
        const DIRTY_MANAGED = 1 << 1;
        /// No instruction fetches by privileged software, whatever the permissions say (PXN).
        const PRIVILEGED_NO_EXECUTE = 1 << 2;
        /// No block-or-table conflict may be raised for it (VMSAv8-64: nT).
        const NO_CONFLICT = 1 << 3;
        /// Of two stages in one: the second takes reads away that the first allows.
        const STAGE2_READ = 1 << 4;
        /// The same for writes.
        const STAGE2_WRITE = 1 << 5;
        /// Of two stages in one: the first maps more than this as one.
        const PIECE = 1 << 6;
    }
}

impl Leaf {
    /// A page that was used, and if it can be written was written: no walker has to mark it. It is
    /// bound to its address space, of memory type 0, and says nothing else.
    pub const fn page(output: Gpa, size: PageSize, permissions: Permissions) -> Self {
        Self {
            output,
            size,
            permissions,
            accessed: true,
            dirty: permissions.contains(Permissions::WRITE),
            global: false,
            memory_type: 0,
            software: 0,
            hints: LeafHints::empty(),
        }
    }

    /// Where `address`, which lies in this page, leads.
    pub fn translate<A: Address>(&self, address: A) -> Gpa {
        Gpa::new(self.output.raw() | address.page_offset(self.size))
    }

    /// Whether a cache that holds `self` gives the same answers as one that holds `other`.
    ///
    /// Accessed, dirty and software bits are not part of the answer.
    pub fn same_translation(&self, other: &Self) -> bool {
        let key = |leaf: &Self| (leaf.output, leaf.size, leaf.permissions, leaf.memory_type);
        key(self) == key(other)
    }
}

/// `0x500000 4 KiB r--u`
impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.output, self.size, self.permissions)
    }
}
