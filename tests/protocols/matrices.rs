//! The verdict of every cell of the six matrices, and the length of its trace.
//!
//! None of this was written before the explorer had derived it. What each verdict means, and where it
//! differs from what a discussion believed, is told beside its trace in the documentation.

use notifier::explore::Most;
use notifier::explore::Verdict::{self, Holds, Livelock, Violated};

use crate::reports;

/// What the software does, what the hardware is (`-` for an axis that there is not), the condition,
/// the verdict, the length of the trace.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Verdict,
    Option<usize>,
);

/// Sees that a matrix is what it was, cell by cell.
fn verify(name: &str, expected: &[Row]) {
    let reports = reports(name);
    let word = |value: &Option<String>| value.clone().unwrap_or("-".into());
    let derived = reports.iter().flat_map(|report| {
        report.properties.iter().map(|property| {
            let length = property.trace.as_ref().map(|trace| trace.steps.len());
            let (os, hardware) = (word(&report.cell.os), word(&report.cell.hardware));
            (
                os,
                hardware,
                property.property.clone(),
                property.verdict,
                length,
            )
        })
    });
    let expected = expected
        .iter()
        .map(|(os, hardware, property, verdict, length)| {
            (
                (*os).to_owned(),
                (*hardware).to_owned(),
                (*property).to_owned(),
                *verdict,
                *length,
            )
        });
    let (derived, expected): (Vec<_>, Vec<_>) = (derived.collect(), expected.collect());
    assert_eq!(derived.len(), expected.len());
    for (derived, expected) in derived.into_iter().zip(expected) {
        assert_eq!(derived, expected, "{name}");
    }
}

