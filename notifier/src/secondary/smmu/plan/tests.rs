//! The driver's rules, with the kernel's numbers.

use proptest::prelude::*;

use super::super::Granule;
use super::*;
use crate::addr::{Address, PageSize};

const ASID: Asid = Asid(5);
const PER_PAGE: Features = Features {
    granule: Granule::K4,
    range_invalidation: false,
    tlbi_twice: false,
};
const BY_RANGE: Features = Features {
    range_invalidation: true,
    ..PER_PAGE
};

fn pages(first: u64, count: u64) -> AddrRange<Iova> {
    AddrRange::from_length(Iova::new(first << 12), count << 12).unwrap()
}

fn sva(range: AddrRange<Iova>) -> Request<'static> {
    Request {
        range,
        levels: Levels::All,
        tags: &[ASID],
        ats: &[],
    }
}

fn with_ats(range: AddrRange<Iova>) -> Request<'static> {
    Request {
        ats: &[StreamId(1), StreamId(2)],
        ..sva(range)
    }
}

/// The commands of a plan that has one batch.
fn commands(features: Features, request: &Request<'_>) -> Vec<Command> {
    let [batch] = &features.plan(request)[..] else {
        panic!("not one batch");
    };
    let (last, rest) = batch.commands().split_last().unwrap();
    assert_eq!(*last, Command::SYNC);
    rest.to_vec()
}

fn operands(range: AddrRange<Iova>) -> Vec<(u8, u8)> {
    let fields = |command: &Command| match command {
        Command::TlbiVa(tlbi) => tlbi.span.pages.map(|op| (op.num(), op.scale())),
        _ => None,
    };
    commands(BY_RANGE, &sva(range))
        .iter()
        .filter_map(fields)
        .collect()
}

#[test]
fn without_range_commands_each_page_has_its_own() {
    let commands = commands(PER_PAGE, &sva(pages(7, 3)));
    let expected: Vec<_> = (7..10)
        .map(|number| {
            Command::TlbiVa(TlbiVa {
                vmid: Vmid(0),
                asid: ASID,
                span: TlbiSpan::page(Iova::new(number << 12), Levels::All),
            })
        })
        .collect();
    assert_eq!(commands, expected);
}

/// CVE-2023-52484: 26 seconds of page commands for one munmap.
#[test]
fn from_512_pages_on_the_asid_goes() {
    assert_eq!(commands(PER_PAGE, &sva(pages(0, 511))).len(), 511);
    let whole = [Command::TlbiAsid(Vmid(0), ASID)];
    assert_eq!(commands(PER_PAGE, &sva(pages(0, 512))), whole);
    assert_eq!(commands(BY_RANGE, &sva(pages(0, 512))).len(), 1);
    assert!(commands(BY_RANGE, &sva(pages(0, 512)))[0] != whole[0]);
}

#[test]
fn the_threshold_grows_with_the_granule() {
    let limits = [Granule::K4, Granule::K16, Granule::K64].map(max_tlbi_ops);
    assert_eq!(limits, [512, 2048, 8192]);
}

/// `(0, -1UL)`.
#[test]
fn the_whole_address_space_is_the_asid_and_all_of_each_device_tlb() {
    for features in [PER_PAGE, BY_RANGE] {
        let plan = features.plan(&with_ats(AddrRange::all()));
        let [tlbi, atc] = &plan[..] else {
            panic!("{plan:?}");
        };
        assert_eq!(tlbi.commands()[0], Command::TlbiAsid(Vmid(0), ASID));
        let all = AlignedSpan::covering(AddrRange::all());
        assert_eq!(
            atc.commands()[0],
            Command::AtcInv(StreamId(1), AtcScope::Untagged, all)
        );
        assert_eq!(all.order(), 52);
    }
}

#[test]
fn a_single_page_becomes_two_so_that_num_and_scale_are_not_both_zero() {
    assert_eq!(operands(pages(7, 1)), [(0, 1)]);
    assert_eq!(operands(pages(7, 33)), [(16, 1)], "34 = 17 * 2");
    assert_eq!(operands(pages(7, 3)), [(2, 0)], "exactly");
    assert_eq!(operands(pages(7, 32 + 3)), [(2, 0), (0, 5)]);
}

#[test]
fn the_last_page_of_all_takes_its_second_page_from_below() {
    let top = AddrRange::page(Iova::new(u64::MAX), PageSize::K4);
    let [Command::TlbiVa(tlbi)] = commands(BY_RANGE, &sva(top))[..] else {
        panic!("not one command");
    };
    assert!(tlbi.range(Granule::K4).covers(top));
    assert_eq!(tlbi.range(Granule::K4).length(), Some(0x2000));
}

