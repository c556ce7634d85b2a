//! The list's order, its users, and who is flushed.

use super::super::{Command, Features};
use super::*;
use crate::paging::FlatMemory;

fn smmu() -> Arc<Smmu> {
    let memory = Arc::new(FlatMemory::new(0x1000));
    Arc::new(Smmu::new(16, memory, Arc::new(())))
}

fn tag(smmu: &Arc<Smmu>, asid: u16) -> Inv {
    Inv::new(Arc::clone(smmu), Target::Tag(Asid(asid)))
}

fn ats(smmu: &Arc<Smmu>, stream: u32) -> Inv {
    Inv::new(Arc::clone(smmu), Target::Ats(StreamId(stream)))
}

fn targets(invs: &Invs) -> Vec<Target> {
    invs.iter().map(Inv::target).collect()
}

#[test]
fn places_are_sorted_with_tags_before_device_tlbs() {
    let smmu = smmu();
    let mut invs = Invs::default();
    invs.merge([ats(&smmu, 2), tag(&smmu, 9), ats(&smmu, 1), tag(&smmu, 3)]);
    let sorted = [
        Target::Tag(Asid(3)),
        Target::Tag(Asid(9)),
        Target::Ats(StreamId(1)),
        Target::Ats(StreamId(2)),
    ];
    assert_eq!(targets(&invs), sorted);
}

#[test]
fn places_of_one_smmu_stay_together() {
    let smmus = [smmu(), smmu(), smmu()];
    let mut invs = Invs::default();
    invs.merge(smmus.iter().map(|smmu| ats(smmu, 1)));
    invs.merge(smmus.iter().map(|smmu| tag(smmu, 1)));
    let owners: Vec<_> = invs.iter().map(|inv| Arc::as_ptr(inv.smmu())).collect();
    let mut distinct = owners.clone();
    distinct.dedup();
    assert_eq!((owners.len(), distinct.len()), (6, 3));
}

#[test]
fn a_place_goes_with_its_last_user() {
    let smmu = smmu();
    let mut invs = Invs::default();
    invs.merge([tag(&smmu, 1), ats(&smmu, 1)]);
    invs.merge([tag(&smmu, 1), ats(&smmu, 2)]);
    let gone = invs.unref([tag(&smmu, 1), ats(&smmu, 1)]);
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].target(), Target::Ats(StreamId(1)));
    let gone = invs.unref([tag(&smmu, 1), ats(&smmu, 2)]);
    assert_eq!(gone.len(), 2);
    assert_eq!(targets(&invs), []);
}

#[test]
fn a_place_that_is_not_listed_has_no_user_to_lose() {
    let smmu = smmu();
    let mut invs = Invs::default();
    invs.merge([tag(&smmu, 1)]);
    assert_eq!(invs.unref([tag(&smmu, 2)]).len(), 0);
    assert!(invs.contains(&tag(&smmu, 1)));
}

/// Case 36: both SMMUs, each by what it can do; and no other tag.
#[test]
fn every_smmu_gets_its_own_commands() {
    let by_range = Features {
        range_invalidation: true,
        ..Features::default()
    };
    let memory = Arc::new(FlatMemory::new(0x1000));
    let ranged = Arc::new(Smmu::new(16, memory, Arc::new(())).with_features(by_range));
    let paged = smmu();
    let mut invs = Invs::default();
    invs.merge([tag(&ranged, 1), tag(&paged, 1), ats(&paged, 4)]);
    let range = AddrRange::from_length(Iova::new(0x7000), 0x4000).unwrap();
    invs.invalidate(range, Levels::All);
    let counts = [&ranged, &paged].map(|smmu| smmu.counts());
    assert_eq!(counts.map(|counts| counts.invalidations), [1, 4]);
    assert_eq!(counts.map(|counts| counts.atc_invalidations), [0, 1]);
}

#[test]
fn a_flush_is_one_command_and_it_is_complete() {
    let smmu = smmu();
    tag(&smmu, 1).flush();
    ats(&smmu, 1).flush();
    let counts = smmu.counts();
    assert_eq!((counts.invalidations, counts.atc_invalidations), (1, 1));
    assert_eq!(smmu.pending(), Vec::<Command>::new());
}
