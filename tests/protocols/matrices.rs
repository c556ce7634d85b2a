//! The verdict of every cell of the six matrices, and the length of its trace.
//!
//! They are in `verdicts/`, one line for each condition of each cell. None of them was written before the
//! explorer had derived it. What each means, and where it differs from what a discussion believed, is
//! told beside its trace in the documentation.

use notifier::explore::Most;

use crate::reports;

/// Sees that a matrix is what it was, cell by cell. A line of `expected` is what the software does, what
/// the hardware is (`-` for an axis that there is not), the condition, the verdict, and the length of
/// the trace or `-`.
fn verify(name: &str, expected: &str) {
    let word = |value: &Option<String>| value.clone().unwrap_or("-".into());
    let derived: Vec<_> = reports(name)
        .iter()
        .flat_map(|report| {
            let cell = [word(&report.cell.os), word(&report.cell.hardware)].join(" ");
            report.properties.iter().map(move |one| {
                let length = one
                    .trace
                    .as_ref()
                    .map(|trace| trace.steps.len().to_string());
                let length = length.unwrap_or("-".into());
                format!("{cell} {} {} {length}", one.property, one.verdict)
            })
        })
        .collect();
    for (derived, expected) in derived.iter().zip(expected.lines()) {
        assert_eq!(derived, expected, "{name}");
    }
    assert_eq!(derived.len(), expected.lines().count(), "{name}");
}

#[test]
fn write_protect() {
    verify("write-protect", include_str!("verdicts/write-protect.txt"));
}

#[test]
fn cow_states() {
    verify("cow-states", include_str!("verdicts/cow-states.txt"));
}

#[test]
fn uffd_wp() {
    verify("uffd-wp", include_str!("verdicts/uffd-wp.txt"));
}

#[test]
fn async_flush() {
    verify("async-flush", include_str!("verdicts/async-flush.txt"));
}

#[test]
fn upgrade() {
    verify("upgrade", include_str!("verdicts/upgrade.txt"));
}

#[test]
fn downgrade() {
    verify("downgrade", include_str!("verdicts/downgrade.txt"));
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
    // W, D, SD: merged on dirty-atomic, on dirty-atomic-guest and on dirty-non-atomic, then split likewise.
    assert_eq!(
        [rows(0, 0), rows(1, 0), rows(3, 0), rows(4, 0)],
        ["000 001 100 110"; 4]
    );
    assert_eq!([rows(2, 0), rows(5, 0)], ["000 001 010 011 100 110"; 2]);
    // The parent's shadow stack: 000 while pte_mkclean() has been there and no push has come by.
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(|report| rows(report, 1)),
        ["000 001 010 011"; 6].map(String::from)
    );
    // Where fork passes by, and where pte_mkwrite() sets W.
    assert_eq!(rows(6, 1), "000 001 010 011");
    assert_eq!(rows(9, 1), "000 001 010 100 110");
}
