//! What an SMMU can do, and the identification registers that say so (`IHI0070` 6.3.1 to 6.3.8).

use super::bits::Bits;
use super::command::{Command, Illegal, TlbiSpan, TlbiVa};
use crate::secondary::smmu::Granule;

/// What an SMMU can do. The identification registers advertise this and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Which stages translate.
    pub stages: Stages,
    /// Of both stages.
    pub granules: Granules,
    /// Output address size (OAS), and the size of an intermediate address.
    pub output: AddressSize,
    /// Bits of a StreamID, at most 32.
    pub stream_bits: u8,
    /// Bits of a SubstreamID, at most 20; 0 for none.
    pub substream_bits: u8,
    /// Stream tables may have two levels.
    pub two_level_streams: bool,
    /// Tables of context descriptors may have two levels.
    pub two_level_contexts: bool,
    /// ASIDs have 16 bits, not 8.
    pub asid16: bool,
    /// VMIDs have 16 bits, not 8.
    pub vmid16: bool,
    /// PCIe address translation services.
    pub ats: bool,
    /// ATS of stage 1 alone, with both stages.
    pub split_ats: bool,
    /// PCIe page requests; only with ATS.
    pub pri: bool,
    /// Whether faults may stall.
    pub stall: StallModel,
    /// Hardware update of accessed and dirty state.
    pub httu: Httu,
    /// Range invalidation and level hints (RIL).
    pub range_invalidation: bool,
    /// What a change between blocks and tables needs: 0, 1 or 2 (BBML).
    pub bbml: u8,
    /// Broadcast TLB maintenance.
    pub btm: bool,
    /// EL2 contexts; only with both stages.
    pub hyp: bool,
    /// Interrupts by memory write.
    pub msi: bool,
    /// Events that wake a CPU from WFE.
    pub sev: bool,
    /// Base-two logarithm of the largest command queue, at most 19.
    pub command_queue: u8,
    /// The same of the event queue.
    pub event_queue: u8,
    /// The same of the page request queue.
    pub page_queue: u8,
}

/// Which stages an SMMU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// Stage 1 alone.
    One,
    /// Stage 2 alone.
    Two,
    /// Both, and nested.
    Both,
}

impl Stages {
    /// Whether stage 1 translates.
    pub fn first(self) -> bool {
        self != Self::Two
    }

    /// Whether stage 2 translates.
    pub fn second(self) -> bool {
        self != Self::One
    }
}

bitflags::bitflags! {
    /// Translation granules.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Granules: u8 {
        /// 4 KiB.
        const K4 = 1;
        /// 16 KiB.
        const K16 = 2;
        /// 64 KiB.
        const K64 = 4;
    }
}

impl Granules {
    /// Whether this one is among them.
    pub fn has(self, granule: Granule) -> bool {
        self.contains(match granule {
            Granule::K4 => Self::K4,
            Granule::K16 => Self::K16,
            Granule::K64 => Self::K64,
        })
    }
}

/// The size of a physical or intermediate address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressSize {
    /// 32 bits.
    B32,
    /// 36 bits.
    B36,
    /// 40 bits.
    B40,
    /// 42 bits.
    B42,
    /// 44 bits.
    B44,
    /// 48 bits.
    B48,
    /// 52 bits.
    B52,
}

impl AddressSize {
    /// The number of bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::B32 => 32,
            Self::B36 => 36,
            Self::B40 => 40,
            Self::B42 => 42,
            Self::B44 => 44,
            Self::B48 => 48,
            Self::B52 => 52,
        }
    }

    /// The three-bit field: 0 to 6.
    pub fn field(self) -> u64 {
        match self {
            Self::B32 => 0,
            Self::B36 => 1,
            Self::B40 => 2,
            Self::B42 => 3,
            Self::B44 => 4,
            Self::B48 => 5,
            Self::B52 => 6,
        }
    }

    /// What the field says; 7 is reserved and behaves as 6.
    pub(super) fn of(field: u64) -> Self {
        match field {
            0 => Self::B32,
            1 => Self::B36,
            2 => Self::B40,
            3 => Self::B42,
            4 => Self::B44,
            5 => Self::B48,
            _ => Self::B52,
        }
    }

    /// Whether an address has no bits above.
    pub fn fits(self, raw: u64) -> bool {
        raw >> self.bits() == 0
    }
}

/// Whether faults may stall a transaction until software says what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallModel {
    /// As configured.
    Configurable,
    /// Never.
    Never,
    /// Always.
    Forced,
}

/// Hardware translation-table update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Httu {
    /// None.
    None,
    /// Of the access flag.
    Access,
    /// Of the access flag and the dirty state.
    AccessAndDirty,
}

/// Where the fields of the identification registers are.
mod field {
    use super::Bits;

    pub(super) const HTTU: Bits = Bits::new(7, 6);
    pub(super) const STALL_MODEL: Bits = Bits::new(25, 24);
    pub(super) const SIDSIZE: Bits = Bits::new(5, 0);
    pub(super) const SSIDSIZE: Bits = Bits::new(10, 6);
    pub(super) const PRIQS: Bits = Bits::new(15, 11);
    pub(super) const EVENTQS: Bits = Bits::new(20, 16);
    pub(super) const CMDQS: Bits = Bits::new(25, 21);
    pub(super) const BBML: Bits = Bits::new(12, 11);
    pub(super) const OAS: Bits = Bits::new(2, 0);
    pub(super) const STALL_MAX: Bits = Bits::new(31, 16);
}

impl Abilities {
    /// As many transactions may stall (IDR5.STALL_MAX), where any may.
    pub const STALL_MAX: u16 = 256;

