//! Every command there and back, and any bytes at all.

use proptest::prelude::*;

use super::*;
use crate::addr::{AddrRange, Address, PageSize};
use crate::secondary::smmu::Granule;

const STREAM: StreamId = StreamId(0x89ab_cdef);
const SUBSTREAM: SubstreamId = SubstreamId(0xf_1234);

fn tlbi(levels: Levels, pages: Option<RangeOperand>) -> Command {
    Command::TlbiVa(TlbiVa {
        vmid: Vmid(0),
        asid: Asid(0xabcd),
        span: TlbiSpan {
            address: Iova::new(0x1234_5000),
            levels,
            pages,
        },
    })
}

/// Field by field, by the masks of Linux's `arm-smmu-v3.h`.
#[test]
fn fields_are_where_the_specification_has_them() {
    let page = tlbi(Levels::All, None).encode();
    assert_eq!(page, [0xabcd_0000_0000_0012, 0x1234_5000]);
    let operand = RangeOperand::new(Granule::K64, 31, 5).unwrap();
    let range = tlbi(Levels::All, Some(operand)).encode();
    assert_eq!(range[0], 0xabcd << 48 | 5 << 20 | 30 << 12 | 0x12);
    assert_eq!(range[1], 0x1234_5000 | 3 << 10);
    let leaf = tlbi(Levels::Leaf, operand.at(Ttl::Level3)).encode();
    assert_eq!(leaf[1], 0x1234_5000 | 3 << 10 | 3 << 8 | 1);
    let leaf_page = tlbi(Levels::Leaf, None).encode();
    assert_eq!(leaf_page[1], 0x1234_5000 | 1, "no TTL without TG");
    let asid = Command::TlbiAsid(Vmid(5), Asid(7));
    assert_eq!(asid.encode(), [7 << 48 | 5 << 32 | 0x11, 0]);
    assert_eq!(Command::SYNC.encode(), [0x46, 0]);
}

#[test]
fn a_device_tlb_invalidation_carries_address_and_order() {
    let range = AddrRange::new(Iova::new(0x7000), Iova::new(0xb000)).unwrap();
    let inv = |scope, range| Command::AtcInv(StreamId(9), scope, AlignedSpan::covering(range));
    let some = inv(AtcScope::Untagged, range);
    assert_eq!(some.encode(), [9 << 32 | 0x40, 4]);
    let all = inv(AtcScope::Global(SubstreamId(3)), AddrRange::all());
    assert_eq!(
        all.encode(),
        [9 << 32 | 3 << 12 | 1 << 11 | 1 << 9 | 0x40, 52]
    );
}

/// The words as a driver writes them, by the masks of Linux's `arm-smmu-v3.h`.
#[test]
fn what_is_not_of_the_tlb_is_where_the_specification_has_it() {
    let stream = 0x89ab_cdef << 32;
    let words = |command: Command| command.encode();
    let ste = Command::CfgiSte(STREAM, Levels::Leaf);
    assert_eq!(words(ste), [stream | 0x03, 1]);
    assert_eq!(words(Command::CfgiAll), [0x04, 31]);
    let cd = Command::CfgiCd(STREAM, SUBSTREAM, Levels::All);
    assert_eq!(words(cd), [stream | 0xf123_4005, 0]);
    let response = Command::PriResp(PriResp {
        stream: STREAM,
        substream: Some(SUBSTREAM),
        group: 0x1ff,
        response: PageResponse::Success,
    });
    assert_eq!(words(response), [stream | 0xf123_4841, 0x21ff]);
    let resume = |resume| Command::Resume(STREAM, Stag(0xbeef), resume);
    assert_eq!(words(resume(Resume::Retry)), [stream | 0x1044, 0xbeef]);
    assert_eq!(words(resume(Resume::Abort)), [stream | 0x2044, 0xbeef]);
    let sync = Command::Sync(Signal::Irq(SyncMsi {
        address: Some(Gpa::new(0x8_0004)),
        data: 0x1234,
        attributes: 0xf,
        shareability: 3,
    }));
    assert_eq!(words(sync), [0x1234 << 32 | 0x0fc0_1046, 0x8_0004]);
    let prefetch = Command::PrefetchAddr(Prefetch {
        stream: STREAM,
        substream: None,
        address: Iova::new(0x7000),
        size: 3,
        stride: 2,
    });
    assert_eq!(words(prefetch), [stream | 0x02, 0x7043]);
}

