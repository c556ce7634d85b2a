//! The interface to a page-table format.

use std::fmt::{self, Debug};

use super::Leaf;
use crate::addr::{Access, Gpa, Gva, PageSize, Permissions};

/// A table's level: 0 is the last one, whose entries are the smallest pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u8);

impl Level {
    /// The next table on the way to a page, or `None` below level 0.
    pub fn below(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {}", self.0)
    }
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing is mapped through it.
    NotPresent,
    /// The walk goes on in the table at `next`, with no more permissions than `limits`.
    Table {
        /// Guest-physical address of the next table.
        next: Gpa,
        /// The most that any page below may allow.
        limits: Permissions,
    },
    /// The walk ends here. The leaf's permissions are the entry's own.
    Leaf(Leaf),
}

/// A present entry that says nothing a walk could follow, or a leaf that no entry can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Bits are set that must be zero.
    #[error("entry {entry:#x} at {level} has the reserved bits {reserved:#x} set")]
    Reserved {
        /// The entry as it stands in memory.
        entry: u64,
        /// Level of the table it stands in.
        level: Level,
        /// The reserved bits that are set.
        reserved: u64,
    },
    /// The address in it is larger than the format's output addresses are.
    #[error("entry {entry:#x} at {level} leads to {output}, beyond the output size")]
    AddressSize {
        /// The entry as it stands in memory.
        entry: u64,
        /// Level of the table it stands in.
        level: Level,
        /// The page or table that it leads to.
        output: Gpa,
    },
    /// No entry of the format says this leaf.
    #[error("the format has no entry for {0}")]
    NoEntry(Leaf),
}

/// An architecture's page-table format with 64-bit entries.
pub trait Format: Debug + Send + Sync {
    /// Level of the table that the root address points to.
    fn root(&self) -> Level;

    /// Entries in a table at `level`; a power of two. Only the root may differ from the others.
    fn entries(&self, level: Level) -> usize;

    /// What one entry of a table at this level spans.
    fn span(&self, level: Level) -> PageSize;

    /// Whether `address` is one that the format can translate at all.
    fn is_canonical(&self, address: Gva) -> bool;

    /// The address whose translated bits are these, the untranslated ones filled in.
    fn canonical(&self, translated: u64) -> Gva;

    /// What `entry` says in a table at `level`.
    ///
    /// # Errors
    /// [`Malformed`] for a present entry with reserved bits set or too large an address.
    fn decode(&self, entry: u64, level: Level) -> Result<Meaning, Malformed>;

    /// The entry that says `leaf` in a table whose entries span `leaf.size`.
    ///
    /// # Errors
    /// [`Malformed`] if the format can't say it.
    fn encode_leaf(&self, leaf: &Leaf) -> Result<u64, Malformed>;

    /// The entry that leads on to the table at `next` and takes no permission away.
    fn encode_table(&self, next: Gpa) -> u64;

    /// What hardware that manages the accessed and dirty state makes of `entry`, which decodes as a
    /// page, when it is used for `access`: accessed for a read; for a write also dirty, and writable
    /// if it was only waiting for that.
    fn marked(&self, entry: u64, access: Access) -> u64;

    /// What a whole group of entries spans that say [`CONTIGUOUS`](super::LeafHints::CONTIGUOUS) in
    /// a table at `level`; `None` if the format has no such groups there.
    fn contiguous_span(&self, level: Level) -> Option<PageSize> {
        let _ = level;
        None
    }
}

/// Bytes in a table at `level`, which is aligned to as many.
pub(super) fn table_size(format: &dyn Format, level: Level) -> u64 {
    8 * format.entries(level) as u64
}

/// Index of the entry for `address` in a table at `level`.
pub(crate) fn index(format: &dyn Format, level: Level, address: Gva) -> usize {
    let page = address.raw() >> format.span(level).shift();
    usize::try_from(page & (format.entries(level) as u64 - 1)).unwrap_or(0)
}

/// Where entry `index` of the table at `table` stands.
pub(crate) fn slot(table: Gpa, index: usize) -> Gpa {
    Gpa::new(table.raw().wrapping_add(8 * index as u64))
}