    /// The value of IDR0 to IDR5; 0 for any other `index`.
    pub fn idr(&self, index: u8) -> u32 {
        let value = match index {
            0 => self.idr0(),
            1 => self.idr1(),
            3 => self.idr3(),
            5 => self.idr5(),
            // IDR2 is of the VATOS page, IDR4 implementation defined.
            _ => 0,
        };
        Bits::new(31, 0).u32(value)
    }

    /// The value of AIDR: architecture 3.1.
    pub fn aidr(&self) -> u32 {
        1
    }

    fn idr0(&self) -> u64 {
        let both = self.stages == Stages::Both;
        let flag = |at, set| Bits::bit(at).flag(set);
        let stall = match self.stall {
            StallModel::Configurable => 0,
            StallModel::Never => 1,
            StallModel::Forced => 2,
        };
        // TTF 2: only AArch64 tables. COHACC: memory is coherent. TTENDIAN 2: little-endian tables.
        flag(0, self.stages.second())
            | flag(1, self.stages.first())
            | 2 << 2
            | flag(4, true)
            | flag(5, self.btm)
            | field::HTTU.put(self.httu_field())
            | flag(9, self.hyp && both)
            | flag(10, self.ats)
            | flag(11, self.ats && both && !self.split_ats)
            | flag(12, self.asid16)
            | flag(13, self.msi)
            | flag(14, self.sev)
            | flag(16, self.has_pri())
            | flag(18, self.vmid16)
            | flag(19, self.two_level_contexts)
            | 2 << 21
            | field::STALL_MODEL.put(stall)
            | flag(27, self.two_level_streams)
    }

    fn httu_field(&self) -> u64 {
        match self.httu {
            Httu::None => 0,
            Httu::Access => 1,
            Httu::AccessAndDirty => 2,
        }
    }

    fn idr1(&self) -> u64 {
        let page_queue = if self.has_pri() { self.page_queue } else { 0 };
        field::SIDSIZE.put(u64::from(self.stream_bits))
            | field::SSIDSIZE.put(u64::from(self.substream_bits))
            | field::PRIQS.put(u64::from(page_queue))
            | field::EVENTQS.put(u64::from(self.event_queue))
            | field::CMDQS.put(u64::from(self.command_queue))
    }

    /// HAD: hierarchical attributes can be disabled.
    fn idr3(&self) -> u64 {
        Bits::bit(2).flag(true)
            | Bits::bit(10).flag(self.range_invalidation)
            | field::BBML.put(u64::from(self.bbml))
    }

    fn idr5(&self) -> u64 {
        let stalls = self.stall != StallModel::Never;
        let stall_max = if stalls { Self::STALL_MAX } else { 0 };
        let granule = |at, granule| Bits::bit(at).flag(self.granules.contains(granule));
        field::OAS.put(self.output.field())
            | granule(4, Granules::K4)
            | granule(5, Granules::K16)
            | granule(6, Granules::K64)
            | field::STALL_MAX.put(u64::from(stall_max))
    }

    /// Whether it takes page requests.
    pub fn has_pri(&self) -> bool {
        self.ats && self.pri
    }

    /// Whether a stream may be of EL2.
    pub fn has_el2(&self) -> bool {
        self.hyp && self.stages == Stages::Both
    }

    /// The command as this SMMU takes it: without range fields if it has none.
    ///
    /// # Errors
    /// [`Illegal::Unsupported`] for a command of a feature that is not advertised, which raises
    /// `CERROR_ILL` like an unknown opcode.
    pub fn accept(&self, command: Command) -> Result<Command, Illegal> {
        if !self.has(&command) {
            return Err(Illegal::Unsupported(command.name()));
        }
        Ok(if self.range_invalidation {
            command
        } else {
            without_range(command)
        })
    }

    fn has(&self, command: &Command) -> bool {
        match command {
            Command::CfgiCd(..)
            | Command::CfgiCdAll(_)
            | Command::TlbiAll(_)
            | Command::TlbiAsid(..)
            | Command::TlbiVa(_)
            | Command::TlbiVaa(..) => self.stages.first(),
            Command::TlbiEl2All
            | Command::TlbiEl2Asid(_)
            | Command::TlbiEl2Va(..)
            | Command::TlbiEl2Vaa(_) => self.has_el2(),
            Command::TlbiVmall(_) | Command::TlbiIpa(..) => self.stages.second(),
            Command::AtcInv(..) => self.ats,
            Command::PriResp(_) => self.has_pri(),
            Command::Resume(..) | Command::StallTerm(_) => self.stall != StallModel::Never,
            Command::PrefetchConfig(..)
            | Command::PrefetchAddr(_)
            | Command::CfgiSte(..)
            | Command::CfgiSteRange(..)
            | Command::CfgiAll
            | Command::TlbiNsnhAll
            | Command::Sync(_) => true,
        }
    }
}

/// Without RIL the range fields are reserved, and ignored here like all that are.
fn without_range(command: Command) -> Command {
    fn page<A>(span: TlbiSpan<A>) -> TlbiSpan<A> {
        let pages = None;
        TlbiSpan { pages, ..span }
    }
    match command {
        Command::TlbiVa(TlbiVa { vmid, asid, span }) => {
            let span = page(span);
            Command::TlbiVa(TlbiVa { vmid, asid, span })
        }
        Command::TlbiVaa(vmid, span) => Command::TlbiVaa(vmid, page(span)),
        Command::TlbiEl2Va(asid, span) => Command::TlbiEl2Va(asid, page(span)),
        Command::TlbiEl2Vaa(span) => Command::TlbiEl2Vaa(page(span)),
        Command::TlbiIpa(vmid, span) => Command::TlbiIpa(vmid, page(span)),
        other => other,
    }
}