#[test]
fn what_is_reserved_is_illegal() {
    let refused = |low, high| Command::decode([low, high]).unwrap_err();
    for opcode in [0x00u8, 0x07, 0x18, 0x50, 0x70, 0x80, 0xff] {
        assert_eq!(refused(u64::from(opcode), 0), Illegal::Opcode(opcode));
    }
    assert_eq!(refused(0x03 | 1 << 10, 0), Illegal::Secure(3));
    assert_eq!(refused(0x12, 1 << 10), Illegal::Range, "TG alone");
    assert_eq!(
        refused(0x12, 2 << 10 | 1 << 8),
        Illegal::Range,
        "16K level 1"
    );
    assert_eq!(refused(0x40, 53), Illegal::AtcSize(53));
    assert_eq!(refused(0x41, 3 << 12), Illegal::Response);
    assert_eq!(refused(0x46 | 3 << 12, 0), Illegal::Signal);
}

/// Where they are in a command that has no such field, SSec and others are ignored.
#[test]
fn reserved_bits_are_ignored() {
    let all_but_fields = Command::decode([0x46 | 1 << 10, 0]);
    assert_eq!(all_but_fields, Ok(Command::SYNC));
    let range = Command::decode([0x04 | 0x37 << 32, 4]);
    assert_eq!(range, Ok(Command::CfgiSteRange(StreamId(0x20), 4)));
    let without_granule = Command::decode([0x12 | 31 << 12 | 31 << 20, 3 << 8]);
    let Ok(Command::TlbiVa(tlbi)) = without_granule else {
        panic!("{without_granule:?}");
    };
    assert_eq!(tlbi.span.pages, None);
}

#[test]
fn no_operand_has_all_fields_zero() {
    assert_eq!(RangeOperand::new(Granule::K4, 0, 1), None);
    assert_eq!(RangeOperand::new(Granule::K4, 1, 0), None);
    assert_eq!(RangeOperand::new(Granule::K4, 32, 0), None);
    assert_eq!(RangeOperand::new(Granule::K4, 1, 32), None);
    let largest = RangeOperand::new(Granule::K4, 31, 31).unwrap();
    assert_eq!(largest.pages(), 31 << 31);
    assert_eq!(
        RangeOperand::new(Granule::K16, 2, 0)
            .unwrap()
            .at(Ttl::Level1),
        None
    );
}

#[test]
fn a_level_is_a_size() {
    let size = |level: Ttl, granule| level.size(granule).map(PageSize::shift);
    assert_eq!(size(Ttl::Level1, Granule::K4), Some(30));
    assert_eq!(size(Ttl::Level2, Granule::K4), Some(21));
    assert_eq!(size(Ttl::Level2, Granule::K16), Some(25));
    assert_eq!(size(Ttl::Level1, Granule::K64), Some(42));
    assert_eq!(size(Ttl::Level3, Granule::K64), Some(16));
}

#[test]
fn a_range_past_the_top_ends_there() {
    let address = Iova::new(u64::MAX - 0x1fff);
    let span = TlbiSpan {
        address,
        levels: Levels::All,
        pages: RangeOperand::new(Granule::K4, 3, 0),
    };
    let range = span.range(Granule::K4);
    assert_eq!(
        (range.start(), range.last()),
        (address, Iova::new(u64::MAX))
    );
}

fn substream() -> impl Strategy<Value = SubstreamId> {
    (0..1u32 << 20).prop_map(SubstreamId)
}

fn levels() -> impl Strategy<Value = Levels> {
    prop_oneof![Just(Levels::All), Just(Levels::Leaf)]
}

fn span<A: Address>(mask: u64) -> impl Strategy<Value = TlbiSpan<A>> {
    let granule = prop_oneof![Just(Granule::K4), Just(Granule::K16), Just(Granule::K64)];
    let level = prop_oneof![
        Just(None),
        Just(Some(Ttl::Level1)),
        Just(Some(Ttl::Level2)),
        Just(Some(Ttl::Level3))
    ];
    let pages =
        (granule, 1..32u64, 0..32u32, level).prop_map(|(granule, multiplier, scale, level)| {
            let operand = RangeOperand::new(granule, multiplier, scale)?;
            level.map_or(Some(operand), |level| operand.at(level))
        });
    (any::<u64>(), levels(), prop_oneof![Just(None), pages]).prop_map(
        move |(address, levels, pages)| TlbiSpan {
            address: A::new(address & mask),
            levels,
            pages,
        },
    )
}

