//! Each way to be wrong, each way to be right, and the words for it.

mod bench;
mod breaks;
mod causes;
mod configuration;
mod dirty;
mod tables;
mod waste;

use super::*;
use crate::addr::{Access, Permissions};
use crate::contract::{Event, Step};
use crate::paging::ChangeKind;
use crate::secondary::{CacheId, Fault, FaultKind};
use crate::test_space::{ASID, Telling, TestSpace, leaf, page, range};

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;
const TLB: CacheId = CacheId::SmmuTlb(ASID);

fn kinds(space: &TestSpace) -> Vec<ViolationKind> {
    let violations = space.oracle.findings().violations;
    violations.iter().map(|violation| violation.kind).collect()
}

/// Changes page `n` and leaves it at that.
fn under_way(space: &TestSpace, n: u64, leaf: Option<crate::paging::Leaf>) -> Made {
    let changes = space.preview(n, leaf);
    let announced = space.oracle.changing(&changes);
    space.store(n, leaf);
    space.oracle.made(announced, &changes)
}

fn gave_up(space: &TestSpace, kind: FaultKind, access: Access, faults: u64) {
    let iova = page(0);
    let fault = Fault { kind, iova, access };
    space.oracle.gave_up(TLB, &fault, faults);
}

fn last_judgement(space: &TestSpace, access: Access) -> Judgement {
    let findings = space.oracle.findings();
    findings.last_fault(TLB, page(0), access).unwrap().judgement
}

#[test]
fn an_upgrade_without_a_notification_is_stale_and_loses_progress() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    space.set(0, Some(leaf(0, RW)), Telling::Nothing);
    for _ in 0..5 {
        space.dma(0, Access::Write).unwrap_err();
    }
    gave_up(&space, FaultKind::Permission, Access::Write, 5);

    let findings = space.oracle.findings();
    assert_eq!(findings.verdict(), Verdict::Violation);
    let [stale, lost] = &findings.violations[..] else {
        panic!("{:?}", findings.violations);
    };
    assert_eq!(stale.kind, ViolationKind::StaleReadOnly);
    assert_eq!(lost.kind, ViolationKind::LostProgress);
    assert_eq!((stale.occurrences, lost.occurrences), (5, 5));
    assert_eq!(stale.chain.change.unwrap().1.kind, ChangeKind::Upgrade);
    assert_eq!(stale.chain.invalidation, Invalidation::Missing);
    assert_eq!(stale.current_entry, Some(leaf(0, RW)));
    assert_eq!(stale.stale_entry.unwrap().leaf, leaf(0, RO));
    assert_eq!(lost.chain, stale.chain);
    let words = "device write to 0x400000000000 was refused by an entry cached at step 1; \
                 the guest upgraded the page at step 3; no invalidation covered it";
    assert_eq!(stale.to_string(), words);
    assert!(lost.to_string().contains("given up after 5 faults"));
}

#[test]
fn an_upgrade_with_its_invalidation_is_coherent() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    space.set(0, Some(leaf(0, RW)), Telling::SecondaryTlb);
    space.dma(0, Access::Write).unwrap();
    assert_eq!(space.oracle.findings().verdict(), Verdict::Coherent);
}

#[test]
fn a_notification_that_reaches_no_cache_is_told_from_none() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    space.set(0, Some(leaf(0, RW)), Telling::StartAndEnd);
    space.dma(0, Access::Write).unwrap_err();
    let violation = &space.oracle.findings().violations[0];
    assert_eq!(violation.chain.notices.len(), 2);
    assert!(
        violation
            .to_string()
            .contains("it was notified, but no invalidation")
    );
}

#[test]
fn an_invalidation_that_comes_after_the_fault_is_late() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    space.set(0, Some(leaf(0, RW)), Telling::Nothing);
    space.dma(0, Access::Write).unwrap_err();
    space
        .space
        .lock_page_table()
        .invalidate_secondary_tlbs(range(0));
    let violation = &space.oracle.findings().violations[0];
    assert_eq!(violation.chain.invalidation, Invalidation::Late(Step(9)));
    assert!(violation.to_string().ends_with("came late, at step 9"));
}

