//! The primary side: memory management that changes its page table and must tell others.

use notifier::addr::{AddrRange, Gva};

use super::{Bounds, Callbacks, OwnerId, Refused, Registration};

/// An address space that changes its own page table.
pub trait Primary: Send + Sync {
    /// Registers a subscriber.
    ///
    /// # Errors
    /// [`Refused`] if the contract forbids it.
    fn register(&self, callbacks: Callbacks) -> Result<Box<dyn Registration>, Refused>;

    /// Carries out an operation to its end.
    ///
    /// # Errors
    /// [`Refused::Again`] if it must not sleep and somebody would have had to.
    fn perform(&self, operation: Operation) -> Result<(), Refused>;
}

/// Is told what a [`Primary`] does besides notifying; called on the thread that does it, in the
/// order in which it does it.
pub trait Witness: Send + Sync {
    /// This has just been done.
    fn saw(&self, step: Step);
}

/// Something that is done to a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The page-table lock was taken.
    Locked,
    /// It is about to be released.
    Unlocked,
    /// An entry was written.
    Written {
        /// The addresses that this one entry translates.
        entry: Bounds,
        /// What it says now; `None` for nothing.
        now: Option<Leaf>,
    },
    /// A page, or a page of tables, went back to the allocator.
    Freed(Frame),
}

/// A page of memory, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame(pub u64);

/// What a valid entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The first page that it leads to.
    pub frame: Frame,
    /// What it allows.
    pub rights: Rights,
    /// Whether the accessed flag is set; if not, no TLB keeps it.
    pub accessed: bool,
    /// Whether the page counts as dirty.
    pub dirty: bool,
    /// A bit that hardware ignores.
    pub software: bool,
    /// What one TLB entry made from it may cover: more than the entry translates, if a hint joins it
    /// with its neighbours (Arm: contiguous bit).
    pub span: Bounds,
}

/// What an entry allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Reads.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// How the hardware behaves for which the page table is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// A secondary TLB goes on denying by a read-only entry until it is invalidated (Arm SMMU).
    KeepsReadOnly,
    /// It walks again before it denies (x86).
    WalksAgain,
    /// As the first, and an entry must be invalid while it is invalidated (POWER9 with
    /// coprocessors).
    BreakBeforeMake,
}

/// What an address space is to do. Ranges are of whole pages of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Maps a page of its own to each page that has none.
    Map(AddrRange<Gva>, Rights),
    /// The same with the accessed flag clear.
    MapUnused(AddrRange<Gva>, Rights),
    /// Maps 16 pages with the contiguous hint, of which only the last is writable and dirty.
    MapContiguous(Gva),
    /// Maps one read-only entry of 512 pages.
    MapHuge(Gva),
    /// Maps four read-only entries of 512 pages each, joined by the contiguous hint.
    MapHugeContiguous(Gva),
    /// munmap.
    Unmap(AddrRange<Gva>),
    /// madvise(DONTNEED) and whatever else empties entries of a mapping that stays.
    Zap(AddrRange<Gva>),
    /// The out-of-memory reaper's zap, which must not sleep.
    Reap(AddrRange<Gva>),
    /// mprotect.
    Protect(AddrRange<Gva>, Rights),
    /// The parent's side of fork: what is writable is write-protected, to be copied later.
    Fork(AddrRange<Gva>),
    /// Write-protection of pages that are written back.
    WriteBack(AddrRange<Gva>),
    /// Soft-dirty tracking begins anew.
    ClearSoftDirty(AddrRange<Gva>),
    /// The copy of copy-on-write: the page gets a new frame, which is writable.
    Copy(Gva),
    /// The page is merged with another one of the same content, and read-only.
    Merge(Gva),
    /// The pages move to memory of a device.
    Migrate(AddrRange<Gva>, OwnerId),
    /// A device gets exclusive access.
    Exclusive(AddrRange<Gva>, OwnerId),
    /// A write fault of a page that may be written: the entry becomes writable and dirty.
    WriteFault(Gva),
    /// A fault that only sets the accessed flag.
    AccessFault(Gva),
    /// A fault of an entry that allows the access: this CPU's TLB was stale.
    SpuriousFault(Gva),
    /// A bit that only software reads is set.
    SetSoftwareBit(Gva),
    /// A page of tables of the kernel's half is freed.
    FreeKernelTable,
    /// The address space ends.
    Exit,
}
