//! The bits of a descriptor, and what of them both stages share (D8.3.1, D8.3.2).

use super::MemoryType;
use crate::addr::Permissions;
use crate::paging::{Leaf, LeafHints, Level};

bitflags::bitflags! {
    /// A translation table descriptor, as it stands in memory.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(super) struct Descriptor: u64 {
        /// Anything else counts only if this is set.
        const VALID = 1 << 0;
        /// A table, or at the last level a page; a block if it is clear.
        const TABLE_OR_PAGE = 1 << 1;
        /// AP\[1\] of stage 1: unprivileged accesses are allowed.
        const UNPRIVILEGED = 1 << 6;
        /// AP\[2\] of stage 1: stores are not allowed.
        const READ_ONLY = 1 << 7;
        /// S2AP\[0\] of stage 2: loads are allowed.
        const S2_READ = 1 << 6;
        /// S2AP\[1\] of stage 2: stores are allowed.
        const S2_WRITE = 1 << 7;
        /// AF: a walker used the descriptor.
        const ACCESSED = 1 << 10;
        /// nG of stage 1: bound to one ASID.
        const NOT_GLOBAL = 1 << 11;
        /// nT of a block: no TLB conflict may be raised while it is split or joined.
        const NO_CONFLICT = 1 << 16;
        /// DBM: hardware may make the page writable by itself.
        const DIRTY_MANAGED = 1 << 51;
        /// Contiguous: a TLB may hold the group that this belongs to as one entry.
        const CONTIGUOUS = 1 << 52;
        /// PXN of stage 1: no privileged fetches.
        const PRIVILEGED_NO_EXECUTE = 1 << 53;
        /// UXN of stage 1, XN of stage 2: no (unprivileged) fetches.
        const NO_EXECUTE = 1 << 54;

        /// UXNTable of a stage-1 table: no unprivileged fetches below.
        const TABLE_NO_EXECUTE = 1 << 60;
        /// APTable\[0\] of a stage-1 table: no unprivileged accesses below.
        const TABLE_PRIVILEGED = 1 << 61;
        /// APTable\[1\] of a stage-1 table: no stores below.
        const TABLE_READ_ONLY = 1 << 62;

        // All other bits are an address, a field, ignored, or software's; kept.
        const _ = !0;
    }
}

/// AttrIndx of stage 1, bits 4:2; MemAttr of stage 2, bits 5:2.
const ATTRIBUTES_AT: u32 = 2;
/// SH, bits 9:8.
const SHAREABILITY_AT: u32 = 8;
/// Bits 58:55, for software.
const SOFTWARE_AT: u32 = 55;
const SOFTWARE: u64 = 0xf;
/// Bits 47:0, of which a descriptor's address is the part that its kind allows.
const ADDRESS: u64 = 0xffff_ffff_ffff;

impl Descriptor {
    /// The descriptor with these bits.
    pub(super) const fn new(raw: u64) -> Self {
        Self::from_bits_retain(raw)
    }

    /// The bits.
    pub(super) const fn raw(self) -> u64 {
        self.bits()
    }

    /// The address, a multiple of 2^`shift`.
    pub(super) const fn address(self, shift: u8) -> u64 {
        self.raw() & ADDRESS & !((1 << shift) - 1)
    }

    /// What an entry says of `leaf` in the same bits in both stages; `kind` its low two bits.
    pub(super) fn of(leaf: &Leaf, kind: Self) -> Self {
        let mut bits = kind;
        let says = |hint| leaf.hints.contains(hint);
        for (bit, wanted) in [
            (Self::ACCESSED, leaf.accessed),
            (Self::NO_CONFLICT, says(LeafHints::NO_CONFLICT)),
            (Self::DIRTY_MANAGED, says(LeafHints::DIRTY_MANAGED)),
            (Self::CONTIGUOUS, says(LeafHints::CONTIGUOUS)),
            (
                Self::NO_EXECUTE,
                !leaf.permissions.contains(Permissions::EXECUTE),
            ),
        ] {
            bits.set(bit, wanted);
        }
        let memory_type = MemoryType::from_raw(leaf.memory_type);
        // The address comes last: in a page, nT's bit is part of it.
        bits.with_memory_type(memory_type)
            .with_software(leaf.software)
            .union(Self::new(leaf.output.raw()))
    }

    /// The hints that both stages have. nT is a block's; in a page its bit is part of the address.
    pub(super) fn hints(self, level: Level) -> LeafHints {
        let no_conflict = level != Level(0) && self.contains(Self::NO_CONFLICT);
        let mut hints = LeafHints::empty();
        hints.set(LeafHints::CONTIGUOUS, self.contains(Self::CONTIGUOUS));
        hints.set(LeafHints::DIRTY_MANAGED, self.contains(Self::DIRTY_MANAGED));
        hints.set(LeafHints::NO_CONFLICT, no_conflict);
        hints
    }

    /// Attributes and shareability. `attributes` is the mask of the former: three bits in stage 1,
    /// four in stage 2.
    pub(super) fn memory_type(self, attributes: u8) -> MemoryType {
        let bits = self.raw().to_le_bytes();
        let low = u16::from_le_bytes([bits[0], bits[1]]);
        let shareability = (low >> SHAREABILITY_AT & 3) << 4;
        let index = low >> ATTRIBUTES_AT & u16::from(attributes);
        MemoryType::from_raw((shareability | index).to_le_bytes()[0])
    }

    fn with_memory_type(self, memory_type: MemoryType) -> Self {
        let index = u64::from(memory_type.attributes()) << ATTRIBUTES_AT;
        let shareability = u64::from(memory_type.shareability() as u8) << SHAREABILITY_AT;
        Self::new(self.raw() | index | shareability)
    }

    /// Bits 58:55.
    pub(super) fn software(self) -> u16 {
        u16::try_from(self.raw() >> SOFTWARE_AT & SOFTWARE).unwrap_or(0)
    }

    fn with_software(self, bits: u16) -> Self {
        Self::new(self.raw() | (u64::from(bits) & SOFTWARE) << SOFTWARE_AT)
    }
}
