//! Attaching, detaching and the end of an address space, with a device that is never quiet.

use super::*;
use crate::addr::{Access, Permissions};
use crate::oracle::Verdict;
use crate::secondary::atc::Atc;
use crate::secondary::{Fault, FaultKind};
use crate::test_space::{STREAM, Telling, TestSpace, frame, leaf, page, range};

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;
const OTHER: StreamId = StreamId(7);

/// An address space, a domain for it that is told of changes, and an SMMU with nothing bound.
struct Bench {
    space: TestSpace,
    asids: Arc<Asids>,
    domain: Domain,
    smmu: Arc<Smmu>,
}

impl Bench {
    fn new(pages: &[Permissions]) -> Self {
        let mut space = TestSpace::bare(pages);
        let asids = Arc::new(Asids::new(Asid(9)));
        let domain = Domain::new(asids.clone(), space.root, space.format.clone()).unwrap();
        space.follow(Arc::new(domain.subscriber()));
        let smmu = Arc::new(space.another_smmu());
        Self {
            space,
            asids,
            domain,
            smmu,
        }
    }

    fn master(&self, stream: StreamId, ats: bool) -> Master {
        let smmu = self.smmu.clone();
        Master { smmu, stream, ats }
    }

    fn attach(&self, stream: StreamId, ats: bool) -> Master {
        let master = self.master(stream, ats);
        self.domain.list(master.clone()).install();
        master
    }

    fn another_domain(&self) -> Domain {
        let (root, format) = (self.space.root, self.space.format.clone());
        Domain::new(self.asids.clone(), root, format).unwrap()
    }

    fn atc(&self) -> Arc<Atc> {
        Atc::connect(self.smmu.clone(), STREAM, 64, self.space.oracle.clone())
    }

    fn dma(&self, n: u64, access: Access) -> Result<Gpa, Fault> {
        self.smmu.access(STREAM, page(n), access, |target| target)
    }

    fn upgrade(&self) {
        self.space.set(0, Some(leaf(0, RW)), Telling::SecondaryTlb);
    }

    fn verdict(&self) -> Verdict {
        self.space.oracle.findings().verdict()
    }
}

/// Case 63: wherever the change falls, the device reads before and writes after it.
#[test]
fn a_change_anywhere_in_an_attach_reaches_the_device() {
    for change_at in 0..3 {
        let bench = Bench::new(&[RO]);
        let at = |step| {
            let _ = bench.dma(0, Access::Read);
            if step == change_at {
                bench.upgrade();
            }
        };
        at(0);
        let listed = bench.domain.list(bench.master(STREAM, false));
        at(1);
        let _ = listed.install();
        at(2);
        assert_eq!(bench.dma(0, Access::Write), Ok(frame(0)), "{change_at}");
        assert_eq!(bench.verdict(), Verdict::Coherent);
    }
}

/// Case 63, the wrong way round; only by going behind the domain's back can it be written.
#[test]
fn a_stream_installed_before_it_is_listed_misses_a_change() {
    let bench = Bench::new(&[RO]);
    let context = Context {
        asid: bench.domain.asid(),
        root: bench.space.root,
        format: bench.space.format.clone(),
    };
    bench.smmu.attach(STREAM, context);
    bench.dma(0, Access::Read).unwrap();
    bench.upgrade();
    bench.domain.list(bench.master(STREAM, false)).install();
    bench.dma(0, Access::Write).unwrap_err();
    assert_eq!(bench.verdict(), Verdict::Violation);
}

/// Case 64.
#[test]
fn a_tag_is_flushed_when_its_last_stream_leaves() {
    let bench = Bench::new(&[RO]);
    let (one, other) = (bench.attach(STREAM, false), bench.attach(OTHER, false));
    bench.dma(0, Access::Read).unwrap();
    bench.domain.detach(&other);
    assert_eq!(bench.smmu.counts().invalidations, 0, "still in use");
    bench.domain.detach(&one);
    assert_eq!(bench.smmu.counts().invalidated_entries, 1);
    let tag = Inv::new(bench.smmu.clone(), Target::Tag(bench.domain.asid()));
    assert!(!bench.domain.lists(&tag));
}

#[test]
fn a_detached_stream_is_refused() {
    let bench = Bench::new(&[RO]);
    let master = bench.attach(STREAM, false);
    bench.domain.detach(&master);
    let fault = bench.dma(0, Access::Read).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Stream);
}