#[test]
fn a_cache_that_does_not_do_what_it_was_told_is_named() {
    use crate::secondary::Observer;

    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    space.set(0, Some(leaf(0, RW)), Telling::Nothing);
    // The fault: completion is signalled, the entry stays.
    space
        .oracle
        .invalidated(TLB, range(0).map(crate::addr::Iova::shared));
    space.dma(0, Access::Write).unwrap_err();
    let violation = &space.oracle.findings().violations[0];
    assert!(matches!(
        violation.chain.invalidation,
        Invalidation::Ineffective(_)
    ));
}

#[test]
fn a_write_after_a_downgrade_that_nobody_told_of_is_stale_writable() {
    let space = TestSpace::new(&[RW]);
    space.dma(0, Access::Write).unwrap();
    space.set(0, Some(leaf(0, RO)), Telling::Nothing);
    space.dma(0, Access::Read).unwrap();
    assert_eq!(kinds(&space), [], "reading by it harms nobody");
    space.dma(0, Access::Write).unwrap();
    assert_eq!(kinds(&space), [ViolationKind::StaleWritable]);
}

#[test]
fn an_access_after_an_unmap_that_nobody_told_of_is_use_after_unmap() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    space.set(0, None, Telling::Nothing);
    space.dma(0, Access::Read).unwrap();
    assert_eq!(kinds(&space), [ViolationKind::UseAfterUnmap]);
}

#[test]
fn so_is_one_that_reaches_the_page_before_a_remap() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    space.set(0, Some(leaf(5, RO)), Telling::Nothing);
    space.dma(0, Access::Read).unwrap();
    assert_eq!(kinds(&space), [ViolationKind::UseAfterUnmap]);
}

#[test]
fn faults_that_the_page_table_agrees_with_are_genuine() {
    let space = TestSpace::new(&[RW]);
    space.dma(0, Access::Write).unwrap();
    space.set(0, Some(leaf(0, RO)), Telling::SecondaryTlb);
    space.dma(0, Access::Write).unwrap_err();
    assert_eq!(last_judgement(&space, Access::Write), Judgement::Genuine);
    space.set(0, None, Telling::SecondaryTlb);
    space.dma(0, Access::Read).unwrap_err();
    assert_eq!(last_judgement(&space, Access::Read), Judgement::Genuine);
    gave_up(&space, FaultKind::Translation, Access::Read, 9);
    assert_eq!(kinds(&space), []);
}

#[test]
fn a_page_that_was_never_marked_accessed_is_refused_for_good_reason() {
    let space = TestSpace::new(&[RW]);
    let old = crate::paging::Leaf {
        accessed: false,
        ..leaf(0, RW)
    };
    space.set(0, Some(old), Telling::Nothing);
    space.dma(0, Access::Write).unwrap_err();
    gave_up(&space, FaultKind::AccessFlag, Access::Write, 1);
    assert_eq!(last_judgement(&space, Access::Write), Judgement::Genuine);
    assert_eq!(kinds(&space), []);
}

#[test]
fn a_device_that_gives_up_just_before_the_page_is_mapped_lost_nothing() {
    let space = TestSpace::new(&[RO]);
    space.set(0, None, Telling::SecondaryTlb);
    space.dma(0, Access::Read).unwrap_err();
    space.set(0, Some(leaf(0, RO)), Telling::Nothing);
    gave_up(&space, FaultKind::Translation, Access::Read, 1);
    assert_eq!(kinds(&space), []);
}

#[test]
fn while_a_change_is_under_way_both_answers_are_right() {
    let space = TestSpace::new(&[RO, RW]);
    space.dma(0, Access::Read).unwrap();
    space.dma(1, Access::Write).unwrap();
    let upgrade = under_way(&space, 0, Some(leaf(0, RW)));
    let unmap = under_way(&space, 1, None);
    space.dma(0, Access::Write).unwrap_err();
    space.dma(1, Access::Write).unwrap();
    assert_eq!(last_judgement(&space, Access::Write), Judgement::InFlight);
    assert_eq!(kinds(&space), []);
    space.oracle.settled(upgrade);
    space.oracle.settled(unmap);
    space.dma(1, Access::Write).unwrap();
    assert_eq!(kinds(&space), [ViolationKind::UseAfterUnmap]);
}

