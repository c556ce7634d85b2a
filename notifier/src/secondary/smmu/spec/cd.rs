//! The context descriptor (`IHI0070` 5.4).

use super::abilities::{Abilities, AddressSize, Httu, StallModel};
use super::bits::Bits;
use super::ste::{Ste, StreamWorld, granule_field, granule_of, table_size};
use crate::addr::{Asid, Ipa};
use crate::secondary::smmu::Granule;

/// A context descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cd {
    /// V: without it nothing else counts.
    pub valid: bool,
    /// Addresses that begin with zeroes (T0SZ, TG0, EPD0, TTB0, ...).
    pub lower: Half,
    /// Addresses that begin with ones (T1SZ, ...). Nothing in EL2 without E2H.
    pub upper: Half,
    /// ENDI.
    pub big_endian: bool,
    /// IPS: the size of what stage 1 puts out.
    pub output: AddressSize,
    /// AFFD: a clear access flag is no fault.
    pub access_fault_disabled: bool,
    /// WXN: what is writable is not executable.
    pub write_execute_never: bool,
    /// PAN: no privileged access to what is unprivileged.
    pub privileged_access_never: bool,
    /// AA64: the tables are AArch64's.
    pub aarch64: bool,
    /// HD.
    pub hardware_dirty: bool,
    /// HA.
    pub hardware_access: bool,
    /// S: faults stall.
    pub stall: bool,
    /// R: faults are recorded.
    pub record: bool,
    /// A: terminated transactions are aborted; else they read as zero and their writes are ignored.
    pub abort: bool,
    /// ASET.
    pub set: AsidSet,
    /// The tag.
    pub asid: Asid,
    /// MAIR0 and MAIR1: eight memory attributes.
    pub mair: u64,
}

/// One half of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// TxSZ: 64 less the number of input bits.
    pub size: u8,
    /// TGx; `None` for the reserved encoding.
    pub granule: Option<Granule>,
    /// IRx, ORx, SHx: how tables are accessed, 6 bits.
    pub walk_attributes: u8,
    /// EPDx: what is not in the TLB is a translation fault, and nothing is walked.
    pub walks_disabled: bool,
    /// TBIx: the top byte of an address is ignored.
    pub top_byte_ignored: bool,
    /// HADx: tables restrict nothing.
    pub hierarchy_disabled: bool,
    /// TTBx: the first table, before it is aligned.
    pub root: Ipa,
}

/// Whether an ASID is shared with the CPUs (ASET). Global entries match within one set only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AsidSet {
    /// It is; broadcast invalidations of it count here too.
    Shared,
    /// It is not.
    Private,
}

/// Where the fields are, in the four words that have any.
mod field {
    use super::Bits;

    pub(super) const ENDI: Bits = Bits::bit(15);
    pub(super) const VALID: Bits = Bits::bit(31);
    pub(super) const IPS: Bits = Bits::new(34, 32);
    pub(super) const AFFD: Bits = Bits::bit(35);
    pub(super) const WXN: Bits = Bits::bit(36);
    pub(super) const PAN: Bits = Bits::bit(40);
    pub(super) const AA64: Bits = Bits::bit(41);
    pub(super) const HD: Bits = Bits::bit(42);
    pub(super) const HA: Bits = Bits::bit(43);
    pub(super) const STALL: Bits = Bits::bit(44);
    pub(super) const RECORD: Bits = Bits::bit(45);
    pub(super) const ABORT: Bits = Bits::bit(46);
    pub(super) const ASET: Bits = Bits::bit(47);
    pub(super) const ASID: Bits = Bits::new(63, 48);
    pub(super) const HAD: Bits = Bits::bit(1);
    pub(super) const TTB: Bits = Bits::new(51, 4);
}

/// Where a half has its fields in the first word.
struct Place {
    size: Bits,
    granule: Bits,
    walk: Bits,
    disabled: Bits,
    top_byte: Bits,
}

const LOWER: Place = Place {
    size: Bits::new(5, 0),
    granule: Bits::new(7, 6),
    walk: Bits::new(13, 8),
    disabled: Bits::bit(14),
    top_byte: Bits::bit(38),
};

