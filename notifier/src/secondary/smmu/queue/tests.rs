//! When a command takes effect.

use super::super::{Features, Knobs, Levels, Racing, RangeOperand, Request, TlbiSpan, TlbiVa, Ttl};
use super::*;
use crate::addr::PageSize;
use crate::addr::{Access, Permissions, Vmid};
use crate::oracle::Verdict;
use crate::secondary::cache::{Inserted, SpaceKey, SpaceTag, StreamWorld};
use crate::secondary::smmu::{Context, Granule};
use crate::test_space::{ASID, STREAM, Telling, TestSpace, frame, leaf, page, range};

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;

fn page_of(n: u64) -> Command {
    Command::TlbiVa(TlbiVa {
        vmid: Vmid(0),
        asid: ASID,
        span: TlbiSpan::page(page(n), Levels::All),
    })
}

fn upgraded_behind_its_back() -> TestSpace {
    let space = TestSpace::bare(&[RO, RO]);
    for n in 0..2 {
        space.dma(n, Access::Read).unwrap();
        space.set(n, Some(leaf(n, RW)), Telling::Nothing);
    }
    space
}

#[test]
fn a_command_takes_effect_at_the_sync_and_not_before() {
    let space = upgraded_behind_its_back();
    space.smmu.submit(page_of(0));
    space.dma(0, Access::Write).unwrap_err();
    assert_eq!(space.smmu.counts().invalidations, 0);
    space.smmu.submit(Command::SYNC);
    assert_eq!(space.dma(0, Access::Write), Ok(frame(0)));
    space.dma(1, Access::Write).unwrap_err();
}

#[test]
fn one_sync_completes_everything_before_it() {
    let space = upgraded_behind_its_back();
    space.smmu.submit(page_of(0));
    space.smmu.submit(page_of(1));
    space.smmu.sync().unwrap();
    for n in 0..2 {
        assert_eq!(space.dma(n, Access::Write), Ok(frame(n)));
    }
    assert_eq!(space.smmu.pending(), []);
}

#[test]
fn hardware_may_carry_out_the_later_command_first() {
    let space = upgraded_behind_its_back();
    space.smmu.submit(page_of(0));
    space.smmu.submit(page_of(1));
    assert_eq!(space.smmu.carry_out(1), Some(page_of(1)));
    space.dma(0, Access::Write).unwrap_err();
    assert_eq!(space.dma(1, Access::Write), Ok(frame(1)));
    assert_eq!(space.smmu.pending(), [page_of(0)]);
    assert_eq!(space.smmu.carry_out(1), None);
}

#[test]
fn a_whole_asid_is_one_command() {
    let space = upgraded_behind_its_back();
    space.smmu.submit(Command::TlbiAsid(Vmid(0), ASID));
    space.smmu.sync().unwrap();
    let counts = space.smmu.counts();
    assert_eq!((counts.invalidations, counts.invalidated_entries), (1, 2));
}

#[test]
fn a_range_command_drops_its_pages_and_no_others() {
    let space = TestSpace::bare(&[RO; 5]);
    for n in 0..5 {
        space.dma(n, Access::Read).unwrap();
    }
    let three = RangeOperand::new(Granule::K4, 3, 0);
    space.smmu.submit(Command::TlbiVa(TlbiVa {
        vmid: Vmid(0),
        asid: ASID,
        span: TlbiSpan {
            address: page(1),
            levels: Levels::All,
            pages: three,
        },
    }));
    space.smmu.sync().unwrap();
    assert_eq!(space.smmu.counts().invalidated_entries, 3);
    let misses = space.smmu.counts().tlb_misses;
    for n in [0, 4] {
        space.dma(n, Access::Read).unwrap();
    }
    assert_eq!(space.smmu.counts().tlb_misses, misses);
}

/// Carries out a plan for page 0 while the device writes between every two commands.
fn under_traffic(smmu: &Smmu, features: Features) {
    let request = Request {
        range: range(0).map(Iova::shared),
        levels: Levels::All,
        tags: &[ASID],
        ats: &[STREAM],
    };
    for batch in features.plan(&request) {
        for command in batch.commands() {
            smmu.submit(*command);
            let _ = smmu.access(STREAM, page(0), Access::Read, |_| ());
        }
    }
}

fn racing() -> Knobs {
    Knobs {
        racing: Racing::Survives,
        ..Knobs::default()
    }
}

/// Case 19.
fn verdict_with_the_erratum(tlbi_twice: bool) -> (Verdict, u64) {
    let space = TestSpace::bare(&[RO]);
    let smmu = space.another_smmu();
    let smmu = smmu.with_knobs(racing());
    let context = Context {
        asid: ASID,
        root: space.root,
        format: space.format.clone(),
    };
    smmu.attach(STREAM, context);
    smmu.access(STREAM, page(0), Access::Read, |_| ()).unwrap();
    space.set(0, Some(leaf(0, RW)), Telling::Nothing);
    let features = Features {
        tlbi_twice,
        ..Features::default()
    };
    under_traffic(&smmu, features);
    let _ = smmu.access(STREAM, page(0), Access::Write, |_| ());
    let verdict = space.oracle.findings().verdict();
    (verdict, smmu.counts().atc_invalidations)
}

#[test]
fn with_the_erratum_one_invalidation_misses_a_racing_entry_and_two_do_not() {
    assert_eq!(verdict_with_the_erratum(false), (Verdict::Violation, 1));
    assert_eq!(verdict_with_the_erratum(true), (Verdict::Coherent, 1));
}

#[test]
fn with_the_erratum_an_entry_nobody_races_for_goes_at_once() {
    let space = TestSpace::bare(&[RO]);
    let smmu = space.another_smmu();
    let smmu = smmu.with_knobs(racing());
    let context = Context {
        asid: ASID,
        root: space.root,
        format: space.format.clone(),
    };
    smmu.attach(STREAM, context);
    smmu.access(STREAM, page(0), Access::Read, |_| ()).unwrap();
    smmu.submit(page_of(0));
    smmu.sync().unwrap();
    assert_eq!(smmu.counts().invalidated_entries, 1);
}

/// The TTL hint: hardware need not look at other levels, and this does not.
#[test]
fn a_range_command_for_the_last_level_leaves_larger_pages() {
    let space = TestSpace::bare(&[RO]);
    let block = crate::paging::Leaf {
        size: PageSize::M2,
        ..leaf(0, RO)
    };
    let tlb = &space.smmu.tlb;
    let own = tlb.space(SpaceKey {
        world: StreamWorld::NsEl1,
        vmid: Some(Vmid(0)),
        tag: SpaceTag::Asid(ASID),
    });
    let ticket = tlb.fill_began(&own);
    let held = AddrRange::page(page(0), PageSize::M2);
    let kept = tlb.insert(&own, ticket, held, block, crate::contract::Step(1));
    assert_eq!(kept, Inserted::Kept);
    let two = RangeOperand::new(Granule::K4, 2, 0);
    let range = |levels| {
        Command::TlbiVa(TlbiVa {
            vmid: Vmid(0),
            asid: ASID,
            span: TlbiSpan {
                address: page(0),
                levels,
                pages: match levels {
                    Levels::All => two,
                    Levels::Leaf => two.and_then(|two| two.at(Ttl::Level3)),
                },
            },
        })
    };
    for (levels, dropped) in [(Levels::Leaf, 0), (Levels::All, 1)] {
        space.smmu.submit(range(levels));
        space.smmu.sync().unwrap();
        assert_eq!(space.smmu.counts().invalidated_entries, dropped);
    }
}
