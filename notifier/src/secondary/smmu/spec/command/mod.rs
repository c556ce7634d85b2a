//! The commands, and their 16 bytes (`IHI0070` chapter 4).

mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod tlbi;

use std::fmt;

use super::bits::Bits;
use crate::addr::{Asid, Gpa, Iova, Ipa, StreamId, SubstreamId, Vmid};
use crate::secondary::AlignedSpan;

pub use decode::Illegal;
pub use tlbi::{Levels, RangeOperand, TlbiSpan, TlbiVa, Ttl};

/// A command of the Non-secure command queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// `CMD_PREFETCH_CONFIG`: a hint to read a stream's structures.
    PrefetchConfig(StreamId, Option<SubstreamId>),
    /// `CMD_PREFETCH_ADDR`: a hint to translate some addresses.
    PrefetchAddr(Prefetch),
    /// `CMD_CFGI_STE`: one stream-table entry, and the level-1 descriptor unless only the leaf.
    CfgiSte(StreamId, Levels),
    /// `CMD_CFGI_STE_RANGE`: 2^(range + 1) streams, aligned; range is below 31.
    CfgiSteRange(StreamId, u8),
    /// `CMD_CFGI_ALL`: the whole configuration.
    CfgiAll,
    /// `CMD_CFGI_CD`: one context descriptor of a stream.
    CfgiCd(StreamId, SubstreamId, Levels),
    /// `CMD_CFGI_CD_ALL`: all context descriptors of a stream.
    CfgiCdAll(StreamId),
    /// `CMD_TLBI_NH_ALL`: everything of stage 1 in a virtual machine, global entries too.
    TlbiAll(Vmid),
    /// `CMD_TLBI_NH_ASID`: everything of one ASID, but global entries.
    TlbiAsid(Vmid, Asid),
    /// `CMD_TLBI_NH_VA`: some addresses of one ASID, and global entries for them.
    TlbiVa(TlbiVa),
    /// `CMD_TLBI_NH_VAA`: some addresses of every ASID.
    TlbiVaa(Vmid, TlbiSpan<Iova>),
    /// `CMD_TLBI_EL2_ALL`.
    TlbiEl2All,
    /// `CMD_TLBI_EL2_ASID`.
    TlbiEl2Asid(Asid),
    /// `CMD_TLBI_EL2_VA`.
    TlbiEl2Va(Asid, TlbiSpan<Iova>),
    /// `CMD_TLBI_EL2_VAA`.
    TlbiEl2Vaa(TlbiSpan<Iova>),
    /// `CMD_TLBI_S12_VMALL`: both stages of a virtual machine.
    TlbiVmall(Vmid),
    /// `CMD_TLBI_S2_IPA`: stage 2 for some intermediate addresses. Entries that combine both stages
    /// need not go.
    TlbiIpa(Vmid, TlbiSpan<Ipa>),
    /// `CMD_TLBI_NSNH_ALL`: everything of EL1, of every virtual machine.
    TlbiNsnhAll,
    /// `CMD_ATC_INV`: some addresses of the device TLB behind one stream.
    AtcInv(StreamId, AtcScope, AlignedSpan),
    /// `CMD_PRI_RESP`: answers a group of page requests.
    PriResp(PriResp),
    /// `CMD_RESUME`: what becomes of one stalled transaction.
    Resume(StreamId, Stag, Resume),
    /// `CMD_STALL_TERM`: ends all stalled transactions of a stream.
    StallTerm(StreamId),
    /// `CMD_SYNC`: every earlier command is complete when this one is.
    Sync(Signal),
}

/// `CMD_PREFETCH_ADDR`: 2^`size` translations, 2^(12 + `stride`) bytes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefetch {
    /// For this stream.
    pub stream: StreamId,
    /// And this substream, if it has them.
    pub substream: Option<SubstreamId>,
    /// The first address, a multiple of 4096.
    pub address: Iova,
    /// Base-two logarithm of how many, at most 31.
    pub size: u8,
    /// Base-two logarithm of the distance, in units of 4096 bytes, at most 31.
    pub stride: u8,
}

/// Whose translations an invalidation of a device TLB is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtcScope {
    /// Those requested without a PASID.
    Untagged,
    /// Those of one PASID.
    Substream(SubstreamId),
    /// The same with the Global Invalidate flag: of every PASID. The message names one all the same.
    Global(SubstreamId),
}

/// `CMD_PRI_RESP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PriResp {
    /// To this stream's device.
    pub stream: StreamId,
    /// With this PASID, if any.
    pub substream: Option<SubstreamId>,
    /// The page request group, 9 bits.
    pub group: u16,
    /// The answer.
    pub response: PageResponse,
}

/// The answer to a page request group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageResponse {
    /// A permanent error: ATS or PRI is off.
    Failure,
    /// Some page could not be had.
    Invalid,
    /// All pages are there.
    Success,
}

