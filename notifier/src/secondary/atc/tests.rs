//! What a device TLB keeps, and in which order it must be told.

use super::*;
use crate::addr::Vmid;
use crate::oracle::{Findings, Verdict, ViolationKind};
use crate::secondary::AlignedSpan;
use crate::secondary::smmu::{AtcScope, Command, Features, Levels, Request};
use crate::test_space::{ASID, STREAM, TestSpace, frame, leaf, page};

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;
const ATC: CacheId = CacheId::Atc(STREAM);

struct Bench {
    space: TestSpace,
    atc: Arc<Atc>,
}

impl Bench {
    fn new(pages: &[Permissions]) -> Self {
        let space = TestSpace::bare(pages);
        let atc = Atc::connect(space.smmu.clone(), STREAM, 64, space.oracle.clone());
        Self { space, atc }
    }

    fn dma(&self, n: u64, access: Access) -> Result<Gpa, Fault> {
        self.atc.access(page(n), access, |target| target)
    }

    /// Announces a change of page 0, makes it, does `telling`, and settles it.
    fn change(&self, new: Option<crate::paging::Leaf>, telling: impl FnOnce()) {
        let changes = self.space.preview(0, new);
        let changing = self.space.oracle.changing(&changes);
        self.space.store(0, new);
        let made = self.space.oracle.made(changing, &changes);
        telling();
        self.space.oracle.settled(made);
    }

    fn submit(&self, commands: &[Command]) {
        for command in commands {
            self.space.smmu.submit(*command);
        }
    }

    fn findings(&self) -> Findings {
        self.space.oracle.findings()
    }
}

fn tlbi() -> Command {
    Command::TlbiAsid(Vmid(0), ASID)
}

fn atc_inv() -> Command {
    Command::AtcInv(
        STREAM,
        AtcScope::Untagged,
        AlignedSpan::covering(AddrRange::all()),
    )
}

#[test]
fn a_hit_does_not_ask_the_smmu() {
    let bench = Bench::new(&[RO]);
    for _ in 0..3 {
        assert_eq!(bench.dma(0, Access::Read), Ok(frame(0)));
    }
    let counts = bench.atc.counts();
    assert_eq!((counts.hits, counts.requests), (2, 1));
    let smmu = bench.space.smmu.counts();
    assert_eq!((smmu.tlb_hits, smmu.tlb_misses), (0, 1));
}

#[test]
fn what_is_granted_is_a_read_only_entry_even_if_a_write_was_asked_for() {
    let bench = Bench::new(&[RO]);
    let fault = bench.dma(0, Access::Write).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permission);
    assert_eq!(bench.dma(0, Access::Read), Ok(frame(0)));
    assert_eq!(bench.atc.counts().requests, 1, "the grant was kept");
}

#[test]
fn a_grant_of_nothing_is_not_kept() {
    let privileged = Permissions::READ | Permissions::WRITE;
    let bench = Bench::new(&[privileged]);
    for _ in 0..2 {
        bench.dma(0, Access::Read).unwrap_err();
    }
    assert_eq!(bench.atc.counts().requests, 2);
    bench.submit(&[atc_inv(), Command::SYNC]);
    assert_eq!(bench.atc.counts().invalidated_entries, 0);
    let absent = bench.dma(1, Access::Read).unwrap_err();
    assert_eq!(absent.kind, FaultKind::Translation);
}

#[test]
fn the_smmus_own_invalidation_does_nothing_to_it() {
    let bench = Bench::new(&[RW]);
    bench.dma(0, Access::Write).unwrap();
    bench.change(None, || bench.submit(&[tlbi(), Command::SYNC]));
    bench.dma(0, Access::Write).unwrap();
    let findings = bench.findings();
    let [violation] = &findings.violations[..] else {
        panic!("{findings:?}");
    };
    assert_eq!(violation.kind, ViolationKind::UseAfterUnmap);
    assert_eq!(violation.cache, Some(ATC));
}