const UPPER: Place = Place {
    size: Bits::new(21, 16),
    granule: Bits::new(23, 22),
    walk: Bits::new(29, 24),
    disabled: Bits::bit(30),
    top_byte: Bits::bit(39),
};

impl Place {
    fn decode(&self, first: u64, table: u64, granule: fn(u64) -> Option<Granule>) -> Half {
        Half {
            size: self.size.u8(first),
            granule: granule(self.granule.of(first)),
            walk_attributes: self.walk.u8(first),
            walks_disabled: self.disabled.is_set(first),
            top_byte_ignored: self.top_byte.is_set(first),
            hierarchy_disabled: field::HAD.is_set(table),
            root: Ipa::new(table & field::TTB.mask()),
        }
    }

    fn encode(&self, half: &Half, granule: u64) -> u64 {
        self.size.put(u64::from(half.size))
            | self.granule.put(granule)
            | self.walk.put(u64::from(half.walk_attributes))
            | self.disabled.flag(half.walks_disabled)
            | self.top_byte.flag(half.top_byte_ignored)
    }
}

impl Half {
    fn table(&self) -> u64 {
        self.root.raw() & field::TTB.mask() | field::HAD.flag(self.hierarchy_disabled)
    }
}

impl Cd {
    /// Its size in memory, in bytes.
    pub const BYTES: u64 = 64;

    /// The descriptor that these eight words are. Fields that the model does not use are dropped.
    pub fn decode(words: [u64; 8]) -> Self {
        let [first, lower, upper, mair, ..] = words;
        Self {
            valid: field::VALID.is_set(first),
            lower: LOWER.decode(first, lower, granule_of),
            upper: UPPER.decode(first, upper, upper_granule_of),
            big_endian: field::ENDI.is_set(first),
            output: AddressSize::of(field::IPS.of(first)),
            access_fault_disabled: field::AFFD.is_set(first),
            write_execute_never: field::WXN.is_set(first),
            privileged_access_never: field::PAN.is_set(first),
            aarch64: field::AA64.is_set(first),
            hardware_dirty: field::HD.is_set(first),
            hardware_access: field::HA.is_set(first),
            stall: field::STALL.is_set(first),
            record: field::RECORD.is_set(first),
            abort: field::ABORT.is_set(first),
            set: if field::ASET.is_set(first) {
                AsidSet::Private
            } else {
                AsidSet::Shared
            },
            asid: Asid(field::ASID.u16(first)),
            mair,
        }
    }

    /// The eight words.
    pub fn encode(&self) -> [u64; 8] {
        let tables = [self.lower.table(), self.upper.table()];
        [
            self.encode_first(),
            tables[0],
            tables[1],
            self.mair,
            0,
            0,
            0,
            0,
        ]
    }

    fn encode_first(&self) -> u64 {
        LOWER.encode(&self.lower, granule_field(self.lower.granule))
            | UPPER.encode(&self.upper, upper_granule_field(self.upper.granule))
            | field::ENDI.flag(self.big_endian)
            | field::VALID.flag(self.valid)
            | field::IPS.put(self.output.field())
            | field::AFFD.flag(self.access_fault_disabled)
            | field::WXN.flag(self.write_execute_never)
            | field::PAN.flag(self.privileged_access_never)
            | field::AA64.flag(self.aarch64)
            | field::HD.flag(self.hardware_dirty)
            | field::HA.flag(self.hardware_access)
            | field::STALL.flag(self.stall)
            | field::RECORD.flag(self.record)
            | field::ABORT.flag(self.abort)
            | field::ASET.flag(self.set == AsidSet::Private)
            | field::ASID.put(u64::from(self.asid.0))
    }

    /// What hardware updates. Dirty without access is reserved, and as neither.
    pub fn httu(&self) -> Httu {
        match (self.hardware_access, self.hardware_dirty) {
            (true, true) => Httu::AccessAndDirty,
            (true, false) => Httu::Access,
            (false, _) => Httu::None,
        }
    }

    /// Address bits that come out at most: IPS, capped to what the SMMU has.
    pub fn effective_output(&self, abilities: &Abilities) -> AddressSize {
        self.output.min(abilities.output)
    }
}