#[test]
fn an_invalidation_ends_the_right_to_the_old_answer_before_the_change_is_settled() {
    use crate::secondary::Observer;

    let space = TestSpace::new(&[RO, RW]);
    space.dma(0, Access::Read).unwrap();
    space.dma(1, Access::Write).unwrap();
    let upgrade = under_way(&space, 0, Some(leaf(0, RW)));
    let unmap = under_way(&space, 1, None);
    let both = range(0).hull(range(1)).map(crate::addr::Iova::shared);
    space.oracle.invalidated(TLB, both);
    space.dma(0, Access::Write).unwrap_err();
    space.dma(1, Access::Write).unwrap();
    let expected = [ViolationKind::StaleReadOnly, ViolationKind::UseAfterUnmap];
    assert_eq!(kinds(&space), expected);
    space.oracle.settled(upgrade);
    space.oracle.settled(unmap);
}

#[test]
fn a_page_mapped_while_a_walk_found_nothing_escaped_nobody() {
    use crate::secondary::{Denial, Observer};

    let space = TestSpace::new(&[RO]);
    let began = space.oracle.walk_began();
    let found = {
        let tree = space.space.lock_page_table();
        crate::paging::walk(
            &**tree.format(),
            &*space.memory,
            tree.root(),
            page(1).to_gva(),
        )
    };
    space.set(1, Some(leaf(1, RO)), Telling::Nothing);
    let fault = found.unwrap_err();
    let denial = Denial::Walk { fault, began };
    space.oracle.denied(TLB, page(1), Access::Read, &denial);
    assert_eq!(space.oracle.findings().untracked, []);
}

#[test]
fn a_change_that_is_called_off_never_was() {
    let space = TestSpace::new(&[RW]);
    space.dma(0, Access::Write).unwrap();
    let unmap = space.oracle.changing(&space.preview(0, None));
    space.oracle.called_off(unmap);
    space.dma(0, Access::Write).unwrap();
    assert_eq!(kinds(&space), []);
    space.set(0, Some(leaf(0, RO)), Telling::Nothing);
    space.dma(0, Access::Write).unwrap();
    let (_, cause) = space.oracle.findings().violations[0].chain.change.unwrap();
    assert_eq!(cause.kind, ChangeKind::Downgrade, "not the unmap");
}

#[test]
fn an_announced_change_makes_the_new_entry_right_before_it_is_made() {
    let space = TestSpace::new(&[RO]);
    let upgrade = space.oracle.changing(&space.preview(0, Some(leaf(0, RW))));
    space.store(0, Some(leaf(0, RW)));
    space.dma(0, Access::Write).unwrap();
    assert_eq!(space.oracle.findings().untracked, []);
    space.oracle.called_off(upgrade);
}

/// Two CPUs take the same write fault; the second finds the work done.
#[test]
fn a_change_that_another_was_faster_with_leaves_what_the_other_made() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    let slower = space.oracle.changing(&space.preview(0, Some(leaf(0, RW))));
    space.set(0, Some(leaf(0, RW)), Telling::SecondaryTlb);
    let slower = space.oracle.made(slower, &[]);
    space.oracle.settled(slower);
    space.dma(0, Access::Write).unwrap();
    assert_eq!(kinds(&space), []);
    assert_eq!(space.oracle.findings().untracked, []);
}

#[test]
fn nor_does_it_hide_that_the_other_told_nobody() {
    let space = TestSpace::new(&[RO]);
    space.dma(0, Access::Read).unwrap();
    let slower = space.oracle.changing(&space.preview(0, Some(leaf(0, RW))));
    space.set(0, Some(leaf(0, RW)), Telling::Nothing);
    space.oracle.called_off(slower);
    space.dma(0, Access::Write).unwrap_err();
    assert_eq!(kinds(&space), [ViolationKind::StaleReadOnly]);
}

#[test]
fn changes_settled_in_another_order_than_they_were_made_leave_the_last_one_made() {
    let space = TestSpace::new(&[RO]);
    let first = under_way(&space, 0, Some(leaf(0, RW)));
    let second = under_way(&space, 0, None);
    space.oracle.settled(second);
    space.oracle.settled(first);
    space.dma(0, Access::Read).unwrap_err();
    assert_eq!(last_judgement(&space, Access::Read), Judgement::Genuine);
    assert_eq!(space.oracle.findings().untracked, []);
}

