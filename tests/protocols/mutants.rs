//! Mutants, repairs and elisions: what the conditions of the scenarios see, what the edits find.

use std::ops::ControlFlow;

use notifier::explore::{Cell, Limits, Most, Progress, Reductions, Verdict, explore};
use notifier::mutate::{
    Baseline, By, Class, Outcome, always_ends, cost, edits, mutants, removals, without,
};
use notifier::scenario::{Checked, check, format, parse};

use crate::{report, scenario};

fn cell(os: &str, hardware: &str) -> Cell {
    let value = |name: &str| (name != "-").then(|| name.to_owned());
    Cell {
        os: value(os),
        hardware: value(hardware),
    }
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The error for a scenario that can't be explored.
fn refused(checked: &Checked, cell: &Cell) -> String {
    let (limits, mut watch) = (Limits::default(), go_on);
    let error = explore(checked, cell, &limits, Reductions::On, &mut watch);
    error.expect_err("it is refused").to_string()
}

fn baseline<'a>(checked: &'a Checked, cell: &Cell) -> Baseline<'a> {
    Baseline::new(checked, cell, &Limits::default(), &mut go_on).expect("it can be explored")
}

/// Class, step, change and outcome of all mutants of a cell.
fn judged(name: &str, cell: &Cell) -> Vec<(Class, String, String, Outcome)> {
    let checked = scenario(name);
    let baseline = baseline(&checked, cell);
    let all = mutants(&checked, cell).into_iter().map(|mutant| {
        let outcome = baseline.judge(&mutant.checked, &mut go_on);
        (mutant.class, mutant.step, mutant.change, outcome)
    });
    all.collect()
}

/// What saw the first mutant of a class at a step: its name, verdict and length of trace.
fn seen(
    all: &[(Class, String, String, Outcome)],
    class: Class,
    step: &str,
) -> Vec<(String, Verdict, Option<usize>)> {
    let found = all.iter().find(|one| one.0 == class && one.1 == step);
    match &found.expect("there is such a mutant").3 {
        Outcome::Caught(all) => all
            .iter()
            .map(|catch| (catch.by.to_string(), catch.verdict, catch.length))
            .collect(),
        other => panic!("{class} {step}: {other:?}"),
    }
}

/// (mutants, caught, equivalent, survived)
fn score(all: &[(Class, String, String, Outcome)]) -> [usize; 4] {
    let count = |wanted: fn(&Outcome) -> bool| all.iter().filter(|one| wanted(&one.3)).count();
    [
        all.len(),
        count(|one| matches!(one, Outcome::Caught(_))),
        count(|one| matches!(one, Outcome::Equivalent(_))),
        count(|one| matches!(one, Outcome::Survived)),
    ]
}

/// Every class makes mutants of a cell, and each of them is seen unless nothing can be seen of it.
#[test]
fn every_mutant_of_the_downgrade_is_seen_or_equivalent() {
    for hardware in ["smmu", "ats", "early-completion-twice"] {
        let all = judged("downgrade", &cell("clear-inval-free", hardware));
        let [mutants, caught, equivalent, survived] = score(&all);
        assert_eq!(survived, 0, "{hardware}: {all:#?}");
        assert_eq!(mutants, caught + equivalent);
        assert!(caught > equivalent, "{hardware}");
    }
}

#[test]
fn mutants_of_the_merged_fix_are_seen_by_progress() {
    let all = judged("upgrade", &cell("secondary-tlb", "ats"));
    let progress = |length| vec![("progress".into(), Verdict::Livelock, Some(length))];
    assert_eq!(
        seen(&all, Class::Missing, "invalidate-secondary()"),
        progress(10)
    );
    // An ATC that is invalidated first is filled again from the SMMU's TLB.
    let order = seen(&all, Class::WrongOrder, "invalidates the SMMU's TLB entry");
    assert_eq!(order, progress(14));
    let wrong = seen(&all, Class::WrongTarget, "invalidates the SMMU's TLB entry");
    assert_eq!(wrong, progress(14));
    // Outside of the lock it still gets through, only not after a number of faults that is known.
    let unlocked = all
        .iter()
        .find(|one| one.0 == Class::WrongOrder && one.1 == "unlock ptl");
    let Outcome::Caught(catches) = &unlocked.unwrap().3 else {
        panic!("{unlocked:?}");
    };
    let grown = By::Counter("spurious-faults".into(), Most::Times(1), Most::Unbounded);
    assert_eq!(catches[0].by, grown);
}