/// What SCALE can't name is not cut short.
#[test]
fn a_range_too_long_for_its_fields_is_the_asid() {
    assert_eq!(operands(pages(0, 1 << 31)), [(0, 31)]);
    let whole = [Command::TlbiAsid(Vmid(0), ASID)];
    assert_eq!(commands(BY_RANGE, &sva(pages(0, 1 << 32))), whole);
    assert_eq!(commands(BY_RANGE, &sva(pages(0, 1 << 32 | 2))), whole);
}

/// The kernel's example: pages 7 to 10 are invalidated as 0 to 15, after the CMD_SYNC of the TLB.
#[test]
fn device_tlbs_come_after_the_tlb_is_done_and_rounded() {
    let plan = PER_PAGE.plan(&with_ats(pages(7, 4)));
    let [tlbi, atc] = &plan[..] else {
        panic!("{plan:?}");
    };
    assert_eq!(tlbi.commands().last(), Some(&Command::SYNC));
    let span = AlignedSpan::covering(pages(7, 4));
    assert_eq!(span.range(), pages(0, 16));
    let expected = [
        Command::AtcInv(StreamId(1), AtcScope::Untagged, span),
        Command::AtcInv(StreamId(2), AtcScope::Untagged, span),
        Command::SYNC,
    ];
    assert_eq!(atc.commands(), expected);
}

/// Tegra264.
#[test]
fn the_erratum_doubles_the_tlb_and_not_the_device_tlb() {
    let twice = Features {
        tlbi_twice: true,
        ..PER_PAGE
    };
    let plan = twice.plan(&with_ats(pages(7, 1)));
    assert_eq!(plan.len(), 3);
    assert_eq!(plan[0], plan[1]);
    assert!(plan[0].commands()[0].is_tlbi());
    assert!(matches!(plan[2].commands()[0], Command::AtcInv(..)));
}

#[test]
fn nothing_to_do_is_no_batch() {
    let request = Request {
        tags: &[],
        ..sva(pages(1, 1))
    };
    assert_eq!(BY_RANGE.plan(&request), []);
}

#[test]
fn every_tag_gets_its_own() {
    let request = Request {
        tags: &[Asid(1), Asid(2)],
        ..sva(AddrRange::all())
    };
    let both = [
        Command::TlbiAsid(Vmid(0), Asid(1)),
        Command::TlbiAsid(Vmid(0), Asid(2)),
    ];
    assert_eq!(commands(BY_RANGE, &request), both);
}

fn any_range() -> impl Strategy<Value = AddrRange<Iova>> {
    let lengths = prop_oneof![1..0x40_0000u64, 1..1u64 << 50, any::<u64>()];
    (any::<u64>(), lengths).prop_map(|(first, length)| {
        let last = first.saturating_add(length.max(1) - 1);
        AddrRange::through(Iova::new(first), Iova::new(last)).unwrap()
    })
}

/// What the TLBI commands cover, if it is one piece.
fn covered(commands: &[Command], granule: Granule) -> Option<AddrRange<Iova>> {
    let mut ranges = commands.iter().map(|command| match command {
        Command::TlbiVa(tlbi) => tlbi.range(granule),
        _ => AddrRange::all(),
    });
    let first = ranges.next()?;
    ranges.try_fold(first, |so_far, next| {
        let adjoins = so_far.last().checked_add(1) == Some(next.start());
        adjoins.then(|| so_far.hull(next))
    })
}

proptest! {
    /// Never less than asked for; at most one page more, unless it is everything; few commands.
    #[test]
    fn a_plan_covers_its_range(
        range in any_range(),
        granule in prop_oneof![Just(Granule::K4), Just(Granule::K16), Just(Granule::K64)],
        range_invalidation in any::<bool>(),
    ) {
        let features = Features { granule, range_invalidation, tlbi_twice: false };
        let commands = commands(features, &sva(range));
        let covered = covered(&commands, granule).unwrap();
        prop_assert!(covered.covers(range));
        if commands != [Command::TlbiAsid(Vmid(0), ASID)] {
            let more = covered.pages(granule.page()) - range.pages(granule.page());
            prop_assert!(more <= u64::from(range_invalidation));
        }
        let limit = if range_invalidation { 7 } else { max_tlbi_ops(granule) };
        prop_assert!((commands.len() as u64) <= limit);
    }
}
