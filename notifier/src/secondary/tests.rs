//! What the SMMU and the shadow MMU keep, and what they do when told.

use std::sync::Arc;

use super::*;
use crate::addr::{Access, AddrRange, Permissions, StreamId};
use crate::contract::{Event, SecondaryTlbSubscriber};
use crate::secondary::smmu::{EndInvalidates, Sva};
use crate::test_space::{ASID, Telling, TestSpace, frame, leaf, page, range};

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;

fn kind<T: std::fmt::Debug>(result: Result<T, Fault>) -> FaultKind {
    result.unwrap_err().kind
}

/// The property that the whole project is about.
#[test]
fn the_smmu_keeps_a_read_only_entry_until_it_is_invalidated() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    space.set(0, Some(leaf(0, RW)), Telling::Nothing);
    for _ in 0..3 {
        assert_eq!(kind(space.dma(0, Access::Write)), FaultKind::Permission);
    }
    space
        .smmu
        .invalidate(ASID, AddrRange::page(page(0), crate::addr::PageSize::K4));
    assert_eq!(space.dma(0, Access::Write), Ok(frame(0)));
}

#[test]
fn the_smmu_keeps_an_entry_that_denied_the_access_it_was_walked_for() {
    let space = TestSpace::new(&[RO]);
    assert_eq!(kind(space.dma(0, Access::Write)), FaultKind::Permission);
    assert_eq!(kind(space.dma(0, Access::Write)), FaultKind::Permission);
    let counts = space.smmu.counts();
    assert_eq!((counts.tlb_misses, counts.tlb_hits), (1, 1));
}

#[test]
fn the_smmu_never_keeps_what_faults_without_a_page() {
    let space = TestSpace::new(&[RO]);
    let old = crate::paging::Leaf {
        accessed: false,
        ..leaf(0, RO)
    };
    assert_eq!(kind(space.dma(1, Access::Read)), FaultKind::Translation);
    space.set(1, Some(leaf(1, RO)), Telling::Nothing);
    assert_eq!(space.dma(1, Access::Read), Ok(frame(1)));

    space.set(0, Some(old), Telling::Nothing);
    assert_eq!(kind(space.dma(0, Access::Read)), FaultKind::AccessFlag);
    space.set(0, Some(leaf(0, RO)), Telling::Nothing);
    assert_eq!(space.dma(0, Access::Read), Ok(frame(0)));
}

#[test]
fn an_unbound_stream_is_refused() {
    let space = TestSpace::new(&[RO]);
    let refused = space
        .smmu
        .access(StreamId(9), page(0), Access::Read, |_| ());
    assert_eq!(kind(refused), FaultKind::Stream);
}

#[test]
fn invalidations_are_counted_with_what_they_found() {
    let space = TestSpace::new(&[RO, RO]);
    for n in 0..2 {
        space.dma(n, Access::Read).unwrap();
    }
    let sva = Sva::new(space.smmu.clone(), ASID);
    sva.invalidate_secondary_tlb(range(0).hull(range(1)));
    sva.invalidate_secondary_tlb(range(0));
    let counts = space.smmu.counts();
    assert_eq!(counts.invalidations, 3, "a command for each page");
    assert_eq!(counts.invalidated_entries, 2);
    assert_eq!(counts.redundant_invalidations, 1);
}

#[test]
fn a_long_range_is_invalidated_as_the_whole_address_space() {
    let space = TestSpace::new(&[RO]);
    let sva = Sva::new(space.smmu.clone(), ASID);
    let elsewhere = |pages: u64| {
        let start = page(1).to_gva();
        AddrRange::from_length(start, pages << 12).unwrap()
    };
    space.dma(0, Access::Read).unwrap();
    sva.invalidate_secondary_tlb(elsewhere(511));
    assert_eq!(space.smmu.counts().invalidated_entries, 0);
    sva.invalidate_secondary_tlb(elsewhere(512));
    assert_eq!(space.smmu.counts().invalidated_entries, 1);
}

#[test]
fn an_end_invalidates_the_smmu_only_where_the_driver_is_of_that_age() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    drop(space.space.mutate().into_window(Event::Unmap, range(0)));
    assert_eq!(space.smmu.counts().invalidations, 0);

    let old_driver = Arc::new(EndInvalidates(Sva::new(space.smmu.clone(), ASID)));
    let _subscription = space.space.register_ranges(old_driver).unwrap();
    let window = space.space.mutate().into_window(Event::Unmap, range(0));
    assert_eq!(space.smmu.counts().invalidations, 0, "not at the start");
    drop(window);
    assert_eq!(space.smmu.counts().invalidated_entries, 1);
}

#[test]
fn an_access_is_made_before_an_invalidation_completes() {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    let space = TestSpace::new(&[RW]);
    let smmu = space.smmu.clone();
    let (done, is_done) = channel();
    let early = space
        .smmu
        .access(crate::test_space::STREAM, page(0), Access::Write, |_| {
            std::thread::spawn(move || {
                smmu.invalidate(ASID, AddrRange::all());
                done.send(()).unwrap();
            });
            is_done.recv_timeout(Duration::from_millis(50)).is_ok()
        });
    assert_eq!(
        early,
        Ok(false),
        "completed while the access was on its way"
    );
    is_done.recv().unwrap();
}

#[test]
fn the_shadow_looks_again_before_it_refuses() {
    let space = TestSpace::new(&[RO]);
    space.shadow_dma(0, Access::Read).unwrap();
    assert_eq!(
        kind(space.shadow_dma(0, Access::Write)),
        FaultKind::Permission
    );
    space.set(0, Some(leaf(0, RW)), Telling::Nothing);
    assert_eq!(space.shadow_dma(0, Access::Write), Ok(frame(0)));
    assert_eq!(space.shadow.counts().zapped, 0);
}

#[test]
fn the_shadow_loses_what_a_start_covers_and_refills_after_the_end() {
    let space = TestSpace::new(&[RO, RO]);
    for n in 0..2 {
        space.shadow_dma(n, Access::Read).unwrap();
    }
    let window = space.space.mutate().into_window(Event::Clear, range(0));
    assert_eq!(space.shadow.counts().zapped, 1);
    assert_eq!(
        kind(space.shadow_dma(0, Access::Read)),
        FaultKind::Invalidating
    );
    assert_eq!(space.shadow_dma(1, Access::Read), Ok(frame(1)));
    drop(window);
    assert_eq!(space.shadow_dma(0, Access::Read), Ok(frame(0)));
}

#[test]
fn overlapping_windows_stay_closed_until_the_last_end() {
    let space = TestSpace::new(&[RO, RO, RO]);
    let first = space.space.mutate().into_window(Event::Clear, range(0));
    let second = space.space.mutate().into_window(Event::Clear, range(2));
    drop(first);
    let between = kind(space.shadow_dma(1, Access::Read));
    assert_eq!(between, FaultKind::Invalidating, "the merged range");
    drop(second);
    assert_eq!(space.shadow_dma(1, Access::Read), Ok(frame(1)));
}