/// The hole in the upgrade: nothing asks whether the CPU's own TLB is ever invalidated.
#[test]
fn the_cpus_own_tlb_is_nobodys_business_in_the_upgrade() {
    let all = judged("upgrade", &cell("secondary-tlb", "smmu"));
    let survived = all.iter().filter(|one| one.3 == Outcome::Survived);
    let mut steps: Vec<&str> = survived.map(|one| one.1.as_str()).collect();
    steps.dedup();
    assert!(steps.contains(&"TLBI, local"), "{steps:?}");
}

/// Who is never answered waits for ever, which the explorer itself sees.
#[test]
fn what_never_completes_is_seen_without_a_condition() {
    let all = judged("downgrade", &cell("clear-inval-free", "smmu"));
    let waits = seen(
        &all,
        Class::NotLive,
        "CMD_SYNC completes: the SMMU says that it is done",
    );
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].0, By::Waits.to_string());
}

/// An event that goes on for ever beside those who wait does not hide them.
#[test]
fn who_waits_beside_an_endless_event_is_seen() {
    let all = judged("async-flush", &cell("sync", "-"));
    let lost = seen(&all, Class::Missing, "ipi = 1");
    assert_eq!(lost[0].0, By::Waits.to_string());
    // The other CPU never acknowledges, but an NMI or a walk is always possible: only that no end is
    // in reach any more shows it.
    let checked = scenario("async-flush");
    let changed = format(&checked.scenario).replace("when nmis > 0", "when 1 > 0");
    let changed = parse(&changed.replace("nmis = nmis - 1;", "nmis = 1 - nmis;"));
    let changed = changed.and_then(check).unwrap();
    let cell = cell("sync", "-");
    let ends = |one: &Checked| always_ends(one, &cell, &Limits::default(), &mut go_on);
    assert_eq!((ends(&checked), ends(&changed)), (Some(true), Some(true)));
    let silent = format(&changed.scenario).replace("        ipi = 1;\n", "");
    let silent = parse(&silent).and_then(check).unwrap();
    let error = refused(&silent, &cell);
    assert!(error.contains("`initiator` waits here"), "{error}");
    assert_eq!(ends(&silent), Some(false));
}

/// A flush only if the entry is present, which it always is; and one that is not: `choice-1` clears P.
#[test]
fn an_equivalent_mutant_is_told_from_one_that_is_not() {
    let skipped = |os: &str| {
        let all = judged("write-protect", &cell(os, "dirty-atomic"));
        let mut found = all.into_iter().filter(|one| one.0 == Class::Skipped);
        found.find(|one| one.2 == "only if pte.P").unwrap().3
    };
    assert!(matches!(skipped("cmpxchg-flush"), Outcome::Equivalent(_)));
    assert!(matches!(skipped("choice-1"), Outcome::Caught(_)));
}

/// Which steps of a cell can't be left out one by one, and by what they are needed.
fn needed(name: &str, cell: &Cell) -> Vec<(String, Vec<String>)> {
    let checked = scenario(name);
    let baseline = baseline(&checked, cell);
    let tried = removals(&checked, cell).into_iter().map(|removal| {
        let left = without(&checked, cell, &[&removal]).expect("it is alone");
        let left = left.expect("it makes sense");
        let by = match baseline.judge(&left, &mut go_on) {
            Outcome::Caught(all) => all.iter().map(|catch| catch.by.to_string()).collect(),
            _ => Vec::new(),
        };
        (removal.step, by)
    });
    tried.collect()
}

