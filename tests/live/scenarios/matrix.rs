//! Every cell that a machine can run, held against what the explorer allows.

use std::time::Duration;

use tests::host::{is_emulated, say, with_kvm};
use vmm::live::scenario::{Batch, judge};

use super::{permitted, ran, runnable, runs, scenario, told};

/// Of the cells of a scenario, so many can be run.
fn verify(name: &str, often: u64, cells: usize) {
    verify_some(name, often, cells, |_| true);
}

/// The same; only those are run whose variant of the software is one of these.
fn verify_some(name: &str, often: u64, cells: usize, wanted: impl Fn(&str) -> bool) {
    with_kvm(|kvm| {
        let checked = scenario(name);
        let runnable = runnable(&checked);
        assert_eq!(runnable.len(), cells, "cells of {name} that can be run");
        let batch = Batch {
            runs: runs(often),
            limit: Duration::from_secs(if is_emulated() { 40 } else { 8 }),
            patience: Duration::from_secs(if is_emulated() { 15 } else { 4 }),
            ..Batch::default()
        };
        for (cell, plan) in runnable {
            if !wanted(cell.os.as_deref().unwrap_or_default()) {
                continue;
            }
            let title = told(name, &cell);
            let ran = ran(kvm, &plan, &batch);
            let judgement = judge(&plan, &ran, Ok(&permitted(&checked, &cell, &plan)));
            let unsound: Vec<_> = judgement.unsound().collect();
            assert!(unsound.is_empty(), "{title}: {unsound:#?}");
            match &ran.cut {
                None => assert_eq!(ran.runs, batch.runs, "{title}"),
                Some(cut) if ran.hangs() => {
                    assert_eq!(judgement.hang_is_allowed, Some(true), "{title}: {cut:?}");
                }
                Some(cut) => {
                    // Runs are dear where vCPUs take turns; what was seen until then is judged.
                    let limit = matches!(cut, vmm::live::scenario::Cut::Limit(_));
                    assert!(limit && ran.runs > 0, "{title}: {cut:?}");
                    say(&format!("{title}: {} runs within the limit", ran.runs));
                }
            }
        }
    });
}

#[test]
fn write_protect() {
    verify("write-protect", 1000, 6);
}

#[test]
fn cow_states() {
    verify("cow-states", 200, 5);
}

#[test]
fn async_flush() {
    verify("async-flush", 300, 4);
}

#[test]
fn upgrade() {
    verify("upgrade", 300, 12);
}

#[test]
fn downgrade() {
    verify("downgrade", 1000, 4);
}

/// Five vCPUs and the longest searches: on an emulated processor two of the six variants of the software
/// stand for all, the simplest that is wrong and the one that was merged.
#[test]
fn uffd_wp() {
    let some = is_emulated();
    if some {
        say("an emulated processor: only the variants none and pending-check-in-fault");
    }
    verify_some("uffd-wp", 50, 12, |os| {
        !some || os == "none" || os == "pending-check-in-fault"
    });
}
