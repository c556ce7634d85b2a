//! Stage 2: from an intermediate-physical address to a physical one.

use super::descriptor::Descriptor;
use super::geometry::{Geometry, Kind, StartLevelError};
use super::{Granule, InputSize, OutputSize};
use crate::addr::{Access, Gpa, Gva, PageSize, Permissions};
use crate::paging::{Format, Leaf, Level, Malformed, Meaning};

/// The level of the first table in Arm's numbering, what SL0 says together with the granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StartLevel(u8);

impl StartLevel {
    /// What the two-bit field SL0 (STE.S2SL0) says (D8.2, `IHI0070` 5.2); `None` for the values
    /// that are reserved without TTST and 52-bit addresses.
    ///
    /// A machine whose physical addresses have fewer than 44 bits (42 with the 16 KiB granule) has
    /// no field 2 either; that is for the caller to refuse, who knows the machine.
    pub const fn from_sl0(granule: Granule, field: u8) -> Option<Self> {
        match (granule, field) {
            (Granule::K4, 0..=2) => Some(Self(2 - field)),
            (Granule::K16 | Granule::K64, 0..=2) => Some(Self(3 - field)),
            _ => None,
        }
    }

    /// 0 to 3, as the manual counts.
    pub const fn arm(self) -> u8 {
        self.0
    }

    fn level(self) -> Level {
        Level(3 - self.0)
    }
}

/// VMSAv8-64 stage 2.
///
/// [`Format`] speaks of input addresses as [`Gva`]; here they are the numbers of
/// intermediate-physical ones ([`Ipa`](crate::addr::Ipa)).
///
/// What [`Leaf`] holds: `memory_type` is a [`MemoryType`](super::MemoryType) of MemAttr and SH, `software` bits 58:55.
/// `READ` and `WRITE` are S2AP, `EXECUTE` the inverse of XN (bit 54; there is no XNX), and `USER`
/// is always there, because stage 2 does not tell who asks. `global` is always false: all of a
/// stage 2 is bound to its VMID. `dirty` says the same as `WRITE`. Table descriptors have no
/// attributes; bits that are RES0 are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage2 {
    geometry: Geometry,
}

/// MemAttr.
const ATTRIBUTES: u8 = 0xf;

impl Stage2 {
    /// Stage 2 with its first table, or tables in a row, at `start`.
    ///
    /// # Errors
    /// [`StartLevelError`] if no first table at that level suits the input size.
    pub fn new(
        granule: Granule,
        start: StartLevel,
        input: InputSize,
        output: OutputSize,
    ) -> Result<Self, StartLevelError> {
        let geometry = Geometry::stage2(granule, input, output, start.level())?;
        Ok(Self { geometry })
    }

    fn leaf(&self, entry: u64, level: Level, size: PageSize) -> Result<Leaf, Malformed> {
        let bits = Descriptor::new(entry);
        Ok(Leaf {
            output: self.geometry.output(entry, level, size)?,
            size,
            permissions: permissions(bits),
            accessed: bits.contains(Descriptor::ACCESSED),
            dirty: bits.contains(Descriptor::S2_WRITE),
            global: false,
            memory_type: bits.memory_type(ATTRIBUTES).raw(),
            software: bits.software(),
            hints: bits.hints(level),
        })
    }
}

fn permissions(bits: Descriptor) -> Permissions {
    let mut allowed = Permissions::USER;
    allowed.set(Permissions::READ, bits.contains(Descriptor::S2_READ));
    allowed.set(Permissions::WRITE, bits.contains(Descriptor::S2_WRITE));
    allowed.set(Permissions::EXECUTE, !bits.contains(Descriptor::NO_EXECUTE));
    allowed
}

impl Format for Stage2 {
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
        address.raw() & !self.geometry.input().mask() == 0
    }

    fn canonical(&self, translated: u64) -> Gva {
        Gva::new(translated & self.geometry.input().mask())
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
                limits: Permissions::all(),
            },
        })
    }

    fn encode_leaf(&self, leaf: &Leaf) -> Result<u64, Malformed> {
        let no_entry = Malformed::NoEntry(*leaf);
        let (level, kind) = self.geometry.place(leaf.size).ok_or(no_entry)?;
        let mut bits = Descriptor::of(leaf, kind);
        for (bit, permission) in [
            (Descriptor::S2_READ, Permissions::READ),
            (Descriptor::S2_WRITE, Permissions::WRITE),
        ] {
            bits.set(bit, leaf.permissions.contains(permission));
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
            bits |= Descriptor::S2_WRITE;
        }
        bits.raw()
    }

    fn contiguous_span(&self, level: Level) -> Option<PageSize> {
        self.geometry.contiguous_span(level)
    }
}