/// An entry that denies makes the device ask again, so its own entry needs no invalidation for an
/// upgrade. The SMMU's does: it is the one that answers.
#[test]
fn an_upgrade_is_lost_in_the_smmu_and_not_in_the_device() {
    let bench = Bench::new(&[RO]);
    bench.dma(0, Access::Read).unwrap();
    bench.change(Some(leaf(0, RW)), || {});
    bench.dma(0, Access::Write).unwrap_err();
    let findings = bench.findings();
    assert_eq!(findings.violations[0].kind, ViolationKind::StaleReadOnly);
    assert_eq!(findings.violations[0].cache, Some(CacheId::SmmuTlb(ASID)));
    bench.submit(&[tlbi(), Command::SYNC]);
    assert_eq!(bench.dma(0, Access::Write), Ok(frame(0)));
}

/// Case 30: what the order rule is for. The device reads after every command.
fn downgrade(telling: impl FnOnce(&Bench)) -> Verdict {
    let bench = Bench::new(&[RW]);
    bench.dma(0, Access::Write).unwrap();
    bench.change(Some(leaf(0, RO)), || telling(&bench));
    let _ = bench.dma(0, Access::Write);
    bench.findings().verdict()
}

fn reads_after_each(bench: &Bench, commands: &[Command]) {
    for command in commands {
        bench.submit(&[*command]);
        bench.dma(0, Access::Read).unwrap();
    }
}

#[test]
fn the_tlb_first_then_the_device_leaves_nothing_stale() {
    let right = [tlbi(), Command::SYNC, atc_inv(), Command::SYNC];
    let verdict = downgrade(|bench| reads_after_each(bench, &right));
    assert_eq!(verdict, Verdict::Coherent);
}

#[test]
fn the_device_first_refills_from_the_stale_tlb() {
    let wrong = [atc_inv(), Command::SYNC, tlbi(), Command::SYNC];
    let verdict = downgrade(|bench| reads_after_each(bench, &wrong));
    assert_eq!(verdict, Verdict::Violation);
}

/// In one batch the commands have no order, and hardware may choose the wrong one.
#[test]
fn without_a_sync_between_them_the_order_is_not_the_drivers() {
    let verdict = downgrade(|bench| {
        bench.submit(&[tlbi(), atc_inv()]);
        assert_eq!(bench.space.smmu.carry_out(1), Some(atc_inv()));
        bench.dma(0, Access::Read).unwrap();
        bench.space.smmu.sync().unwrap();
    });
    assert_eq!(verdict, Verdict::Violation);
}

#[test]
fn the_plan_is_in_the_right_order() {
    let request = Request {
        range: AddrRange::all(),
        levels: Levels::All,
        tags: &[ASID],
        ats: &[STREAM],
    };
    let verdict = downgrade(|bench| {
        for batch in Features::default().plan(&request) {
            reads_after_each(bench, batch.commands());
        }
    });
    assert_eq!(verdict, Verdict::Coherent);
}

/// Pages 7 to 10 take pages 0 to 15 with them, and not page 16.
#[test]
fn an_invalidation_takes_its_whole_aligned_block() {
    let bench = Bench::new(&[RO; 17]);
    for n in 0..17 {
        bench.dma(n, Access::Read).unwrap();
    }
    let range = AddrRange::from_length(page(7), 4 << 12).unwrap();
    bench.submit(&[
        Command::AtcInv(STREAM, AtcScope::Untagged, AlignedSpan::covering(range)),
        Command::SYNC,
    ]);
    assert_eq!(bench.atc.counts().invalidated_entries, 16);
    bench.dma(16, Access::Read).unwrap();
    assert_eq!(bench.atc.counts().hits, 1);
}

#[test]
fn a_sync_waits_for_an_access_under_way() {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    let bench = Bench::new(&[RW]);
    let smmu = bench.space.smmu.clone();
    let (done, is_done) = channel();
    let early = bench.atc.access(page(0), Access::Write, |_| {
        std::thread::spawn(move || {
            smmu.submit(atc_inv());
            smmu.sync().unwrap();
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_millis(50)).is_ok()
    });
    assert_eq!(early, Ok(false), "complete while the access was on its way");
    is_done.recv().unwrap();
}

#[test]
fn a_device_that_is_gone_has_nothing_cached() {
    let bench = Bench::new(&[RO]);
    let smmu = bench.space.smmu.clone();
    drop(bench.atc);
    smmu.submit(atc_inv());
    smmu.sync().unwrap();
    assert_eq!(smmu.counts().atc_invalidations, 1);
}
