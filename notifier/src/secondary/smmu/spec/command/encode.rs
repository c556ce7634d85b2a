//! From a command to its two words.

use super::*;
use crate::addr::Address;
use crate::secondary::smmu::Granule;

impl Command {
    /// The command's two words, little-endian in memory, the first at the lower address. Fields
    /// wider than their place in the encoding are cut.
    pub fn encode(&self) -> [u64; 2] {
        match *self {
            Self::PrefetchConfig(stream, substream) => {
                [opcode::PREFETCH_CONFIG | tagged(stream, substream), 0]
            }
            Self::PrefetchAddr(prefetch) => encode_prefetch(&prefetch),
            Self::CfgiSte(stream, levels) => [opcode::CFGI_STE | sid(stream), leaf(levels)],
            Self::CfgiSteRange(stream, range) => [
                opcode::CFGI_STE_RANGE | sid(stream),
                field::RANGE.put(u64::from(range)),
            ],
            Self::CfgiAll => [
                opcode::CFGI_STE_RANGE,
                field::RANGE.put(u64::from(RANGE_ALL)),
            ],
            Self::CfgiCd(stream, substream, levels) => [
                opcode::CFGI_CD | sid(stream) | ssid(substream),
                leaf(levels),
            ],
            Self::CfgiCdAll(stream) => [opcode::CFGI_CD_ALL | sid(stream), 0],
            Self::AtcInv(stream, scope, span) => encode_atc_inv(stream, scope, span),
            Self::PriResp(response) => encode_pri_resp(&response),
            Self::Resume(stream, stag, resume) => [
                opcode::RESUME | sid(stream) | encode_resume(resume),
                field::STAG.put(u64::from(stag.0)),
            ],
            Self::StallTerm(stream) => [opcode::STALL_TERM | sid(stream), 0],
            Self::Sync(signal) => encode_sync(signal),
            _ => self.encode_tlbi(),
        }
    }

    fn encode_tlbi(&self) -> [u64; 2] {
        match *self {
            Self::TlbiAll(vmid) => [opcode::TLBI_NH_ALL | vm(vmid), 0],
            Self::TlbiAsid(vmid, asid) => [opcode::TLBI_NH_ASID | vm(vmid) | tag(asid), 0],
            Self::TlbiVa(TlbiVa { vmid, asid, span }) => {
                with_span(opcode::TLBI_NH_VA | vm(vmid) | tag(asid), &span)
            }
            Self::TlbiVaa(vmid, span) => with_span(opcode::TLBI_NH_VAA | vm(vmid), &span),
            Self::TlbiEl2All => [opcode::TLBI_EL2_ALL, 0],
            Self::TlbiEl2Asid(asid) => [opcode::TLBI_EL2_ASID | tag(asid), 0],
            Self::TlbiEl2Va(asid, span) => with_span(opcode::TLBI_EL2_VA | tag(asid), &span),
            Self::TlbiEl2Vaa(span) => with_span(opcode::TLBI_EL2_VAA, &span),
            Self::TlbiVmall(vmid) => [opcode::TLBI_S12_VMALL | vm(vmid), 0],
            Self::TlbiIpa(vmid, span) => with_span(opcode::TLBI_S2_IPA | vm(vmid), &span),
            _ => [opcode::TLBI_NSNH_ALL, 0],
        }
    }
}

fn sid(stream: StreamId) -> u64 {
    field::STREAM.put(u64::from(stream.0))
}

fn ssid(substream: SubstreamId) -> u64 {
    field::SUBSTREAM.put(u64::from(substream.0))
}

fn tagged(stream: StreamId, substream: Option<SubstreamId>) -> u64 {
    let tag = substream.map_or(0, |substream| field::SSV.mask() | ssid(substream));
    sid(stream) | tag
}

fn vm(vmid: Vmid) -> u64 {
    field::VMID.put(u64::from(vmid.0))
}

fn tag(asid: Asid) -> u64 {
    field::ASID.put(u64::from(asid.0))
}

fn leaf(levels: Levels) -> u64 {
    field::LEAF.flag(levels == Levels::Leaf)
}

fn with_span<A: Address>(low: u64, span: &TlbiSpan<A>) -> [u64; 2] {
    let high = span.address.raw() & field::ADDRESS.mask() | leaf(span.levels);
    let Some(pages) = span.pages else {
        return [low, high];
    };
    let count = field::NUM.put(u64::from(pages.num())) | field::SCALE.put(u64::from(pages.scale()));
    let level = field::TTL.put(pages.level().map_or(0, Ttl::field));
    [
        low | count,
        high | level | field::GRANULE.put(granule_field(pages.granule())),
    ]
}

fn encode_prefetch(prefetch: &Prefetch) -> [u64; 2] {
    let shape = field::PREFETCH_SIZE.put(u64::from(prefetch.size))
        | field::PREFETCH_STRIDE.put(u64::from(prefetch.stride));
    [
        opcode::PREFETCH_ADDR | tagged(prefetch.stream, prefetch.substream),
        prefetch.address.raw() & field::ADDRESS.mask() | shape,
    ]
}

fn encode_atc_inv(stream: StreamId, scope: AtcScope, span: AlignedSpan) -> [u64; 2] {
    let tag = match scope {
        AtcScope::Untagged => 0,
        AtcScope::Substream(substream) => field::SSV.mask() | ssid(substream),
        AtcScope::Global(substream) => field::SSV.mask() | field::GLOBAL.mask() | ssid(substream),
    };
    [
        opcode::ATC_INV | sid(stream) | tag,
        span.start().raw() | field::ATC_SIZE.put(u64::from(span.order())),
    ]
}

fn encode_pri_resp(response: &PriResp) -> [u64; 2] {
    let answer = match response.response {
        PageResponse::Failure => 0,
        PageResponse::Invalid => 1,
        PageResponse::Success => 2,
    };
    [
        opcode::PRI_RESP | tagged(response.stream, response.substream),
        field::GROUP.put(u64::from(response.group)) | field::RESPONSE.put(answer),
    ]
}

fn encode_resume(resume: Resume) -> u64 {
    match resume {
        Resume::Retry => field::ACTION.mask(),
        Resume::Terminate => 0,
        Resume::Abort => field::ABORT.mask(),
    }
}

fn encode_sync(signal: Signal) -> [u64; 2] {
    match signal {
        Signal::None => [opcode::SYNC, 0],
        Signal::Sev => [opcode::SYNC | field::SIGNAL.put(2), 0],
        Signal::Irq(msi) => [
            opcode::SYNC
                | field::SIGNAL.put(1)
                | field::MSI_SHAREABILITY.put(u64::from(msi.shareability))
                | field::MSI_ATTRIBUTES.put(u64::from(msi.attributes))
                | field::MSI_DATA.put(u64::from(msi.data)),
            msi.address.map_or(0, Gpa::raw) & field::MSI_ADDRESS.mask(),
        ],
    }
}

/// TG of a command: 1, 2, 3 for 4, 16, 64 KiB (`IHI0070` 4.4.1).
fn granule_field(granule: Granule) -> u64 {
    match granule {
        Granule::K4 => 1,
        Granule::K16 => 2,
        Granule::K64 => 3,
    }
}