/// Names a stalled transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stag(pub u16);

impl fmt::Display for Stag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What becomes of a stalled transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resume {
    /// It is tried again, as if it had just come.
    Retry,
    /// It ends without an error: reads as zero, writes ignored.
    Terminate,
    /// It ends with an abort.
    Abort,
}

/// How a completed CMD_SYNC is signalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Not at all; CMDQ_CONS tells.
    #[default]
    None,
    /// By an interrupt.
    Irq(SyncMsi),
    /// By an event to the CPUs, as of their SEV instruction.
    Sev,
}

/// The MSI of a CMD_SYNC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SyncMsi {
    /// Where to write, a multiple of 4; `None` (address 0) for no MSI, only the wired interrupt.
    pub address: Option<Gpa>,
    /// What to write.
    pub data: u32,
    /// MSIAttr, as STE.MemAttr, 4 bits.
    pub attributes: u8,
    /// MSH, 2 bits.
    pub shareability: u8,
}

impl Command {
    /// A CMD_SYNC without a signal.
    pub const SYNC: Self = Self::Sync(Signal::None);

    /// Whether it invalidates the SMMU's own TLB.
    pub fn is_tlbi(&self) -> bool {
        matches!(
            self,
            Self::TlbiAll(_)
                | Self::TlbiAsid(..)
                | Self::TlbiVa(_)
                | Self::TlbiVaa(..)
                | Self::TlbiEl2All
                | Self::TlbiEl2Asid(_)
                | Self::TlbiEl2Va(..)
                | Self::TlbiEl2Vaa(_)
                | Self::TlbiVmall(_)
                | Self::TlbiIpa(..)
                | Self::TlbiNsnhAll
        )
    }

    /// Whether it invalidates cached configuration.
    pub fn is_cfgi(&self) -> bool {
        matches!(
            self,
            Self::CfgiSte(..)
                | Self::CfgiSteRange(..)
                | Self::CfgiAll
                | Self::CfgiCd(..)
                | Self::CfgiCdAll(_)
        )
    }

    /// The command's name in the specification, without `CMD_`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PrefetchConfig(..) => "PREFETCH_CONFIG",
            Self::PrefetchAddr(_) => "PREFETCH_ADDR",
            Self::CfgiSte(..) => "CFGI_STE",
            Self::CfgiSteRange(..) => "CFGI_STE_RANGE",
            Self::CfgiAll => "CFGI_ALL",
            Self::CfgiCd(..) => "CFGI_CD",
            Self::CfgiCdAll(_) => "CFGI_CD_ALL",
            Self::TlbiAll(_) => "TLBI_NH_ALL",
            Self::TlbiAsid(..) => "TLBI_NH_ASID",
            Self::TlbiVa(_) => "TLBI_NH_VA",
            Self::TlbiVaa(..) => "TLBI_NH_VAA",
            Self::TlbiEl2All => "TLBI_EL2_ALL",
            Self::TlbiEl2Asid(_) => "TLBI_EL2_ASID",
            Self::TlbiEl2Va(..) => "TLBI_EL2_VA",
            Self::TlbiEl2Vaa(_) => "TLBI_EL2_VAA",
            Self::TlbiVmall(_) => "TLBI_S12_VMALL",
            Self::TlbiIpa(..) => "TLBI_S2_IPA",
            Self::TlbiNsnhAll => "TLBI_NSNH_ALL",
            Self::AtcInv(..) => "ATC_INV",
            Self::PriResp(_) => "PRI_RESP",
            Self::Resume(..) => "RESUME",
            Self::StallTerm(_) => "STALL_TERM",
            Self::Sync(_) => "SYNC",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::CfgiSte(stream, _)
            | Self::CfgiCdAll(stream)
            | Self::StallTerm(stream)
            | Self::PrefetchConfig(stream, _) => write!(f, " stream {stream}"),
            Self::CfgiSteRange(stream, range) => write!(f, " stream {stream} range {range}"),
            Self::CfgiCd(stream, substream, _) => {
                write!(f, " stream {stream} substream {substream}")
            }
            Self::TlbiAll(vmid) | Self::TlbiVmall(vmid) => write!(f, " vmid {vmid}"),
            Self::TlbiAsid(_, asid) | Self::TlbiEl2Asid(asid) => write!(f, " asid {asid}"),
            Self::TlbiVa(tlbi) => write!(f, " asid {}{}", tlbi.asid, tlbi.span),
            Self::TlbiVaa(vmid, span) => write!(f, " vmid {vmid}{span}"),
            Self::TlbiEl2Va(asid, span) => write!(f, " asid {asid}{span}"),
            Self::TlbiEl2Vaa(span) => write!(f, "{span}"),
            Self::TlbiIpa(vmid, span) => write!(f, " vmid {vmid}{span}"),
            Self::AtcInv(stream, _, span) => write!(f, " stream {stream} {}", span.range()),
            Self::PrefetchAddr(prefetch) => {
                write!(f, " stream {} at {}", prefetch.stream, prefetch.address)
            }
            Self::PriResp(response) => {
                write!(f, " stream {} group {}", response.stream, response.group)
            }
            Self::Resume(stream, stag, _) => write!(f, " stream {stream} stag {stag}"),
            Self::CfgiAll | Self::TlbiEl2All | Self::TlbiNsnhAll | Self::Sync(_) => Ok(()),
        }
    }
}