/// A device TLB needs no SMMU to go on using what it has.
#[test]
fn a_device_tlb_is_flushed_when_its_stream_leaves() {
    let bench = Bench::new(&[RO]);
    let atc = bench.atc();
    let (master, _stays) = (bench.attach(STREAM, true), bench.attach(OTHER, false));
    atc.access(page(0), Access::Read, |_| ()).unwrap();
    bench.domain.detach(&master);
    assert_eq!(atc.counts().invalidated_entries, 1);
    let fault = atc.access(page(0), Access::Read, |_| ()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Stream);
}

#[test]
fn a_stream_that_moves_is_listed_on_both_sides_until_it_has_left() {
    let bench = Bench::new(&[RO]);
    let next = bench.another_domain();
    bench.attach(STREAM, false);
    bench.dma(0, Access::Read).unwrap();
    let old_tag = Inv::new(bench.smmu.clone(), Target::Tag(bench.domain.asid()));
    let new_tag = Inv::new(bench.smmu.clone(), Target::Tag(next.asid()));
    let installed = next.list(bench.master(STREAM, false)).install();
    assert!(bench.domain.lists(&old_tag) && next.lists(&new_tag));
    installed.leave(&bench.domain);
    assert!(!bench.domain.lists(&old_tag) && next.lists(&new_tag));
    assert_eq!(bench.smmu.counts().invalidated_entries, 1);
}

/// Case 57: no entry stays, and what the device does next ends quietly.
#[test]
fn after_a_release_accesses_fault_without_a_look_at_the_tables() {
    let bench = Bench::new(&[RO]);
    let atc = bench.atc();
    bench.attach(STREAM, true);
    atc.access(page(0), Access::Read, |_| ()).unwrap();
    for _ in 0..2 {
        bench.domain.subscriber().release();
        let faults = [
            bench.dma(0, Access::Read).unwrap_err(),
            atc.access(page(0), Access::Read, |_| ()).unwrap_err(),
        ];
        assert_eq!(
            faults.map(|fault| fault.kind),
            [FaultKind::Translation; 2],
            "and not a bad stream"
        );
    }
    let counts = bench.smmu.counts();
    assert_eq!(counts.invalidated_entries, 1);
    assert_eq!(atc.counts().invalidated_entries, 1);
}

#[test]
fn a_stream_attached_after_the_release_translates_nothing() {
    let bench = Bench::new(&[RO]);
    bench.domain.subscriber().release();
    bench.attach(STREAM, false);
    let fault = bench.dma(0, Access::Read).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Translation);
}

#[test]
fn a_freed_asid_is_clean_for_its_next_owner() {
    let mut bench = Bench::new(&[RO]);
    let atc = bench.atc();
    bench.attach(STREAM, true);
    atc.access(page(0), Access::Read, |_| ()).unwrap();
    let asid = bench.domain.asid();
    let next = bench.another_domain();
    let (late, old) = (bench.domain.subscriber(), bench.domain);
    drop(old);
    assert_eq!(bench.smmu.counts().invalidated_entries, 1);
    assert_eq!(atc.counts().invalidated_entries, 1);

    bench.domain = next;
    let again = bench.another_domain();
    assert_eq!(again.asid(), asid, "the lowest is taken first");
    late.invalidate(range(0));
    assert_eq!(bench.smmu.counts().invalidated_entries, 1);
}

/// Case 36: one address space behind two SMMUs; a neighbour loses nothing.
#[test]
fn both_smmus_are_told_and_no_other_asid_is() {
    let bench = Bench::new(&[RO]);
    let second = Arc::new(bench.space.another_smmu());
    let (smmu, stream, ats) = (second.clone(), OTHER, false);
    let there = |master: &Master| {
        let target = |target| target;
        let access = Access::Read;
        master.smmu.access(master.stream, page(0), access, target)
    };
    let masters = [bench.attach(STREAM, false), Master { smmu, stream, ats }];
    bench.domain.list(masters[1].clone()).install();
    let neighbour = bench.another_domain();
    neighbour.list(bench.master(StreamId(8), false)).install();
    for master in masters.iter().chain([&bench.master(StreamId(8), false)]) {
        there(master).unwrap();
    }
    bench.domain.subscriber().invalidate(range(0));
    let dropped = [&bench.smmu, &second].map(|smmu| smmu.counts().invalidated_entries);
    assert_eq!(dropped, [1, 1]);
    let misses = bench.smmu.counts().tlb_misses;
    there(&bench.master(StreamId(8), false)).unwrap();
    assert_eq!(bench.smmu.counts().tlb_misses, misses);
}
