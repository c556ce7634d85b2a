//! Pages that are written, and who knows of it.

use super::bench::{Bench, asid, change, dirty};
use crate::addr::{Access, Permissions};
use crate::oracle::{DirtyManagement, Judgement, Oracle, ViolationKind};
use crate::paging::{Leaf, LeafHints};
use crate::secondary::{Denial, Observer};
use crate::test_space::{ASID, page};

fn bench(leaf: Leaf) -> Bench {
    let oracle = Oracle::new().with_dirty_management(DirtyManagement::Hardware);
    Bench::new(oracle, leaf)
}

/// Writable once it is marked, as VMSAv8-64 says it: read-only with DBM.
fn waiting() -> Leaf {
    Leaf {
        permissions: Permissions::READ_ONLY,
        hints: LeafHints::DIRTY_MANAGED,
        ..dirty(false)
    }
}

fn mark(bench: &Bench, before: Leaf, after: Leaf) {
    bench.oracle.marked(page(0), Access::Write, &before, &after);
}

#[test]
fn a_write_through_a_page_that_was_cleaned_and_not_invalidated_is_lost() {
    let mut bench = bench(dirty(true));
    bench.change(change(Some(dirty(true)), Some(dirty(false))), |_| {});
    bench.access(Access::Read);
    assert_eq!(bench.kinds(), []);
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), [ViolationKind::LostDirty]);
    let violation = &bench.oracle.findings().violations[0];
    let words = "device write to 0x400000000000 was made, and the page not marked dirty, through \
                 an entry cached at step 1; the guest marked the page at step 2; no invalidation \
                 covered it";
    assert_eq!(violation.to_string(), words);
}

#[test]
fn one_that_was_invalidated_is_marked_again() {
    let mut bench = bench(dirty(true));
    bench.change(change(Some(dirty(true)), Some(dirty(false))), |bench| {
        bench.command(asid(ASID));
    });
    mark(&bench, dirty(false), dirty(true));
    bench.fill(dirty(true));
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), []);
}

#[test]
fn a_managed_page_that_is_clean_was_not_revoked() {
    let mut bench = bench(dirty(true));
    bench.change(change(Some(dirty(true)), Some(waiting())), |_| {});
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), [ViolationKind::LostDirty]);
}

#[test]
fn while_it_is_cleaned_either_is_right() {
    let bench = bench(dirty(true));
    let made = bench.make(&[change(Some(dirty(true)), Some(dirty(false)))]);
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), []);
    bench.oracle.settled(made);
}

#[test]
fn where_software_marks_pages_a_clean_one_may_be_written() {
    let bench = Bench::new(Oracle::new(), dirty(false));
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), []);
}

#[test]
fn what_hardware_marks_is_not_a_change_that_nobody_saw() {
    let mut bench = bench(waiting());
    let after = Leaf {
        hints: LeafHints::DIRTY_MANAGED,
        ..dirty(true)
    };
    let began = bench.oracle.walk_began();
    mark(&bench, waiting(), after);
    bench.fill(after);
    bench.access(Access::Write);
    // A slower walk had read the entry before.
    bench
        .oracle
        .filled(bench.cache, super::bench::iova(), &waiting(), began);
    let findings = bench.oracle.findings();
    assert_eq!(findings.untracked, []);
    assert_eq!(findings.violations, []);
    bench.fill(waiting());
    assert_eq!(bench.oracle.findings().untracked.len(), 1);
}

#[test]
fn a_page_that_only_waits_for_its_mark_is_owed_to_a_writer() {
    let bench = bench(waiting());
    let denial = Denial::Entry(bench.entry.unwrap());
    bench
        .oracle
        .denied(bench.cache, page(0), Access::Write, &denial);
    let findings = bench.oracle.findings();
    assert_eq!(findings.faults[0].judgement, Judgement::Stale);
}

/// A change is announced, hardware marks the page, and the change is made.
fn overtaken(old: Leaf, new: Option<Leaf>, marked: bool) -> Bench {
    let bench = bench(dirty(false));
    let announced = bench.oracle.changing(&[change(Some(dirty(false)), new)]);
    if marked {
        mark(&bench, dirty(false), dirty(true));
    }
    let made = bench.oracle.made(announced, &[change(Some(old), new)]);
    bench.oracle.settled(made);
    bench
}

#[test]
fn a_change_computed_before_the_mark_takes_it_away() {
    let bench = overtaken(dirty(false), None, true);
    assert_eq!(bench.kinds(), [ViolationKind::LostDirty]);
    let words = "a change of the page at 0x400000000000 took away a mark that hardware had just \
                 made; the guest unmapped the page at step 2";
    assert_eq!(bench.oracle.findings().violations[0].to_string(), words);
}

#[test]
fn one_that_knows_of_the_mark_or_keeps_it_does_not() {
    let knows = overtaken(dirty(true), None, true);
    assert_eq!(knows.kinds(), []);
    let moved = crate::test_space::leaf(5, Permissions::READ_WRITE);
    let keeps = overtaken(
        dirty(false),
        Some(Leaf {
            dirty: true,
            ..moved
        }),
        true,
    );
    assert_eq!(keeps.kinds(), []);
    let first = overtaken(dirty(false), None, false);
    assert_eq!(first.kinds(), []);
}

#[test]
fn what_was_marked_under_a_change_may_be_used_until_it_is_settled() {
    let mut bench = bench(waiting());
    let after = Leaf {
        hints: LeafHints::DIRTY_MANAGED,
        ..dirty(true)
    };
    let announced = bench.oracle.changing(&[change(Some(waiting()), None)]);
    mark(&bench, waiting(), after);
    bench.fill(after);
    let made = bench.oracle.made(announced, &[change(Some(after), None)]);
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), []);
    bench.oracle.settled(made);
    bench.access(Access::Write);
    assert_eq!(bench.kinds(), [ViolationKind::UseAfterUnmap]);
}
