//! What a flush is for: without it what is forbidden happens, with it never.

use tests::host::{is_emulated, say, with_kvm};
use vmm::live::scenario::Batch;

use super::{cell, is_pvm, judged, met, runs, scenario};

/// On what a machine can be, of the scenarios whose entries have a dirty bit.
const GUEST: Option<&str> = Some("dirty-atomic-guest");

fn batch(often: u64) -> Batch {
    Batch {
        runs: runs(often),
        ..Batch::default()
    }
}

#[test]
fn no_store_gets_through_after_a_flush() {
    with_kvm(|kvm| {
        let checked = scenario("write-protect");
        for os in ["choice-1", "choice-2", "cmpxchg-flush"] {
            let (ran, judgement) = judged(kvm, (&checked, &cell(os, GUEST)), &batch(5000));
            assert_eq!(ran.cut, None, "{os}");
            for condition in &judgement.conditions {
                let seen = condition.is_violated(ran.runs);
                assert!(!seen, "{os}: {condition:#?}");
            }
        }
    });
}

#[test]
fn without_a_flush_a_store_gets_through() {
    with_kvm(|kvm| {
        let checked = scenario("write-protect");
        let cell = cell("cmpxchg", GUEST);
        let (ran, judgement) = judged(kvm, (&checked, &cell), &batch(5000));
        assert_eq!(ran.cut, None);
        let met = met(&judgement, "no-store-after-return");
        if is_emulated() {
            // An exit drops what an emulated processor has cached, so that it depends on chance.
            say(&format!("not required here: {met} of {} runs", ran.runs));
        } else if is_pvm() {
            assert!(met > 0, "{judgement:#?}");
        }
    });
}

/// A handler that looks whether a flush is under way, and one that does not.
#[test]
fn no_access_is_stale_where_everybody_waits_for_the_flush() {
    with_kvm(|kvm| {
        let checked = scenario("async-flush");
        let cell = cell("async-nmi-check", None);
        let (ran, judgement) = judged(kvm, (&checked, &cell), &batch(3000));
        assert_eq!(ran.cut, None);
        assert_eq!(met(&judgement, "no-stale-access"), 0, "{judgement:#?}");
    });
}

#[test]
fn an_access_is_stale_where_nobody_waits_for_the_flush() {
    with_kvm(|kvm| {
        let checked = scenario("async-flush");
        let cell = cell("no-wait", None);
        let (ran, judgement) = judged(kvm, (&checked, &cell), &batch(10_000));
        assert_eq!(ran.cut, None);
        let met = met(&judgement, "no-stale-access");
        match is_pvm() {
            true => assert!(met > 0, "{judgement:#?}"),
            false => say(&format!("not required here: {met} of {} runs", ran.runs)),
        }
    });
}