#[test]
fn the_flush_of_cmpxchg_flush_is_needed_only_against_stores_after_the_return() {
    let needed = needed("write-protect", &cell("cmpxchg-flush", "dirty-atomic"));
    let by = vec![String::from("no-store-after-return")];
    let both = ["flushes CPU0's TLB by an IPI", "flush-cpu0()"];
    assert_eq!(needed, both.map(|step| (step.into(), by.clone())));
}

#[test]
fn a_set_with_a_step_that_is_gone_already_is_no_set() {
    let (checked, cell) = (scenario("upgrade"), cell("secondary-tlb", "smmu-rewalk"));
    let all = removals(&checked, &cell);
    let find = |step: &str| all.iter().find(|one| one.step == step).unwrap();
    let (inner, call) = (
        find("invalidates the SMMU's TLB entry"),
        find("invalidate-secondary()"),
    );
    assert!(without(&checked, &cell, &[inner, call]).is_none());
    assert!(without(&checked, &cell, &[inner, find("TLBI, local")]).is_some());
}

/// The repairs of one edit, the best first: where the step stands, then the order of the text.
fn repairs(name: &str, cell: &Cell) -> Vec<(String, Checked)> {
    let mut found: Vec<_> = edits(&scenario(name), cell)
        .into_iter()
        .filter(|edit| {
            let ends = always_ends(&edit.checked, cell, &Limits::default(), &mut go_on);
            report(&edit.checked, cell).holds() && ends == Some(true)
        })
        .collect();
    let bounded = |checked: &Checked| cost(&report(checked, cell)) == Most::Unbounded;
    found.sort_by_key(|edit| (bounded(&edit.checked), edit.standing));
    found
        .into_iter()
        .map(|edit| (edit.words, edit.checked))
        .collect()
}

/// What was merged in 6.6: the secondary TLB is invalidated behind the change, under its lock.
#[test]
fn the_flagship_is_repaired_as_it_was() {
    let found = repairs("upgrade", &cell("none", "smmu"));
    let (words, repaired) = &found[0];
    assert!(words.starts_with("`tlbi iotlb` before"), "{words}");
    let text = format(&repaired.scenario);
    let change = text.find("pte.W = 1;").unwrap();
    let unlock = change + text[change..].find("unlock ptl;").unwrap();
    assert!(
        text[change..unlock].contains("tlbi iotlb;\n        when (broadcast)"),
        "{text}"
    );
    // With an ATC, nothing less than the whole notification will do.
    let found = repairs("upgrade", &cell("none", "ats"));
    assert!(
        found[0].0.starts_with("`invalidate-secondary()` before"),
        "{}",
        found[0].0
    );
    assert!(
        found
            .iter()
            .all(|one| one.0.starts_with("`invalidate-secondary()`"))
    );
}

/// A wait that never ends would make every condition hold; it is no repair.
#[test]
fn a_repair_lets_everybody_come_to_his_end() {
    let found = repairs("async-flush", &cell("no-wait", "-"));
    assert!(!found.is_empty());
    assert!(
        found
            .iter()
            .all(|one| one.0.starts_with("`await not (csd)`")),
        "{found:?}"
    );
}

/// What is printed of a repair is a scenario: it is read again, and holds.
#[test]
fn every_edit_can_be_read_again() {
    let checked = scenario("upgrade");
    let cell = cell("none", "smmu");
    let all: Vec<_> = edits(&checked, &cell)
        .into_iter()
        .map(|edit| edit.checked)
        .chain(mutants(&checked, &cell).into_iter().map(|one| one.checked))
        .collect();
    assert!(all.len() > 50);
    for edited in all {
        let text = format(&edited.scenario);
        let again = parse(&text).and_then(check).unwrap();
        assert_eq!(again.scenario, edited.scenario);
        assert_ne!(again.scenario, checked.scenario);
    }
}
