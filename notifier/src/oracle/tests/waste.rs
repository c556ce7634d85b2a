//! Commands that were of no use.

use super::bench::{Bench, TLB, asid, change};
use crate::addr::{Asid, Permissions, Vmid};
use crate::oracle::{Oracle, Redundant};
use crate::secondary::{CacheId, Observer, Scope, Tag};
use crate::test_space::{ASID, leaf};

const RW: Permissions = Permissions::READ_WRITE;
const RO: Permissions = Permissions::READ_ONLY;

fn redundant(bench: &Bench, cache: Option<CacheId>) -> Redundant {
    let counts = bench.oracle.findings().redundant;
    let found = counts.into_iter().find(|(id, _)| *id == cache);
    found.map_or_else(Redundant::default, |(_, counts)| counts)
}

#[test]
fn a_command_that_takes_what_changed_is_of_use() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    bench.change(change(Some(leaf(0, RW)), Some(leaf(0, RO))), |bench| {
        bench.command(asid(ASID));
    });
    let expected = Redundant {
        commands: 1,
        took_nothing: 0,
        took_only_right: 0,
    };
    assert_eq!(redundant(&bench, Some(TLB)), expected);
    assert_eq!(bench.oracle.findings().needless_drops, []);
}

#[test]
fn one_that_takes_nothing_is_not() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    bench.command(asid(Asid(2)));
    let other = CacheId::SmmuTlb(Asid(2));
    let expected = Redundant {
        commands: 1,
        took_nothing: 1,
        took_only_right: 0,
    };
    assert_eq!(redundant(&bench, Some(other)), expected);
}

#[test]
fn nor_is_one_that_takes_only_what_is_still_right() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    bench.command(Scope::all(Tag::Stage1(Vmid(0))));
    let expected = Redundant {
        commands: 1,
        took_nothing: 0,
        took_only_right: 1,
    };
    assert_eq!(redundant(&bench, None), expected);
    assert_eq!(bench.oracle.findings().needless_drops, [(TLB, 1)]);
}

/// What is right is judged when the change is settled.
#[test]
fn a_change_that_is_called_off_makes_its_command_one_of_those() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    let narrowed = change(Some(leaf(0, RW)), Some(leaf(0, RO)));
    let announced = bench.oracle.changing(&[narrowed]);
    bench.command(asid(ASID));
    assert_eq!(redundant(&bench, Some(TLB)).took_only_right, 0);
    bench.oracle.called_off(announced);
    assert_eq!(redundant(&bench, Some(TLB)).took_only_right, 1);
}

#[test]
fn a_command_that_took_one_stale_entry_among_others_is_of_use() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    let right = bench.entry.unwrap();
    bench.change(change(Some(leaf(0, RW)), Some(leaf(0, RO))), |bench| {
        bench.fill(leaf(0, RO));
        bench.oracle.dropped(TLB, &right);
        bench.oracle.dropped(TLB, &bench.entry.unwrap());
        bench.oracle.carried_out(&asid(ASID), 2);
    });
    assert_eq!(redundant(&bench, Some(TLB)).took_only_right, 0);
    assert_eq!(bench.oracle.findings().needless_drops_of(TLB), 1);
}

#[test]
fn what_waits_to_be_judged_is_bounded() {
    let bench = Bench::new(Oracle::new(), leaf(0, RW));
    let made = bench.make(&[change(Some(leaf(0, RW)), Some(leaf(0, RO)))]);
    let entry = bench.entry.unwrap();
    for _ in 0..2_000 {
        bench.oracle.dropped(TLB, &entry);
    }
    bench.oracle.carried_out(&asid(ASID), 2_000);
    bench.oracle.settled(made);
    let findings = bench.oracle.findings();
    assert_eq!(findings.not_kept, 2_000 - 1_024);
    assert_eq!(redundant(&bench, Some(TLB)).took_only_right, 0);
}
