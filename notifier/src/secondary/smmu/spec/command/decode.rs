//! From two words to the command.

use super::super::super::Granule;
use super::*;
use crate::addr::{AddrRange, Address, PageSize};

/// Why two words are no command: the queue stops with `CERROR_ILL` (`IHI0070` 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The opcode is reserved, or of a security state that there is none of.
    #[error("there is no command {0:#04x}")]
    Opcode(u8),
    /// The Non-secure queue can't name a Secure stream (SSec).
    #[error("command {0:#04x} names a secure stream")]
    Secure(u8),
    /// TG without NUM, SCALE or TTL.
    #[error("a range without a length")]
    Range,
    /// An ATC_INV of more than everything: a size over 52.
    #[error("a device TLB span of 2^{0} pages")]
    AtcSize(u8),
    /// A reserved answer to a page request.
    #[error("a reserved page response")]
    Response,
    /// A reserved way to signal a CMD_SYNC.
    #[error("a reserved completion signal")]
    Signal,
    /// A command of a feature that this SMMU does not advertise.
    #[error("{0} is of a feature that is not there")]
    Unsupported(&'static str),
}

impl Command {
    /// The command that these two words are.
    ///
    /// Reserved fields are ignored, as one of the two lawful choices (`IHI0070` 4.1.5): a driver of
    /// a later revision sets them, and an old SMMU that stops for it helps nobody.
    ///
    /// # Errors
    /// [`Illegal`] for what `CERROR_ILL` is raised for, whatever the SMMU can do. What it can't do
    /// is refused by [`Abilities::accept`](super::super::Abilities::accept).
    pub fn decode(words: [u64; 2]) -> Result<Self, Illegal> {
        let [low, high] = words;
        let stream = StreamId(field::STREAM.u32(low));
        let substream = SubstreamId(field::SUBSTREAM.u32(low));
        let tagged = field::SSV.is_set(low).then_some(substream);
        let levels = levels(high);
        let opcode = field::OPCODE.of(low);
        refuse_secure(opcode, low)?;
        Ok(match opcode {
            opcode::PREFETCH_CONFIG => Self::PrefetchConfig(stream, tagged),
            opcode::PREFETCH_ADDR => Self::PrefetchAddr(Prefetch {
                stream,
                substream: tagged,
                address: Iova::new(high & field::ADDRESS.mask()),
                size: field::PREFETCH_SIZE.u8(high),
                stride: field::PREFETCH_STRIDE.u8(high),
            }),
            opcode::CFGI_STE => Self::CfgiSte(stream, levels),
            opcode::CFGI_STE_RANGE => cfgi_range(stream, field::RANGE.u8(high)),
            opcode::CFGI_CD => Self::CfgiCd(stream, substream, levels),
            opcode::CFGI_CD_ALL => Self::CfgiCdAll(stream),
            opcode::ATC_INV => Self::AtcInv(stream, atc_scope(low, tagged), atc_span(high)?),
            opcode::PRI_RESP => Self::PriResp(PriResp {
                stream,
                substream: tagged,
                group: field::GROUP.u16(high),
                response: response(high)?,
            }),
            opcode::RESUME => Self::Resume(stream, Stag(field::STAG.u16(high)), resume(low)),
            opcode::STALL_TERM => Self::StallTerm(stream),
            opcode::SYNC => Self::Sync(signal(low, high)?),
            _ => tlbi(words)?,
        })
    }
}

/// Only these name a stream by its security state.
fn refuse_secure(opcode: u64, low: u64) -> Result<(), Illegal> {
    let names_it = matches!(
        opcode,
        opcode::PREFETCH_CONFIG
            | opcode::PREFETCH_ADDR
            | opcode::CFGI_STE
            | opcode::CFGI_STE_RANGE
            | opcode::CFGI_CD
            | opcode::CFGI_CD_ALL
            | opcode::RESUME
            | opcode::STALL_TERM
    );
    if names_it && field::SSEC.is_set(low) {
        return Err(Illegal::Secure(field::OPCODE.u8(low)));
    }
    Ok(())
}

