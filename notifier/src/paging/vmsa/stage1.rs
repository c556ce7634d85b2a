//! Stage 1: from a virtual or I/O-virtual address to an intermediate-physical one.

use super::descriptor::Descriptor;
use super::geometry::{Geometry, Kind};
use super::{Granule, InputSize, OutputSize};
use crate::addr::{Access, Gpa, Gva, PageSize, Permissions};
use crate::paging::{Format, Leaf, LeafHints, Level, Malformed, Meaning};

/// Which addresses a table tree translates; the others are the other tree's (D8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// The lowest ones, from TTB0.
    Low,
    /// The highest ones, from TTB1.
    High,
}

/// What bits 63:56 of an address are for (TBI, D8.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopByte {
    /// Part of the address.
    Checked,
    /// A tag that translation ignores: an address has 256 names.
    Ignored,
}

/// Whether table descriptors can take permissions away (HAD, `IHI0070` 5.4: HAD0, HAD1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hierarchy {
    /// APTable and UXNTable limit what is below.
    Limits,
    /// The bits are ignored.
    Ignored,
}

/// VMSAv8-64 stage 1 of one half of an address space, for privileged and unprivileged accesses
/// (EL1&0; the same layout serves EL2 with E2H).
///
/// What [`Leaf`] holds: `memory_type` is a [`MemoryType`](super::MemoryType) of AttrIndx and SH, `software` bits
/// 58:55. `READ` is always allowed, `USER` is AP\[1\], `WRITE` the inverse of AP\[2\], `EXECUTE`
/// the inverse of UXN. `dirty` says the same as `WRITE`: a page that hardware marks when it is
/// written is not writable before (DBM, D8.5.2). Ignored: NS, NSTable and GP; PBHA; and PXNTable,
/// because no access here is a privileged fetch. Bits that are RES0 are ignored too, as hardware
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage1 {
    geometry: Geometry,
    half: Half,
    top_byte: TopByte,
    hierarchy: Hierarchy,
}

/// AttrIndx.
const ATTRIBUTES: u8 = 7;

impl Stage1 {
    /// Stage 1 with its top byte checked and limiting table descriptors.
    pub fn new(granule: Granule, half: Half, input: InputSize, output: OutputSize) -> Self {
        Self {
            geometry: Geometry::stage1(granule, input, output),
            half,
            top_byte: TopByte::Checked,
            hierarchy: Hierarchy::Limits,
        }
    }

    /// The same with this use of the top byte.
    #[must_use]
    pub fn with_top_byte(self, top_byte: TopByte) -> Self {
        Self { top_byte, ..self }
    }

    /// The same with this meaning of table descriptors.
    #[must_use]
    pub fn with_hierarchy(self, hierarchy: Hierarchy) -> Self {
        Self { hierarchy, ..self }
    }

    fn leaf(&self, entry: u64, level: Level, size: PageSize) -> Result<Leaf, Malformed> {
        let bits = Descriptor::new(entry);
        let writable = !bits.contains(Descriptor::READ_ONLY);
        Ok(Leaf {
            output: self.geometry.output(entry, level, size)?,
            size,
            permissions: permissions(bits),
            accessed: bits.contains(Descriptor::ACCESSED),
            dirty: writable,
            global: !bits.contains(Descriptor::NOT_GLOBAL),
            memory_type: bits.memory_type(ATTRIBUTES).raw(),
            software: bits.software(),
            hints: hints(bits, level),
        })
    }

    fn limits(&self, table: Descriptor) -> Permissions {
        let mut limits = Permissions::all();
        if self.hierarchy == Hierarchy::Limits {
            for (bit, taken) in [
                (Descriptor::TABLE_NO_EXECUTE, Permissions::EXECUTE),
                (Descriptor::TABLE_PRIVILEGED, Permissions::USER),
                (Descriptor::TABLE_READ_ONLY, Permissions::WRITE),
            ] {
                limits.set(taken, !table.contains(bit));
            }
        }
        limits
    }

