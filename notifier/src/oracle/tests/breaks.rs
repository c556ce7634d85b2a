//! Changes that need a break.

use super::bench::{Bench, asid, change, one_page};
use crate::addr::{Asid, PageSize, Permissions};
use crate::oracle::{Detail, Invalidation, Oracle, ViolationKind};
use crate::paging::vmsa::BreakReason;
use crate::paging::{Change, Leaf};
use crate::secondary::Observer;
use crate::test_space::{ASID, leaf};

const RW: Permissions = Permissions::READ_WRITE;
const RO: Permissions = Permissions::READ_ONLY;

/// A page that moves must be broken.
fn rule(change: &Change) -> Option<BreakReason> {
    let (old, new) = (change.old?, change.new?);
    (old.output != new.output).then_some(BreakReason::OutputAddress)
}

fn bench() -> Bench {
    Bench::new(Oracle::new().with_break_rule(rule), leaf(0, RW))
}

fn moved() -> Leaf {
    leaf(5, RW)
}

/// Unmaps page 0, does `telling`, and maps it elsewhere.
fn broken(telling: impl FnOnce(&mut Bench)) -> Bench {
    let mut bench = bench();
    bench.change(change(Some(leaf(0, RW)), None), telling);
    bench.change(change(None, Some(moved())), |_| {});
    bench
}

#[test]
fn a_live_page_that_moves_is_misuse_before_any_device_uses_it() {
    let mut bench = bench();
    bench.change(change(Some(leaf(0, RW)), Some(moved())), |bench| {
        bench.command(asid(ASID));
    });
    assert_eq!(bench.kinds(), [ViolationKind::BreakBeforeMake]);
    let violation = &bench.oracle.findings().violations[0];
    assert_eq!(
        violation.detail,
        Some(Detail::Break(BreakReason::OutputAddress))
    );
    assert_eq!((violation.cache, violation.access), (None, None));
    assert_eq!(violation.chain.invalidation, Invalidation::NotOwed);
    let words = "a change of the page at 0x400000000000 was made without a break \
                 (output address of a writable page); the guest remapped the page at step 2";
    assert_eq!(violation.to_string(), words);
}

#[test]
fn a_change_of_permissions_needs_no_break() {
    let mut bench = bench();
    bench.change(change(Some(leaf(0, RW)), Some(leaf(0, RO))), |bench| {
        bench.command(asid(ASID));
    });
    assert_eq!(bench.kinds(), []);
}

#[test]
fn a_break_that_is_complete_is_right() {
    let bench = broken(|bench| bench.command(asid(ASID)));
    assert_eq!(bench.kinds(), []);
}

#[test]
fn a_break_that_no_tlb_heard_of_is_none() {
    let bench = broken(|_| {});
    assert_eq!(bench.kinds(), [ViolationKind::BreakBeforeMake]);
    assert_eq!(bench.chain().unwrap().invalidation, Invalidation::Missing);
    assert_eq!(
        bench.oracle.findings().violations[0].cache,
        Some(bench.cache)
    );
}

#[test]
fn a_break_that_is_not_complete_is_none() {
    let bench = broken(|bench| bench.carry_out(asid(ASID)));
    let found = bench.chain().unwrap().invalidation;
    assert!(matches!(found, Invalidation::NotSynced(_)), "{found:?}");
    let late = broken(|_| {});
    late.oracle.carried_out(&asid(ASID), 0);
    late.oracle.synced();
    let found = late.chain().unwrap().invalidation;
    assert!(matches!(found, Invalidation::Late(_)), "{found:?}");
}

#[test]
fn a_break_with_the_wrong_command_is_none() {
    let bench = broken(|bench| bench.command(asid(Asid(2))));
    let found = bench.chain().unwrap().invalidation;
    assert!(matches!(found, Invalidation::WrongTag(_)), "{found:?}");
    let bench = broken(|bench| bench.command(one_page(PageSize::M2)));
    let found = bench.chain().unwrap().invalidation;
    assert!(matches!(found, Invalidation::WrongLevel(_)), "{found:?}");
    let bench = broken(|bench| bench.command(one_page(PageSize::K4)));
    assert_eq!(bench.kinds(), []);
}

#[test]
fn the_same_page_may_come_back_without_an_invalidation() {
    let mut bench = bench();
    bench.change(change(Some(leaf(0, RW)), None), |_| {});
    bench.change(change(None, Some(leaf(0, RO))), |_| {});
    assert_eq!(bench.kinds(), []);
}

#[test]
fn no_tlb_can_have_what_none_was_ever_filled_with() {
    let oracle = Oracle::new().with_break_rule(rule);
    let bench = Bench {
        oracle,
        cache: super::bench::TLB,
        entry: None,
    };
    for one in [change(Some(leaf(0, RW)), None), change(None, Some(moved()))] {
        let made = bench.make(&[one]);
        bench.oracle.settled(made);
    }
    assert_eq!(bench.kinds(), []);
}

#[test]
fn without_a_rule_nothing_needs_a_break() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    bench.change(change(Some(leaf(0, RW)), Some(moved())), |bench| {
        bench.command(asid(ASID));
    });
    assert_eq!(bench.kinds(), []);
}
