//! The stream-table entry (`IHI0070` 5.2).

mod check;

use super::abilities::{Abilities, AddressSize, Httu, StallModel};
use super::bits::Bits;
use super::context_table::{ContextFormat, ContextTable};
use crate::addr::{Gpa, Ipa, Vmid};
use crate::secondary::smmu::Granule;

pub use check::BadSte;
pub(super) use check::table_size;

/// A stream-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ste {
    /// V: without it nothing else counts.
    pub valid: bool,
    /// What becomes of the stream's traffic.
    pub config: Config,
    /// Where stage 1 is configured.
    pub contexts: ContextTable,
    /// What a transaction without a SubstreamID gets, in a stream that has them.
    pub default_substream: DefaultSubstream,
    /// PPAR: automatic responses to page requests carry the PASID.
    pub response_with_pasid: bool,
    /// MEV: events may be merged.
    pub merge_events: bool,
    /// S1STALLD: stage-1 faults never stall.
    pub stall_disabled: bool,
    /// EATS: what the device's ATS may do.
    pub ats: Eats,
    /// STRW, before anything else has its say; see [`Ste::world`].
    pub stream_world: u8,
    /// SHCFG, 2 bits; 1 is "as it comes in".
    pub shareability: u8,
    /// PRIVCFG, 2 bits; 2 and 3 force unprivileged and privileged.
    pub privilege: u8,
    /// INSTCFG, 2 bits; 2 and 3 force data and instruction.
    pub instruction: u8,
    /// The second stage.
    pub stage2: Stage2,
}

/// What becomes of a stream's traffic (Config).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Config {
    /// It is aborted, without an event. The reserved encodings below 4 behave so.
    Abort,
    /// It passes untranslated.
    Bypass,
    /// Stage 1 translates.
    Stage1,
    /// Stage 2 translates.
    Stage2,
    /// Stage 1 translates, and stage 2 what comes out.
    Nested,
}

impl Config {
    /// Whether stage 1 translates.
    pub fn first(self) -> bool {
        matches!(self, Self::Stage1 | Self::Nested)
    }

    /// Whether stage 2 translates.
    pub fn second(self) -> bool {
        matches!(self, Self::Stage2 | Self::Nested)
    }
}

/// What a transaction without a SubstreamID gets, in a stream that has them (S1DSS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultSubstream {
    /// `F_STREAM_DISABLED`.
    Terminate,
    /// Stage 1 is bypassed.
    Bypass,
    /// Context descriptor 0, which SubstreamID 0 then can't use.
    Zero,
}

/// What a device may do by ATS (EATS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eats {
    /// Nothing.
    Off,
    /// Translations are of all stages.
    Full,
    /// Translations are of stage 1; stage 2 is applied when they are used.
    Split,
    /// Full, checked against a device permission table. There is none here, so it is as off.
    Checked,
}

/// The exception level that a stream's stage 1 belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamWorld {
    /// EL1, with ASID and, if there is a stage 2, VMID.
    El1,
    /// EL2, without tags and with one half.
    El2,
    /// EL2 with E2H: ASIDs and two halves.
    El2E2h,
}

/// The second stage's part of a stream-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2 {
    /// S2VMID: the tag, of stage-1 translations too.
    pub vmid: Vmid,
    /// S2T0SZ: 64 less the number of input bits.
    pub t0sz: u8,
    /// S2SL0: where the walk begins, 2 bits whose meaning depends on the granule.
    pub sl0: u8,
    /// S2IR0, S2OR0, S2SH0: how tables are accessed, 6 bits.
    pub walk_attributes: u8,
    /// S2TG; `None` for the reserved encoding.
    pub granule: Option<Granule>,
    /// S2PS.
    pub output: AddressSize,
    /// S2AA64: the tables are AArch64's.
    pub aarch64: bool,
    /// S2ENDI.
    pub big_endian: bool,
    /// S2AFFD: a clear access flag is no fault.
    pub access_fault_disabled: bool,
    /// S2PTW: stage-1 tables in device memory are a permission fault.
    pub protected_walk: bool,
    /// S2HD.
    pub hardware_dirty: bool,
    /// S2HA.
    pub hardware_access: bool,
    /// S2S: faults stall.
    pub stall: bool,
    /// S2R: faults are recorded.
    pub record: bool,
    /// S2FWB: memory types are forced.
    pub force_write_back: bool,
    /// S2TTB.
    pub root: Gpa,
}

/// Where the fields are, in the four words that have any.
mod field {
    use super::Bits;