    /// The address bits above the translated ones that must be all zeroes or all ones.
    fn checked_bits(&self) -> u64 {
        let translated = self.geometry.input().mask();
        match self.top_byte {
            TopByte::Checked => !translated,
            TopByte::Ignored => !translated & u64::MAX >> 8,
        }
    }
}

fn permissions(bits: Descriptor) -> Permissions {
    let mut allowed = Permissions::READ;
    allowed.set(Permissions::USER, bits.contains(Descriptor::UNPRIVILEGED));
    allowed.set(Permissions::WRITE, !bits.contains(Descriptor::READ_ONLY));
    allowed.set(Permissions::EXECUTE, !bits.contains(Descriptor::NO_EXECUTE));
    allowed
}

fn hints(bits: Descriptor, level: Level) -> LeafHints {
    let mut hints = bits.hints(level);
    let never = bits.contains(Descriptor::PRIVILEGED_NO_EXECUTE);
    hints.set(LeafHints::PRIVILEGED_NO_EXECUTE, never);
    hints
}

impl Format for Stage1 {
    fn root(&self) -> Level {
        self.geometry.root()
    }

    fn entries(&self, level: Level) -> usize {
        self.geometry.entries(level)
    }

    fn span(&self, level: Level) -> PageSize {
        self.geometry.span(level)
    }

    fn is_canonical(&self, address: Gva) -> bool {
        let checked = self.checked_bits();
        let expected = match self.half {
            Half::Low => 0,
            Half::High => checked,
        };
        address.raw() & checked == expected
    }

    /// The name without a tag, where addresses have several.
    fn canonical(&self, translated: u64) -> Gva {
        let mask = self.geometry.input().mask();
        Gva::new(match self.half {
            Half::Low => translated & mask,
            Half::High => translated | !mask,
        })
    }

    /// # Errors
    /// [`Malformed::AddressSize`] alone: what is no descriptor is not present (D8.3.1).
    fn decode(&self, entry: u64, level: Level) -> Result<Meaning, Malformed> {
        let bits = Descriptor::new(entry);
        Ok(match self.geometry.kind(bits, level) {
            Kind::Invalid => Meaning::NotPresent,
            Kind::Leaf(size) => Meaning::Leaf(self.leaf(entry, level, size)?),
            Kind::Table => Meaning::Table {
                next: self.geometry.next(entry, level)?,
                limits: self.limits(bits),
            },
        })
    }

    fn encode_leaf(&self, leaf: &Leaf) -> Result<u64, Malformed> {
        let no_entry = Malformed::NoEntry(*leaf);
        let (level, kind) = self.geometry.place(leaf.size).ok_or(no_entry)?;
        let allows = |permission| leaf.permissions.contains(permission);
        let mut bits = Descriptor::of(leaf, kind);
        for (bit, wanted) in [
            (Descriptor::UNPRIVILEGED, allows(Permissions::USER)),
            (Descriptor::READ_ONLY, !allows(Permissions::WRITE)),
            (Descriptor::NOT_GLOBAL, !leaf.global),
            (
                Descriptor::PRIVILEGED_NO_EXECUTE,
                leaf.hints.contains(LeafHints::PRIVILEGED_NO_EXECUTE),
            ),
        ] {
            bits.set(bit, wanted);
        }
        let entry = bits.raw();
        match self.decode(entry, level)? {
            Meaning::Leaf(said) if said == *leaf => Ok(entry),
            _ => Err(no_entry),
        }
    }

    fn encode_table(&self, next: Gpa) -> u64 {
        self.geometry.table(next)
    }

    /// D8.5.1, D8.5.2. The only permission that changes is the one that DBM says was waiting.
    fn marked(&self, entry: u64, access: Access) -> u64 {
        let mut bits = Descriptor::new(entry) | Descriptor::ACCESSED;
        if access == Access::Write && bits.contains(Descriptor::DIRTY_MANAGED) {
            bits -= Descriptor::READ_ONLY;
        }
        bits.raw()
    }

    fn contiguous_span(&self, level: Level) -> Option<PageSize> {
        self.geometry.contiguous_span(level)
    }
}