fn signal() -> impl Strategy<Value = Signal> {
    let msi = (any::<u64>(), any::<u32>(), 0..16u8, 0..4u8).prop_map(
        |(address, data, attributes, shareability)| {
            let address = address & 0x00ff_ffff_ffff_fffc;
            Signal::Irq(SyncMsi {
                address: (address != 0).then_some(Gpa::new(address)),
                data,
                attributes,
                shareability,
            })
        },
    );
    prop_oneof![Just(Signal::None), Just(Signal::Sev), msi]
}

fn configuration() -> impl Strategy<Value = Command> {
    let stream = any::<u32>().prop_map(StreamId);
    let maybe = proptest::option::of(substream());
    let prefetch = (stream, maybe, any::<u64>(), 0..32u8, 0..32u8);
    let stream = any::<u32>().prop_map(StreamId);
    prop_oneof![
        prefetch.prop_map(|(stream, substream, address, size, stride)| {
            let address = Iova::new(address & !0xfff);
            Command::PrefetchAddr(Prefetch {
                stream,
                substream,
                address,
                size,
                stride,
            })
        }),
        (stream, substream(), levels(), 0..31u8, 0..5u8).prop_map(
            |(stream, substream, levels, range, which)| match which {
                0 => Command::CfgiSte(stream, levels),
                1 => Command::CfgiSteRange(StreamId(stream.0 >> range >> 1 << 1 << range), range),
                2 => Command::CfgiCd(stream, substream, levels),
                3 => Command::CfgiCdAll(stream),
                _ => Command::PrefetchConfig(stream, Some(substream)),
            }
        ),
        Just(Command::CfgiAll),
    ]
}

fn invalidation() -> impl Strategy<Value = Command> {
    let tags = (any::<u16>().prop_map(Vmid), any::<u16>().prop_map(Asid));
    let va = span::<Iova>(!0xfff);
    let ipa = span::<Ipa>(0x00ff_ffff_ffff_f000);
    (tags, va, ipa, 0..11u8).prop_map(|((vmid, asid), span, ipa, which)| match which {
        0 => Command::TlbiAll(vmid),
        1 => Command::TlbiAsid(vmid, asid),
        2 => Command::TlbiVa(TlbiVa { vmid, asid, span }),
        3 => Command::TlbiVaa(vmid, span),
        4 => Command::TlbiEl2All,
        5 => Command::TlbiEl2Asid(asid),
        6 => Command::TlbiEl2Va(asid, span),
        7 => Command::TlbiEl2Vaa(span),
        8 => Command::TlbiVmall(vmid),
        9 => Command::TlbiIpa(vmid, ipa),
        _ => Command::TlbiNsnhAll,
    })
}

fn other() -> impl Strategy<Value = Command> {
    let range = (any::<u64>(), 0..1u64 << 40).prop_map(|(start, beyond)| {
        let start = Iova::new(start);
        AddrRange::through(start, Iova::new(start.raw().saturating_add(beyond))).unwrap()
    });
    let ids = (any::<u32>().prop_map(StreamId), substream(), any::<u16>());
    (ids, range, signal(), 0..11u8).prop_map(
        |((stream, substream, number), range, signal, which)| {
            let span = AlignedSpan::covering(range);
            let answer = |substream, response| {
                let group = number & 0x1ff;
                Command::PriResp(PriResp {
                    stream,
                    substream,
                    group,
                    response,
                })
            };
            match which {
                0 => Command::AtcInv(stream, AtcScope::Untagged, span),
                1 => Command::AtcInv(stream, AtcScope::Substream(substream), span),
                2 => Command::AtcInv(stream, AtcScope::Global(substream), span),
                3 => answer(None, PageResponse::Failure),
                4 => answer(Some(substream), PageResponse::Invalid),
                5 => answer(None, PageResponse::Success),
                6 => Command::Resume(stream, Stag(number), Resume::Retry),
                7 => Command::Resume(stream, Stag(number), Resume::Terminate),
                8 => Command::Resume(stream, Stag(number), Resume::Abort),
                9 => Command::StallTerm(stream),
                _ => Command::Sync(signal),
            }
        },
    )
}

proptest! {
    #[test]
    fn every_command_comes_back(command in prop_oneof![configuration(), invalidation(), other()]) {
        prop_assert_eq!(Command::decode(command.encode()), Ok(command));
    }

    /// Whatever bytes are a command, encoding keeps all of them that mean anything.
    #[test]
    fn any_bytes_are_a_command_or_are_not(low in any::<u64>(), opcode in any::<u8>(), high in any::<u64>()) {
        let low = low & !0xff | u64::from(opcode);
        if let Ok(command) = Command::decode([low, high]) {
            prop_assert_eq!(Command::decode(command.encode()), Ok(command));
            let _ = command.to_string();
        }
    }
}