    pub(super) const VALID: Bits = Bits::bit(0);
    pub(super) const CONFIG: Bits = Bits::new(3, 1);
    pub(super) const FORMAT: Bits = Bits::new(5, 4);
    pub(super) const CONTEXTS: Bits = Bits::new(51, 6);
    pub(super) const CONTEXT_BITS: Bits = Bits::new(63, 59);

    pub(super) const DEFAULT: Bits = Bits::new(1, 0);
    pub(super) const PPAR: Bits = Bits::bit(18);
    pub(super) const MEV: Bits = Bits::bit(19);
    pub(super) const FWB: Bits = Bits::bit(25);
    pub(super) const STALLD: Bits = Bits::bit(27);
    pub(super) const EATS: Bits = Bits::new(29, 28);
    pub(super) const STRW: Bits = Bits::new(31, 30);
    pub(super) const SHCFG: Bits = Bits::new(45, 44);
    pub(super) const PRIVCFG: Bits = Bits::new(49, 48);
    pub(super) const INSTCFG: Bits = Bits::new(51, 50);

    pub(super) const VMID: Bits = Bits::new(15, 0);
    pub(super) const T0SZ: Bits = Bits::new(37, 32);
    pub(super) const SL0: Bits = Bits::new(39, 38);
    pub(super) const WALK: Bits = Bits::new(45, 40);
    pub(super) const TG: Bits = Bits::new(47, 46);
    pub(super) const PS: Bits = Bits::new(50, 48);
    pub(super) const AA64: Bits = Bits::bit(51);
    pub(super) const ENDI: Bits = Bits::bit(52);
    pub(super) const AFFD: Bits = Bits::bit(53);
    pub(super) const PTW: Bits = Bits::bit(54);
    pub(super) const HD: Bits = Bits::bit(55);
    pub(super) const HA: Bits = Bits::bit(56);
    pub(super) const STALL: Bits = Bits::bit(57);
    pub(super) const RECORD: Bits = Bits::bit(58);

    pub(super) const TTB: Bits = Bits::new(51, 4);
}

impl Ste {
    /// Its size in memory, in bytes.
    pub const BYTES: u64 = 64;

    /// The entry that these eight words are. Fields that the model does not use are dropped.
    pub fn decode(words: [u64; 8]) -> Self {
        let [first, second, third, fourth, ..] = words;
        Self {
            valid: field::VALID.is_set(first),
            config: config(field::CONFIG.of(first)),
            contexts: ContextTable {
                format: ContextFormat::of(field::FORMAT.of(first)),
                base: Ipa::new(first & field::CONTEXTS.mask()),
                bits: field::CONTEXT_BITS.u8(first),
            },
            default_substream: match field::DEFAULT.of(second) {
                1 => DefaultSubstream::Bypass,
                2 => DefaultSubstream::Zero,
                _ => DefaultSubstream::Terminate,
            },
            response_with_pasid: field::PPAR.is_set(second),
            merge_events: field::MEV.is_set(second),
            stall_disabled: field::STALLD.is_set(second),
            ats: eats(field::EATS.of(second)),
            stream_world: field::STRW.u8(second),
            shareability: field::SHCFG.u8(second),
            privilege: field::PRIVCFG.u8(second),
            instruction: field::INSTCFG.u8(second),
            stage2: stage2(second, third, fourth),
        }
    }

    /// The eight words.
    pub fn encode(&self) -> [u64; 8] {
        [
            self.encode_first(),
            self.encode_second(),
            self.stage2.encode(),
            self.stage2.root.raw() & field::TTB.mask(),
            0,
            0,
            0,
            0,
        ]
    }

    fn encode_first(&self) -> u64 {
        let config = match self.config {
            Config::Abort => 0,
            Config::Bypass => 4,
            Config::Stage1 => 5,
            Config::Stage2 => 6,
            Config::Nested => 7,
        };
        field::VALID.flag(self.valid)
            | field::CONFIG.put(config)
            | field::FORMAT.put(self.contexts.format.field())
            | self.contexts.base.raw() & field::CONTEXTS.mask()
            | field::CONTEXT_BITS.put(u64::from(self.contexts.bits))
    }

    fn encode_second(&self) -> u64 {
        let default = match self.default_substream {
            DefaultSubstream::Terminate => 0,
            DefaultSubstream::Bypass => 1,
            DefaultSubstream::Zero => 2,
        };
        let ats = match self.ats {
            Eats::Off => 0,
            Eats::Full => 1,
            Eats::Split => 2,
            Eats::Checked => 3,
        };
        field::DEFAULT.put(default)
            | field::PPAR.flag(self.response_with_pasid)
            | field::MEV.flag(self.merge_events)
            | field::FWB.flag(self.stage2.force_write_back)
            | field::STALLD.flag(self.stall_disabled)
            | field::EATS.put(ats)
            | field::STRW.put(u64::from(self.stream_world))
            | field::SHCFG.put(u64::from(self.shareability))
            | field::PRIVCFG.put(u64::from(self.privilege))
            | field::INSTCFG.put(u64::from(self.instruction))
    }