fn tlbi(words: [u64; 2]) -> Result<Command, Illegal> {
    let [low, _] = words;
    let vmid = Vmid(field::VMID.u16(low));
    let asid = Asid(field::ASID.u16(low));
    let va = || span::<Iova>(words, field::ADDRESS);
    Ok(match field::OPCODE.of(low) {
        opcode::TLBI_NH_ALL => Command::TlbiAll(vmid),
        opcode::TLBI_NH_ASID => Command::TlbiAsid(vmid, asid),
        opcode::TLBI_NH_VA => {
            let span = va()?;
            Command::TlbiVa(TlbiVa { vmid, asid, span })
        }
        opcode::TLBI_NH_VAA => Command::TlbiVaa(vmid, va()?),
        opcode::TLBI_EL2_ALL => Command::TlbiEl2All,
        opcode::TLBI_EL2_ASID => Command::TlbiEl2Asid(asid),
        opcode::TLBI_EL2_VA => Command::TlbiEl2Va(asid, va()?),
        opcode::TLBI_EL2_VAA => Command::TlbiEl2Vaa(va()?),
        opcode::TLBI_S12_VMALL => Command::TlbiVmall(vmid),
        opcode::TLBI_S2_IPA => Command::TlbiIpa(vmid, span(words, field::IPA)?),
        opcode::TLBI_NSNH_ALL => Command::TlbiNsnhAll,
        _ => return Err(Illegal::Opcode(field::OPCODE.u8(low))),
    })
}

fn span<A: Address>([low, high]: [u64; 2], address: Bits) -> Result<TlbiSpan<A>, Illegal> {
    Ok(TlbiSpan {
        address: A::new(high & address.mask()),
        levels: levels(high),
        pages: pages(low, high)?,
    })
}

/// Without TG the other fields mean nothing.
fn pages(low: u64, high: u64) -> Result<Option<RangeOperand>, Illegal> {
    let granule = match field::GRANULE.of(high) {
        0 => return Ok(None),
        1 => Granule::K4,
        2 => Granule::K16,
        _ => Granule::K64,
    };
    let level = Ttl::of(field::TTL.of(high), granule);
    let (num, scale) = (field::NUM.u8(low), field::SCALE.u8(low));
    let operand = RangeOperand::of_fields(granule, num, scale, level);
    operand.map(Some).ok_or(Illegal::Range)
}

fn levels(high: u64) -> Levels {
    if field::LEAF.is_set(high) {
        Levels::Leaf
    } else {
        Levels::All
    }
}

fn cfgi_range(stream: StreamId, range: u8) -> Command {
    if range == RANGE_ALL {
        return Command::CfgiAll;
    }
    // The bottom range + 1 bits of the StreamID are ignored.
    let first = StreamId(stream.0 >> range >> 1 << 1 << range);
    Command::CfgiSteRange(first, range)
}

fn atc_scope(low: u64, substream: Option<SubstreamId>) -> AtcScope {
    match substream {
        None => AtcScope::Untagged,
        Some(substream) if field::GLOBAL.is_set(low) => AtcScope::Global(substream),
        Some(substream) => AtcScope::Substream(substream),
    }
}

/// `IHI0070` 4.5.1 lets a size over 52 raise `CERROR_ILL`, and here it does.
fn atc_span(high: u64) -> Result<AlignedSpan, Illegal> {
    let order = field::ATC_SIZE.u8(high);
    let address = Iova::new(high & field::ADDRESS.mask());
    if order > AlignedSpan::ALL {
        return Err(Illegal::AtcSize(order));
    }
    let size = PageSize::from_shift(PageSize::K4.shift() + order);
    let range = size.map_or(AddrRange::all(), |size| AddrRange::page(address, size));
    Ok(AlignedSpan::covering(range))
}

fn response(high: u64) -> Result<PageResponse, Illegal> {
    match field::RESPONSE.of(high) {
        0 => Ok(PageResponse::Failure),
        1 => Ok(PageResponse::Invalid),
        2 => Ok(PageResponse::Success),
        _ => Err(Illegal::Response),
    }
}

/// A retry ignores the abort flag.
fn resume(low: u64) -> Resume {
    if field::ACTION.is_set(low) {
        Resume::Retry
    } else if field::ABORT.is_set(low) {
        Resume::Abort
    } else {
        Resume::Terminate
    }
}

fn signal(low: u64, high: u64) -> Result<Signal, Illegal> {
    let address = high & field::MSI_ADDRESS.mask();
    match field::SIGNAL.of(low) {
        0 => Ok(Signal::None),
        1 => Ok(Signal::Irq(SyncMsi {
            address: (address != 0).then_some(Gpa::new(address)),
            data: field::MSI_DATA.u32(low),
            attributes: field::MSI_ATTRIBUTES.u8(low),
            shareability: field::MSI_SHAREABILITY.u8(low),
        })),
        2 => Ok(Signal::Sev),
        _ => Err(Illegal::Signal),
    }
}