impl Default for Cd {
    /// Not valid: what zeroed memory holds.
    fn default() -> Self {
        Self::decode([0; 8])
    }
}

/// TG1 has other numbers than TG0.
fn upper_granule_of(field: u64) -> Option<Granule> {
    Granule::from_tg1(u8::try_from(field).ok()?)
}

fn upper_granule_field(granule: Option<Granule>) -> u64 {
    match granule {
        None => 0,
        Some(Granule::K16) => 1,
        Some(Granule::K4) => 2,
        Some(Granule::K64) => 3,
    }
}

/// Why a context descriptor can't be used: `C_BAD_CD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCd {
    /// V is 0.
    #[error("the descriptor is not valid")]
    Invalid,
    /// AA64 is 0: AArch32 tables.
    #[error("AArch32 tables")]
    Aarch32,
    /// ENDI is 1.
    #[error("big-endian tables")]
    BigEndian,
    /// TxSZ is out of range.
    #[error("an input size that is out of range")]
    InputSize,
    /// TGx is reserved or not supported.
    #[error("a granule that is not there")]
    Granule,
    /// TTBx is outside of the output size.
    #[error("a table outside of the output size")]
    Root,
    /// HA or HD without the ability.
    #[error("hardware update that is not there")]
    Httu,
    /// S does not fit the stall model, or STE.S1STALLD.
    #[error("a stall configuration that the stall model or the stream forbids")]
    Stall,
    /// The ASID has more than eight bits, and ASIDs have not.
    #[error("an ASID of more than eight bits")]
    Asid,
}

impl Cd {
    /// Whether an SMMU of these abilities can use it for a stream of this entry and world.
    ///
    /// # Errors
    /// [`BadCd`], the first reason found. The transaction then gets `C_BAD_CD`.
    pub fn check(&self, abilities: &Abilities, ste: &Ste, world: StreamWorld) -> Result<(), BadCd> {
        refuse(!self.valid, BadCd::Invalid)?;
        refuse(!self.aarch64, BadCd::Aarch32)?;
        let walked = self.walked(world);
        refuse(
            self.big_endian && walked.iter().any(Option::is_some),
            BadCd::BigEndian,
        )?;
        for half in walked.into_iter().flatten() {
            self.check_half(half, abilities)?;
        }
        refuse(
            self.hardware_access && abilities.httu == Httu::None,
            BadCd::Httu,
        )?;
        refuse(
            self.hardware_dirty && abilities.httu != Httu::AccessAndDirty,
            BadCd::Httu,
        )?;
        self.check_stall(abilities, ste)?;
        let too_wide = !abilities.asid16 && self.asid.0 > 0xff;
        refuse(world != StreamWorld::El2 && too_wide, BadCd::Asid)
    }

    /// The halves whose tables count: EPDx is ignored in EL2, and there is one half.
    fn walked(&self, world: StreamWorld) -> [Option<&Half>; 2] {
        if world == StreamWorld::El2 {
            return [Some(&self.lower), None];
        }
        [&self.lower, &self.upper].map(|half| Some(half).filter(|half| !half.walks_disabled))
    }

    /// An SMMU of 48-bit virtual addresses (IDR5.VAX = 0), and without small tables (IDR3.STT).
    fn check_half(&self, half: &Half, abilities: &Abilities) -> Result<(), BadCd> {
        let granule = half.granule.filter(|it| abilities.granules.has(*it));
        let granule = granule.ok_or(BadCd::Granule)?;
        refuse(!(16..=39).contains(&half.size), BadCd::InputSize)?;
        let output = table_size(granule, self.effective_output(abilities));
        refuse(!output.fits(half.root.raw()), BadCd::Root)
    }

    /// `IHI0070` 5.5.
    fn check_stall(&self, abilities: &Abilities, ste: &Ste) -> Result<(), BadCd> {
        let fits = match abilities.stall {
            StallModel::Configurable => !(self.stall && ste.stall_disabled),
            StallModel::Never => !self.stall,
            StallModel::Forced => self.stall,
        };
        refuse(!fits, BadCd::Stall)
    }
}

fn refuse(when: bool, why: BadCd) -> Result<(), BadCd> {
    if when { Err(why) } else { Ok(()) }
}