    /// The stream world, where stage 1 translates or not; `e2h` is CR2.E2H.
    pub fn world(&self, abilities: &Abilities, e2h: bool) -> StreamWorld {
        let is_el2 = self.config == Config::Stage1 && abilities.has_el2() && self.stream_world == 2;
        match (is_el2, e2h) {
            (false, _) => StreamWorld::El1,
            (true, false) => StreamWorld::El2,
            (true, true) => StreamWorld::El2E2h,
        }
    }
}

impl Default for Ste {
    /// Not valid: what zeroed memory holds, but for SHCFG, which says "as it comes in".
    fn default() -> Self {
        let shareability = 1;
        Self {
            shareability,
            ..Self::decode([0; 8])
        }
    }
}

fn config(field: u64) -> Config {
    match field {
        4 => Config::Bypass,
        5 => Config::Stage1,
        6 => Config::Stage2,
        7 => Config::Nested,
        _ => Config::Abort,
    }
}

fn eats(field: u64) -> Eats {
    match field {
        1 => Eats::Full,
        2 => Eats::Split,
        3 => Eats::Checked,
        _ => Eats::Off,
    }
}

/// TG as the stage-2 field and CD.TG0 have it: other numbers than in TLBI commands.
pub(super) fn granule_of(field: u64) -> Option<Granule> {
    Granule::from_tg0(u8::try_from(field).ok()?)
}

/// The way back from [`granule_of`].
pub(super) fn granule_field(granule: Option<Granule>) -> u64 {
    match granule {
        Some(Granule::K4) => 0,
        Some(Granule::K64) => 1,
        Some(Granule::K16) => 2,
        None => 3,
    }
}

fn stage2(second: u64, third: u64, fourth: u64) -> Stage2 {
    Stage2 {
        vmid: Vmid(field::VMID.u16(third)),
        t0sz: field::T0SZ.u8(third),
        sl0: field::SL0.u8(third),
        walk_attributes: field::WALK.u8(third),
        granule: granule_of(field::TG.of(third)),
        output: AddressSize::of(field::PS.of(third)),
        aarch64: field::AA64.is_set(third),
        big_endian: field::ENDI.is_set(third),
        access_fault_disabled: field::AFFD.is_set(third),
        protected_walk: field::PTW.is_set(third),
        hardware_dirty: field::HD.is_set(third),
        hardware_access: field::HA.is_set(third),
        stall: field::STALL.is_set(third),
        record: field::RECORD.is_set(third),
        force_write_back: field::FWB.is_set(second),
        root: Gpa::new(fourth & field::TTB.mask()),
    }
}

impl Stage2 {
    fn encode(&self) -> u64 {
        field::VMID.put(u64::from(self.vmid.0))
            | field::T0SZ.put(u64::from(self.t0sz))
            | field::SL0.put(u64::from(self.sl0))
            | field::WALK.put(u64::from(self.walk_attributes))
            | field::TG.put(granule_field(self.granule))
            | field::PS.put(self.output.field())
            | field::AA64.flag(self.aarch64)
            | field::ENDI.flag(self.big_endian)
            | field::AFFD.flag(self.access_fault_disabled)
            | field::PTW.flag(self.protected_walk)
            | field::HD.flag(self.hardware_dirty)
            | field::HA.flag(self.hardware_access)
            | field::STALL.flag(self.stall)
            | field::RECORD.flag(self.record)
    }

    /// What hardware updates. Dirty without access is reserved, and as neither.
    pub fn httu(&self) -> Httu {
        match (self.hardware_access, self.hardware_dirty) {
            (true, true) => Httu::AccessAndDirty,
            (true, false) => Httu::Access,
            (false, _) => Httu::None,
        }
    }

    /// The level where the walk begins: 0 to 3; `None` for what is reserved.
    pub fn start_level(&self) -> Option<u8> {
        match (self.granule?, self.sl0) {
            (Granule::K4, sl0 @ 0..=2) => Some(2 - sl0),
            (Granule::K16 | Granule::K64, sl0 @ 0..=2) => Some(3 - sl0),
            _ => None,
        }
    }

    /// Address bits that come out at most: S2PS, capped to what the SMMU has.
    pub fn effective_output(&self, abilities: &Abilities) -> AddressSize {
        self.output.min(abilities.output)
    }
}
