//! Mutants, repairs and elisions: what the conditions of the scenarios see, what the edits find.

use std::ops::ControlFlow;

use notifier::explore::{Cell, Limits, Most, Progress, Reductions, Verdict, explore};
use notifier::mutate::{
    Baseline, By, Class, Edit, Outcome, always_ends, cost, edits, mutants, removals, without,
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
    let progress = |length| ("progress".into(), Verdict::Livelock, Some(length));
    let refusal = |length| ("no-stale-refusal".into(), Verdict::Violated, Some(length));
    assert_eq!(
        seen(&all, Class::Missing, "invalidate-secondary()"),
        [progress(12)]
    );
    // An ATC that is invalidated first is filled again from the SMMU's TLB.
    let order = seen(&all, Class::WrongOrder, "invalidate-smmu()");
    assert_eq!(order, [progress(18), refusal(10)]);
    let wrong = seen(&all, Class::WrongTarget, "tlbi iotlb");
    assert_eq!(wrong, [progress(18), refusal(7)]);
    // An invalidation that completes while a walk that began before it is in flight.
    let early = seen(&all, Class::Missing, "tlbi walk");
    assert_eq!(
        early.last().map(|one| one.0.as_str()),
        Some("no-stale-refusal")
    );
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

/// Class, step and change of those that nothing sees.
fn survivors(name: &str, cell: &Cell) -> Vec<(Class, String, String)> {
    let all = judged(name, cell).into_iter();
    let survived = all.filter(|one| one.3 == Outcome::Survived);
    survived
        .map(|(class, step, change, _)| (class, step, change))
        .collect()
}

fn told(all: &[(Class, &str, &str)]) -> Vec<(Class, String, String)> {
    let all = all.iter();
    all.map(|(class, step, change)| (*class, (*step).into(), (*change).into()))
        .collect()
}

/// Each of these is told with its reason in the book.
#[test]
fn what_survives_in_correct_cells_is_known() {
    let untaken = "the lock is not taken";
    assert_eq!(
        survivors("upgrade", &cell("secondary-tlb", "smmu")),
        told(&[
            (Class::Missing, "TLBI, broadcast", "removed"),
            (Class::Missing, "lock ptl", untaken),
            (
                Class::TooEarly,
                "tlbi cpu-tlb",
                "before the block around it"
            ),
            (Class::WrongTarget, "tlbi cpu-tlb[cpu]", "tlbi iotlb"),
        ])
    );
    assert_eq!(
        survivors("uffd-wp", &cell("mmap-write-lock", "leaves-w")),
        told(&[
            (
                Class::Missing,
                "write fault: takes the mmap lock to read",
                untaken
            ),
            (Class::Missing, "write-lock mmap", untaken),
            (Class::Missing, "lock ptl", untaken),
            (
                Class::TooEarly,
                "one more flush is pending",
                "before `when exclusive`"
            ),
            (
                Class::TooLate,
                "its flush is not pending any more",
                "after `when exclusive`"
            ),
        ])
    );
    let only_if_dirty = |step| (Class::Skipped, step, "only if pte.D");
    assert_eq!(
        survivors("write-protect", &cell("choice-1", "dirty-atomic")),
        told(&[
            only_if_dirty("flushes CPU0's TLB by an IPI"),
            only_if_dirty("flush-cpu0()"),
        ])
    );
}

/// The flush before a copy is installed is asked for by the coherence rule alone: no store is lost.
#[test]
fn the_flush_before_a_copy_is_installed_is_needed_by_who_reads() {
    let all = judged("uffd-wp", &cell("mmap-write-lock", "leaves-w"));
    let missing = all
        .iter()
        .filter(|one| one.0 == Class::Missing && one.1 == "flush()");
    let by: Vec<Vec<_>> = missing
        .map(|one| match &one.3 {
            Outcome::Caught(all) => all.iter().map(|catch| catch.by.to_string()).collect(),
            other => panic!("{other:?}"),
        })
        .collect();
    // The monitors', then the one in the fault.
    assert_eq!(
        by,
        [
            vec!["no-lost-store", "no-store-missing", "no-stale-write"],
            vec!["no-stale-read"]
        ]
    );
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
    assert!(without(&checked, &cell, &[inner, find("TLBI, broadcast")]).is_some());
}

fn is_repair(edit: &Edit, cell: &Cell) -> bool {
    let ends = always_ends(&edit.checked, cell, &Limits::default(), &mut go_on);
    report(&edit.checked, cell).holds() && ends == Some(true)
}

/// The repairs of one edit.
fn repairs(name: &str, cell: &Cell) -> Vec<Edit> {
    let all = edits(&scenario(name), cell).into_iter();
    all.filter(|edit| is_repair(edit, cell)).collect()
}

/// The best repair of one edit that bounds the faults: where the step stands, then the order of the
/// text. What stands worse is not looked at any more.
fn best(name: &str, cell: &Cell) -> Edit {
    let mut all = edits(&scenario(name), cell);
    all.sort_by_key(|edit| edit.standing);
    let bounds = |edit: &Edit| cost(&report(&edit.checked, cell)) != Most::Unbounded;
    let mut repairs = all
        .into_iter()
        .filter(|edit| is_repair(edit, cell) && bounds(edit));
    repairs.next().expect("there is a repair")
}

/// What was merged in 6.6: secondary TLBs are invalidated behind the change, under its lock.
#[test]
fn the_flagship_is_repaired_as_it_was() {
    for hardware in ["smmu", "ats"] {
        let found = best("upgrade", &cell("none", hardware));
        assert!(
            found.words.starts_with("`invalidate-secondary()` before"),
            "{}",
            found.words
        );
        let text = format(&found.checked.scenario);
        let change = text.find("pte.W = 1;").unwrap();
        let unlock = change + text[change..].find("unlock ptl;").unwrap();
        assert!(
            text[change..unlock].contains("invalidate-secondary();\n        when local-tlbi"),
            "{text}"
        );
    }
}

/// With an ATC, to tell the SMMU alone mends nothing, wherever that is done.
#[test]
fn nothing_less_than_the_whole_notification_mends_an_atc() {
    let cell = cell("none", "ats");
    let all = edits(&scenario("upgrade"), &cell);
    let mut less = all
        .iter()
        .filter(|edit| edit.words.starts_with("`invalidate-smmu()`"));
    assert!(less.clone().count() > 5);
    assert!(!less.any(|edit| is_repair(edit, &cell)));
}

/// A wait that never ends would make every condition hold; it is no repair.
#[test]
fn a_repair_lets_everybody_come_to_his_end() {
    let found = repairs("async-flush", &cell("no-wait", "-"));
    assert!(!found.is_empty());
    assert!(
        found
            .iter()
            .all(|one| one.words.starts_with("`await not csd`")),
        "{found:?}"
    );
}

/// What is printed of a repair is a scenario. A mutant may have taken away what alone made use of
/// something, but is one otherwise.
#[test]
fn every_edit_can_be_read_again() {
    let checked = scenario("upgrade");
    let cell = cell("none", "smmu");
    let (repairs, mutants) = (edits(&checked, &cell), mutants(&checked, &cell));
    assert!(repairs.len() > 20 && mutants.len() > 20);
    for repair in &repairs {
        check(parse(&format(&repair.checked.scenario)).unwrap()).unwrap();
    }
    let repairs = repairs.into_iter().map(|edit| edit.checked);
    let mutants = mutants.into_iter().map(|mutant| mutant.checked);
    for edited in repairs.chain(mutants) {
        let again = parse(&format(&edited.scenario)).unwrap();
        assert_eq!(again, edited.scenario);
        assert_ne!(again, checked.scenario);
    }
}