impl<A: fmt::Display> fmt::Display for TlbiSpan<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " at {}", self.address)?;
        self.pages.map_or(Ok(()), |pages| {
            write!(f, ", {} pages of {}", pages.pages(), pages.granule().page())
        })
    }
}

/// Where the fields are, in the first and the second word.
mod field {
    use super::Bits;

    pub(super) const OPCODE: Bits = Bits::new(7, 0);
    pub(super) const SSEC: Bits = Bits::bit(10);
    pub(super) const SSV: Bits = Bits::bit(11);
    pub(super) const SUBSTREAM: Bits = Bits::new(31, 12);
    pub(super) const STREAM: Bits = Bits::new(63, 32);
    pub(super) const NUM: Bits = Bits::new(16, 12);
    pub(super) const SCALE: Bits = Bits::new(24, 20);
    pub(super) const VMID: Bits = Bits::new(47, 32);
    pub(super) const ASID: Bits = Bits::new(63, 48);
    pub(super) const GLOBAL: Bits = Bits::bit(9);
    pub(super) const ACTION: Bits = Bits::bit(12);
    pub(super) const ABORT: Bits = Bits::bit(13);
    pub(super) const SIGNAL: Bits = Bits::new(13, 12);
    pub(super) const MSI_SHAREABILITY: Bits = Bits::new(23, 22);
    pub(super) const MSI_ATTRIBUTES: Bits = Bits::new(27, 24);
    pub(super) const MSI_DATA: Bits = Bits::new(63, 32);

    pub(super) const LEAF: Bits = Bits::bit(0);
    pub(super) const RANGE: Bits = Bits::new(4, 0);
    pub(super) const PREFETCH_SIZE: Bits = Bits::new(4, 0);
    pub(super) const PREFETCH_STRIDE: Bits = Bits::new(9, 5);
    pub(super) const ATC_SIZE: Bits = Bits::new(5, 0);
    pub(super) const TTL: Bits = Bits::new(9, 8);
    pub(super) const GRANULE: Bits = Bits::new(11, 10);
    pub(super) const ADDRESS: Bits = Bits::new(63, 12);
    pub(super) const IPA: Bits = Bits::new(55, 12);
    pub(super) const GROUP: Bits = Bits::new(8, 0);
    pub(super) const RESPONSE: Bits = Bits::new(13, 12);
    pub(super) const STAG: Bits = Bits::new(15, 0);
    pub(super) const MSI_ADDRESS: Bits = Bits::new(55, 2);
}

/// The first eight bits (`IHI0070` 4.1.1).
mod opcode {
    pub(super) const PREFETCH_CONFIG: u64 = 0x01;
    pub(super) const PREFETCH_ADDR: u64 = 0x02;
    pub(super) const CFGI_STE: u64 = 0x03;
    pub(super) const CFGI_STE_RANGE: u64 = 0x04;
    pub(super) const CFGI_CD: u64 = 0x05;
    pub(super) const CFGI_CD_ALL: u64 = 0x06;
    pub(super) const TLBI_NH_ALL: u64 = 0x10;
    pub(super) const TLBI_NH_ASID: u64 = 0x11;
    pub(super) const TLBI_NH_VA: u64 = 0x12;
    pub(super) const TLBI_NH_VAA: u64 = 0x13;
    pub(super) const TLBI_EL2_ALL: u64 = 0x20;
    pub(super) const TLBI_EL2_ASID: u64 = 0x21;
    pub(super) const TLBI_EL2_VA: u64 = 0x22;
    pub(super) const TLBI_EL2_VAA: u64 = 0x23;
    pub(super) const TLBI_S12_VMALL: u64 = 0x28;
    pub(super) const TLBI_S2_IPA: u64 = 0x2a;
    pub(super) const TLBI_NSNH_ALL: u64 = 0x30;
    pub(super) const ATC_INV: u64 = 0x40;
    pub(super) const PRI_RESP: u64 = 0x41;
    pub(super) const RESUME: u64 = 0x44;
    pub(super) const STALL_TERM: u64 = 0x45;
    pub(super) const SYNC: u64 = 0x46;
}

/// The RANGE of CMD_CFGI_STE_RANGE that makes it CMD_CFGI_ALL.
const RANGE_ALL: u8 = 31;