#[test]
fn write_protect() {
    let expected = [
        (
            "lock-clear-w",
            "dirty-atomic",
            "no-final-shadow-stack",
            Violated,
            Some(2),
        ),
        (
            "lock-clear-w",
            "dirty-atomic",
            "no-transient-shadow-stack",
            Violated,
            Some(1),
        ),
        ("lock-clear-w", "dirty-atomic", "no-lost-dirty", Holds, None),
        (
            "lock-clear-w",
            "dirty-atomic",
            "no-store-after-return",
            Violated,
            Some(2),
        ),
        (
            "lock-clear-w",
            "dirty-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "lock-clear-w",
            "dirty-non-atomic",
            "no-final-shadow-stack",
            Violated,
            Some(2),
        ),
        (
            "lock-clear-w",
            "dirty-non-atomic",
            "no-transient-shadow-stack",
            Violated,
            Some(1),
        ),
        (
            "lock-clear-w",
            "dirty-non-atomic",
            "no-lost-dirty",
            Holds,
            None,
        ),
        (
            "lock-clear-w",
            "dirty-non-atomic",
            "no-store-after-return",
            Violated,
            Some(2),
        ),
        (
            "lock-clear-w",
            "dirty-non-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "plain-rmw",
            "dirty-atomic",
            "no-final-shadow-stack",
            Holds,
            None,
        ),
        (
            "plain-rmw",
            "dirty-atomic",
            "no-transient-shadow-stack",
            Holds,
            None,
        ),
        (
            "plain-rmw",
            "dirty-atomic",
            "no-lost-dirty",
            Violated,
            Some(3),
        ),
        (
            "plain-rmw",
            "dirty-atomic",
            "no-store-after-return",
            Violated,
            Some(3),
        ),
        (
            "plain-rmw",
            "dirty-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "plain-rmw",
            "dirty-non-atomic",
            "no-final-shadow-stack",
            Violated,
            Some(5),
        ),
        (
            "plain-rmw",
            "dirty-non-atomic",
            "no-transient-shadow-stack",
            Violated,
            Some(4),
        ),
        (
            "plain-rmw",
            "dirty-non-atomic",
            "no-lost-dirty",
            Violated,
            Some(5),
        ),
        (
            "plain-rmw",
            "dirty-non-atomic",
            "no-store-after-return",
            Violated,
            Some(3),
        ),
        (
            "plain-rmw",
            "dirty-non-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "choice-1",
            "dirty-atomic",
            "no-final-shadow-stack",
            Holds,
            None,
        ),
        (
            "choice-1",
            "dirty-atomic",
            "no-transient-shadow-stack",
            Holds,
            None,
        ),
        ("choice-1", "dirty-atomic", "no-lost-dirty", Holds, None),
        (
            "choice-1",
            "dirty-atomic",
            "no-store-after-return",
            Holds,
            None,
        ),
        (
            "choice-1",
            "dirty-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "choice-1",
            "dirty-non-atomic",
            "no-final-shadow-stack",
            Holds,
            None,
        ),
        (
            "choice-1",
            "dirty-non-atomic",
            "no-transient-shadow-stack",
            Holds,
            None,
        ),
        ("choice-1", "dirty-non-atomic", "no-lost-dirty", Holds, None),
        (
            "choice-1",
            "dirty-non-atomic",
            "no-store-after-return",
            Holds,
            None,
        ),
        (
            "choice-1",
            "dirty-non-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "choice-2",
            "dirty-atomic",
            "no-final-shadow-stack",
            Holds,
            None,
        ),
        (
            "choice-2",
            "dirty-atomic",
            "no-transient-shadow-stack",
            Violated,
            Some(1),
        ),
        ("choice-2", "dirty-atomic", "no-lost-dirty", Holds, None),
        (
            "choice-2",
            "dirty-atomic",
            "no-store-after-return",
            Holds,
            None,
        ),
        (
            "choice-2",
            "dirty-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "choice-2",
            "dirty-non-atomic",
            "no-final-shadow-stack",
            Holds,
            None,
        ),
        (
            "choice-2",
            "dirty-non-atomic",
            "no-transient-shadow-stack",
            Violated,
            Some(1),
        ),
        ("choice-2", "dirty-non-atomic", "no-lost-dirty", Holds, None),
        (
            "choice-2",
            "dirty-non-atomic",
            "no-store-after-return",
            Holds,
            None,
        ),
        (
            "choice-2",
            "dirty-non-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "cmpxchg",
            "dirty-atomic",
            "no-final-shadow-stack",
            Holds,
            None,
        ),
        (
            "cmpxchg",
            "dirty-atomic",
            "no-transient-shadow-stack",
            Holds,
            None,
        ),
        ("cmpxchg", "dirty-atomic", "no-lost-dirty", Holds, None),
        (
            "cmpxchg",
            "dirty-atomic",
            "no-store-after-return",
            Violated,
            Some(3),
        ),
        (
            "cmpxchg",
            "dirty-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "cmpxchg",
            "dirty-non-atomic",
            "no-final-shadow-stack",
            Violated,
            Some(5),
        ),
        (
            "cmpxchg",
            "dirty-non-atomic",
            "no-transient-shadow-stack",
            Violated,
            Some(4),
        ),
        ("cmpxchg", "dirty-non-atomic", "no-lost-dirty", Holds, None),
        (
            "cmpxchg",
            "dirty-non-atomic",
            "no-store-after-return",
            Violated,
            Some(3),
        ),
        (
            "cmpxchg",
            "dirty-non-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "cmpxchg-flush",
            "dirty-atomic",
            "no-final-shadow-stack",
            Holds,
            None,
        ),
        (
            "cmpxchg-flush",
            "dirty-atomic",
            "no-transient-shadow-stack",
            Holds,
            None,
        ),
        (
            "cmpxchg-flush",
            "dirty-atomic",
            "no-lost-dirty",
            Holds,
            None,
        ),
        (
            "cmpxchg-flush",
            "dirty-atomic",
            "no-store-after-return",
            Holds,
            None,
        ),
        (
            "cmpxchg-flush",
            "dirty-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
        (
            "cmpxchg-flush",
            "dirty-non-atomic",
            "no-final-shadow-stack",
            Violated,
            Some(6),
        ),
        (
            "cmpxchg-flush",
            "dirty-non-atomic",
            "no-transient-shadow-stack",
            Violated,
            Some(4),
        ),
        (
            "cmpxchg-flush",
            "dirty-non-atomic",
            "no-lost-dirty",
            Holds,
            None,
        ),
        (
            "cmpxchg-flush",
            "dirty-non-atomic",
            "no-store-after-return",
            Holds,
            None,
        ),
        (
            "cmpxchg-flush",
            "dirty-non-atomic",
            "no-store-after-return-clean",
            Holds,
            None,
        ),
    ];
    verify("write-protect", &expected);
}

#[test]
fn cow_states() {
    let expected = [
        (
            "merged",
            "dirty-atomic",
            "no-shadow-stack-in-ordinary",
            Holds,
            None,
        ),
        ("merged", "dirty-atomic", "no-lost-dirty", Holds, None),
        (
            "merged",
            "dirty-atomic",
            "one-shadow-stack-owner",
            Holds,
            None,
        ),
        ("merged", "dirty-atomic", "copy-on-access", Holds, None),
        (
            "merged",
            "dirty-atomic",
            "direct-write-refused",
            Holds,
            None,
        ),
        ("merged", "dirty-atomic", "guard-page-stands", Holds, None),
        (
            "merged",
            "dirty-non-atomic",
            "no-shadow-stack-in-ordinary",
            Violated,
            Some(9),
        ),
        ("merged", "dirty-non-atomic", "no-lost-dirty", Holds, None),
        (
            "merged",
            "dirty-non-atomic",
            "one-shadow-stack-owner",
            Holds,
            None,
        ),
        ("merged", "dirty-non-atomic", "copy-on-access", Holds, None),
        (
            "merged",
            "dirty-non-atomic",
            "direct-write-refused",
            Holds,
            None,
        ),
        (
            "merged",
            "dirty-non-atomic",
            "guard-page-stands",
            Holds,
            None,
        ),
        (
            "split",
            "dirty-atomic",
            "no-shadow-stack-in-ordinary",
            Holds,
            None,
        ),
        ("split", "dirty-atomic", "no-lost-dirty", Violated, Some(8)),
        (
            "split",
            "dirty-atomic",
            "one-shadow-stack-owner",
            Holds,
            None,
        ),
        ("split", "dirty-atomic", "copy-on-access", Holds, None),
        ("split", "dirty-atomic", "direct-write-refused", Holds, None),
        ("split", "dirty-atomic", "guard-page-stands", Holds, None),
        (
            "split",
            "dirty-non-atomic",
            "no-shadow-stack-in-ordinary",
            Violated,
            Some(9),
        ),
        (
            "split",
            "dirty-non-atomic",
            "no-lost-dirty",
            Violated,
            Some(9),
        ),
        (
            "split",
            "dirty-non-atomic",
            "one-shadow-stack-owner",
            Holds,
            None,
        ),
        ("split", "dirty-non-atomic", "copy-on-access", Holds, None),
        (
            "split",
            "dirty-non-atomic",
            "direct-write-refused",
            Holds,
            None,
        ),
        (
            "split",
            "dirty-non-atomic",
            "guard-page-stands",
            Holds,
            None,
        ),
        (
            "write-means-w",
            "dirty-atomic",
            "no-shadow-stack-in-ordinary",
            Holds,
            None,
        ),
        (
            "write-means-w",
            "dirty-atomic",
            "no-lost-dirty",
            Holds,
            None,
        ),
        (
            "write-means-w",
            "dirty-atomic",
            "one-shadow-stack-owner",
            Violated,
            Some(2),
        ),
        (
            "write-means-w",
            "dirty-atomic",
            "copy-on-access",
            Violated,
            Some(3),
        ),
        (
            "write-means-w",
            "dirty-atomic",
            "direct-write-refused",
            Holds,
            None,
        ),
        (
            "write-means-w",
            "dirty-atomic",
            "guard-page-stands",
            Holds,
            None,
        ),
        (
            "write-means-w",
            "dirty-non-atomic",
            "no-shadow-stack-in-ordinary",
            Violated,
            Some(9),
        ),
        (
            "write-means-w",
            "dirty-non-atomic",
            "no-lost-dirty",
            Holds,
            None,
        ),
        (
            "write-means-w",
            "dirty-non-atomic",
            "one-shadow-stack-owner",
            Violated,
            Some(2),
        ),
        (
            "write-means-w",
            "dirty-non-atomic",
            "copy-on-access",
            Violated,
            Some(3),
        ),
        (
            "write-means-w",
            "dirty-non-atomic",
            "direct-write-refused",
            Holds,
            None,
        ),
        (
            "write-means-w",
            "dirty-non-atomic",
            "guard-page-stands",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-atomic",
            "no-shadow-stack-in-ordinary",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-atomic",
            "no-lost-dirty",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-atomic",
            "one-shadow-stack-owner",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-atomic",
            "copy-on-access",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-atomic",
            "direct-write-refused",
            Violated,
            Some(4),
        ),
        (
            "mkwrite-without-vma",
            "dirty-atomic",
            "guard-page-stands",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-non-atomic",
            "no-shadow-stack-in-ordinary",
            Violated,
            Some(9),
        ),
        (
            "mkwrite-without-vma",
            "dirty-non-atomic",
            "no-lost-dirty",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-non-atomic",
            "one-shadow-stack-owner",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-non-atomic",
            "copy-on-access",
            Holds,
            None,
        ),
        (
            "mkwrite-without-vma",
            "dirty-non-atomic",
            "direct-write-refused",
            Violated,
            Some(4),
        ),
        (
            "mkwrite-without-vma",
            "dirty-non-atomic",
            "guard-page-stands",
            Holds,
            None,
        ),
        (
            "no-guard-gap",
            "dirty-atomic",
            "no-shadow-stack-in-ordinary",
            Holds,
            None,
        ),
        ("no-guard-gap", "dirty-atomic", "no-lost-dirty", Holds, None),
        (
            "no-guard-gap",
            "dirty-atomic",
            "one-shadow-stack-owner",
            Holds,
            None,
        ),
        (
            "no-guard-gap",
            "dirty-atomic",
            "copy-on-access",
            Holds,
            None,
        ),
        (
            "no-guard-gap",
            "dirty-atomic",
            "direct-write-refused",
            Holds,
            None,
        ),
        (
            "no-guard-gap",
            "dirty-atomic",
            "guard-page-stands",
            Violated,
            Some(9),
        ),
        (
            "no-guard-gap",
            "dirty-non-atomic",
            "no-shadow-stack-in-ordinary",
            Violated,
            Some(9),
        ),
        (
            "no-guard-gap",
            "dirty-non-atomic",
            "no-lost-dirty",
            Holds,
            None,
        ),
        (
            "no-guard-gap",
            "dirty-non-atomic",
            "one-shadow-stack-owner",
            Holds,
            None,
        ),
        (
            "no-guard-gap",
            "dirty-non-atomic",
            "copy-on-access",
            Holds,
            None,
        ),
        (
            "no-guard-gap",
            "dirty-non-atomic",
            "direct-write-refused",
            Holds,
            None,
        ),
        (
            "no-guard-gap",
            "dirty-non-atomic",
            "guard-page-stands",
            Violated,
            Some(9),
        ),
    ];
    verify("cow-states", &expected);
}

#[test]
fn uffd_wp() {
    let expected = [
        ("none", "clears-w", "no-lost-store", Violated, Some(20)),
        ("none", "leaves-w", "no-lost-store", Violated, Some(26)),
        (
            "pending-check-in-fault",
            "clears-w",
            "no-lost-store",
            Holds,
            None,
        ),
        (
            "pending-check-in-fault",
            "leaves-w",
            "no-lost-store",
            Holds,
            None,
        ),
        ("mmap-write-lock", "clears-w", "no-lost-store", Holds, None),
        ("mmap-write-lock", "leaves-w", "no-lost-store", Holds, None),
        ("table-generation", "clears-w", "no-lost-store", Holds, None),
        ("table-generation", "leaves-w", "no-lost-store", Holds, None),
        (
            "pending-check-before-ptl",
            "clears-w",
            "no-lost-store",
            Violated,
            Some(21),
        ),
        (
            "pending-check-before-ptl",
            "leaves-w",
            "no-lost-store",
            Violated,
            Some(27),
        ),
        (
            "pending-check-under-ptl",
            "clears-w",
            "no-lost-store",
            Violated,
            Some(21),
        ),
        (
            "pending-check-under-ptl",
            "leaves-w",
            "no-lost-store",
            Holds,
            None,
        ),
    ];
    verify("uffd-wp", &expected);
}

#[test]
fn async_flush() {
    let expected = [
        ("sync", "-", "no-stale-access", Holds, None),
        ("sync", "-", "no-walk-through-freed-table", Holds, None),
        ("async", "-", "no-stale-access", Violated, Some(12)),
        ("async", "-", "no-walk-through-freed-table", Holds, None),
        ("async-nmi-check", "-", "no-stale-access", Holds, None),
        (
            "async-nmi-check",
            "-",
            "no-walk-through-freed-table",
            Holds,
            None,
        ),
        (
            "async-unlock-before-flag",
            "-",
            "no-stale-access",
            Violated,
            Some(11),
        ),
        (
            "async-unlock-before-flag",
            "-",
            "no-walk-through-freed-table",
            Holds,
            None,
        ),
        ("async-tables-freed", "-", "no-stale-access", Holds, None),
        (
            "async-tables-freed",
            "-",
            "no-walk-through-freed-table",
            Violated,
            Some(11),
        ),
        ("rfc", "-", "no-stale-access", Holds, None),
        ("rfc", "-", "no-walk-through-freed-table", Holds, None),
        ("no-wait", "-", "no-stale-access", Violated, Some(4)),
        ("no-wait", "-", "no-walk-through-freed-table", Holds, None),
    ];
    verify("async-flush", &expected);
}

#[test]
fn upgrade() {
    let expected = [
        ("none", "smmu", "progress", Livelock, Some(10)),
        ("none", "smmu-btm-broadcast", "progress", Holds, None),
        ("none", "smmu-btm-local", "progress", Livelock, Some(10)),
        ("none", "smmu-rewalk", "progress", Holds, None),
        ("none", "kvm-shadow", "progress", Holds, None),
        ("none", "ats", "progress", Livelock, Some(10)),
        ("none", "ats-tlb-only", "progress", Livelock, Some(10)),
        ("range-event", "smmu", "progress", Holds, None),
        ("range-event", "smmu-btm-broadcast", "progress", Holds, None),
        ("range-event", "smmu-btm-local", "progress", Holds, None),
        ("range-event", "smmu-rewalk", "progress", Holds, None),
        ("range-event", "kvm-shadow", "progress", Holds, None),
        ("range-event", "ats", "progress", Holds, None),
        (
            "range-event",
            "ats-tlb-only",
            "progress",
            Livelock,
            Some(10),
        ),
        ("secondary-tlb", "smmu", "progress", Holds, None),
        (
            "secondary-tlb",
            "smmu-btm-broadcast",
            "progress",
            Holds,
            None,
        ),
        ("secondary-tlb", "smmu-btm-local", "progress", Holds, None),
        ("secondary-tlb", "smmu-rewalk", "progress", Holds, None),
        ("secondary-tlb", "kvm-shadow", "progress", Holds, None),
        ("secondary-tlb", "ats", "progress", Holds, None),
        (
            "secondary-tlb",
            "ats-tlb-only",
            "progress",
            Livelock,
            Some(11),
        ),
    ];
    verify("upgrade", &expected);
}

#[test]
fn downgrade() {
    let expected = [
        (
            "start-only",
            "smmu",
            "no-access-after-free",
            Violated,
            Some(6),
        ),
        (
            "start-only",
            "ats",
            "no-access-after-free",
            Violated,
            Some(9),
        ),
        (
            "start-only",
            "ats-atc-first",
            "no-access-after-free",
            Violated,
            Some(9),
        ),
        (
            "start-only",
            "early-completion",
            "no-access-after-free",
            Violated,
            Some(6),
        ),
        (
            "start-only",
            "early-completion-twice",
            "no-access-after-free",
            Violated,
            Some(8),
        ),
        (
            "end-only",
            "smmu",
            "no-access-after-free",
            Violated,
            Some(4),
        ),
        ("end-only", "ats", "no-access-after-free", Violated, Some(6)),
        (
            "end-only",
            "ats-atc-first",
            "no-access-after-free",
            Violated,
            Some(6),
        ),
        (
            "end-only",
            "early-completion",
            "no-access-after-free",
            Violated,
            Some(4),
        ),
        (
            "end-only",
            "early-completion-twice",
            "no-access-after-free",
            Violated,
            Some(4),
        ),
        (
            "clear-inval-free",
            "smmu",
            "no-access-after-free",
            Holds,
            None,
        ),
        (
            "clear-inval-free",
            "ats",
            "no-access-after-free",
            Holds,
            None,
        ),
        (
            "clear-inval-free",
            "ats-atc-first",
            "no-access-after-free",
            Violated,
            Some(12),
        ),
        (
            "clear-inval-free",
            "early-completion",
            "no-access-after-free",
            Violated,
            Some(6),
        ),
        (
            "clear-inval-free",
            "early-completion-twice",
            "no-access-after-free",
            Holds,
            None,
        ),
        (
            "lazy-queue",
            "smmu",
            "no-access-after-free",
            Violated,
            Some(4),
        ),
        (
            "lazy-queue",
            "ats",
            "no-access-after-free",
            Violated,
            Some(6),
        ),
        (
            "lazy-queue",
            "ats-atc-first",
            "no-access-after-free",
            Violated,
            Some(6),
        ),
        (
            "lazy-queue",
            "early-completion",
            "no-access-after-free",
            Violated,
            Some(4),
        ),
        (
            "lazy-queue",
            "early-completion-twice",
            "no-access-after-free",
            Violated,
            Some(4),
        ),
    ];
    verify("downgrade", &expected);
}

/// How often the device can fault on a page that it may write, before it gets through.
#[test]
fn spurious_faults_of_the_upgrade() {
    let reports = reports("upgrade");
    let most = |os: &str, hardware: &str| {
        let mut cells = reports.iter();
        let is = |value: &Option<String>, wanted: &str| value.as_deref() == Some(wanted);
        let cell = cells.find(|one| is(&one.cell.os, os) && is(&one.cell.hardware, hardware));
        cell.unwrap().properties[0].most.clone().unwrap().1
    };
    for hardware in [
        "smmu",
        "smmu-btm-broadcast",
        "smmu-btm-local",
        "smmu-rewalk",
        "kvm-shadow",
        "ats",
    ] {
        assert_eq!(
            most("secondary-tlb", hardware),
            Most::Times(1),
            "{hardware}"
        );
    }
    // Between the unlocking and the event the device may come back as often as it likes.
    assert_eq!(most("range-event", "smmu"), Most::Unbounded);
    assert_eq!(most("range-event", "ats"), Most::Unbounded);
    assert_eq!(most("range-event", "kvm-shadow"), Most::Times(2));
    assert_eq!(most("none", "smmu"), Most::Unbounded);
}

/// All that W, Dirty and saved-dirty can be together.
#[test]
fn closures_of_cow_states() {
    let reports = reports("cow-states");
    let rows = |report: usize, table: usize| {
        let rows = &reports[report].tables[table].rows;
        rows.iter()
            .map(|row| row.concat())
            .collect::<Vec<_>>()
            .join(" ")
    };
    // W, D, SD: merged on dirty-atomic, merged on dirty-non-atomic, then split on both.
    assert_eq!([rows(0, 0), rows(2, 0)], ["000 001 100 110"; 2]);
    assert_eq!([rows(1, 0), rows(3, 0)], ["000 001 010 011 100 110"; 2]);
    // The parent's shadow stack: 000 while pte_mkclean() has been there and no push has come by.
    assert_eq!(
        [rows(0, 1), rows(1, 1), rows(2, 1), rows(3, 1)],
        ["000 001 010 011"; 4]
    );
    // Where fork passes by, and where pte_mkwrite() sets W.
    assert_eq!(rows(4, 1), "000 001 010 011");
    assert_eq!(rows(6, 1), "000 001 010 100 110");
}