#[test]
fn a_change_that_nobody_reported_is_found_by_the_next_walk() {
    let space = TestSpace::new(&[RO, RO]);
    space.store(0, Some(leaf(0, RW)));
    space.dma(0, Access::Read).unwrap();
    space.store(1, None);
    space.dma(1, Access::Read).unwrap_err();
    let untracked = space.oracle.findings().untracked;
    let seen: Vec<_> = untracked
        .iter()
        .map(|one| (one.iova, one.found, one.reported))
        .collect();
    assert_eq!(
        seen,
        [
            (page(0), Some(leaf(0, RW)), Some(leaf(0, RO))),
            (page(1), None, Some(leaf(1, RO))),
        ]
    );
}

#[test]
fn a_walk_may_find_what_was_replaced_since_it_began() {
    use crate::secondary::Observer;

    let space = TestSpace::new(&[RO]);
    let began = space.oracle.walk_began();
    space.set(0, Some(leaf(0, RW)), Telling::SecondaryTlb);
    let page = range(0).map(crate::addr::Iova::shared);
    space.oracle.filled(TLB, page, &leaf(0, RO), began);
    assert_eq!(space.oracle.findings().untracked, []);
    let began = space.oracle.walk_began();
    space.oracle.filled(TLB, page, &leaf(0, RO), began);
    assert_eq!(space.oracle.findings().untracked.len(), 1);
}

#[test]
fn a_shadow_zapped_for_an_upgrade_lost_its_entry_for_nothing() {
    let space = TestSpace::new(&[RO, RW]);
    for n in 0..2 {
        space.shadow_dma(n, Access::Read).unwrap();
    }
    space.set(0, Some(leaf(0, RW)), Telling::StartAndEnd);
    space.set(1, Some(leaf(1, RO)), Telling::StartAndEnd);
    assert_eq!(space.shadow.counts().zapped, 2);
    let findings = space.oracle.findings();
    assert_eq!(findings.needless_drops_of(CacheId::Shadow), 1);
}

#[test]
fn a_tlb_entry_dropped_for_an_upgrade_was_not() {
    let space = TestSpace::new(&[RO, RO]);
    for n in 0..2 {
        space.dma(n, Access::Read).unwrap();
    }
    space.set(0, Some(leaf(0, RW)), Telling::SecondaryTlb);
    space
        .space
        .lock_page_table()
        .invalidate_secondary_tlbs(range(1));
    let findings = space.oracle.findings();
    assert_eq!(findings.needless_drops_of(TLB), 1, "page 1 had not changed");
}

#[test]
fn what_a_guest_can_make_grow_is_bounded() {
    let space = TestSpace::new(&[RO]);
    for _ in 0..20_000 {
        space.dma(1, Access::Read).unwrap_err();
    }
    let findings = space.oracle.findings();
    assert!(findings.faults.len() < 2_000);
    assert_eq!(findings.faults.len() as u64 + findings.not_kept, 20_000);
    assert!(space.oracle.history().len() < 20_000);
}

#[test]
fn notifications_stand_in_the_history() {
    let space = TestSpace::new(&[RO]);
    drop(space.space.mutate().into_window(Event::Unmap, range(0)));
    let lines: Vec<_> = space
        .oracle
        .history()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        lines[0].contains("notified: range start unmap"),
        "{lines:?}"
    );
}

/// Facts from before have none, times go in the order of steps, and as many are kept as of facts.
#[test]
fn facts_have_times_from_when_time_is_kept() {
    let space = TestSpace::new(&[RO]);
    space.oracle.mark(1);
    assert!(space.oracle.timed_history().is_empty());
    space.oracle.keep_time(std::time::Instant::now());
    for value in 2..20_000 {
        space.oracle.mark(value);
    }
    let (timed, all) = (space.oracle.timed_history(), space.oracle.history());
    let records: Vec<_> = timed.iter().map(|(record, _)| *record).collect();
    assert_eq!(records, all);
    assert!(timed.iter().map(|(_, moment)| moment.at).is_sorted());
    let here = std::thread::current().id();
    assert!(timed.iter().all(|(_, moment)| moment.thread == here));
}
