//! The engine beside a naive one, and small scenarios whose verdicts are plain to see.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::compile::compile;
use super::machine::{Edge, Machine};
use super::memo::Memo;
use super::{Cell, Limits, NAMES, Reductions, Report, Verdict, embedded, explore, survey};
use crate::scenario::{Checked, check, parse};

pub(super) fn checked(text: &str) -> Checked {
    check(parse(text).unwrap()).unwrap_or_else(|error| panic!("{}", error.locate("x", text)))
}

fn explored(text: &str) -> Report {
    let limits = Limits::default();
    let watch = &mut |_| ControlFlow::Continue(());
    survey(
        &checked(text),
        &Cell::default(),
        &limits,
        Reductions::On,
        watch,
    )
    .unwrap()
}

fn verdict(text: &str) -> Verdict {
    explored(text).properties[0].verdict
}

pub(super) fn initial<const W: usize>(machine: &Machine<'_, W>) -> Vec<Edge<W>> {
    let (mut ways, mut found) = (machine.beginnings(), Vec::new());
    while machine.begin(&mut ways, &mut found).unwrap() {}
    found
}

/// All states in a set of the standard library, level by level, with none of the store's tricks.
fn naive<const W: usize>(machine: &Machine<'_, W>) -> (usize, u64, usize) {
    let begun = initial(machine);
    let mut known: HashSet<_> = begun.iter().map(|edge| edge.state).collect();
    let mut level: Vec<_> = known.iter().copied().collect();
    let (mut steps, mut depth) = (0, 0);
    loop {
        let mut next = Vec::new();
        for state in &level {
            let mut edges = Vec::new();
            machine.successors(state, &mut edges).unwrap();
            steps += edges.len() as u64;
            next.extend(
                edges
                    .into_iter()
                    .map(|edge| edge.state)
                    .filter(|state| known.insert(*state)),
            );
        }
        if next.is_empty() {
            return (known.len(), steps, depth);
        }
        depth += 1;
        level = next;
    }
}

#[test]
fn a_naive_search_finds_as_many_states_and_steps() {
    for name in NAMES {
        let checked = checked(embedded(name).unwrap());
        for cell in Cell::all(&checked) {
            let limits = Limits::default();
            let watch = &mut |_| ControlFlow::Continue(());
            let report = explore(&checked, &cell, &limits, Reductions::On, watch).unwrap();
            // One whose every condition is broken was not searched to the end.
            if !report
                .properties
                .iter()
                .any(|one| one.verdict == Verdict::Holds)
            {
                continue;
            }
            let program = compile(&checked, &cell, Reductions::On).unwrap();
            let found = match program.words {
                1 => naive(&Machine::<1>::new(&program)),
                _ => naive(&Machine::<2>::new(&program)),
            };
            assert_eq!(
                (report.states, report.steps, report.depth),
                found,
                "{name} {cell:?}"
            );
        }
    }
}

/// The order of what is found, and so every trace, is the same on several threads. Levels of some
/// thousand states are shared among them, so that only large scenarios make use of it.
#[test]
fn several_threads_find_the_same_as_one() {
    for name in NAMES {
        let checked = checked(embedded(name).unwrap());
        for cell in Cell::all(&checked) {
            let on = |threads| {
                let limits = Limits {
                    threads: NonZeroUsize::new(threads).unwrap(),
                    ..Limits::default()
                };
                let watch = &mut |_| ControlFlow::Continue(());
                explore(&checked, &cell, &limits, Reductions::On, watch).unwrap()
            };
            let one = on(1);
            assert_eq!(one, on(2), "{name} {cell:?}");
            assert_eq!(one, on(3), "{name} {cell:?}");
        }
    }
}

#[test]
fn limits_cut_at_the_same_state_on_several_threads() {
    let checked = checked(embedded("uffd-wp").unwrap());
    let cell = Cell {
        os: Some("table-generation".into()),
        hardware: Some("clears-w".into()),
    };
    for states in [300_000, 1_000_001] {
        let on = |threads| {
            let limits = Limits {
                states,
                threads: NonZeroUsize::new(threads).unwrap(),
                ..Limits::default()
            };
            let watch = &mut |_| ControlFlow::Continue(());
            explore(&checked, &cell, &limits, Reductions::On, watch).unwrap()
        };
        let one = on(1);
        assert_eq!(one.states, states);
        assert_eq!(one.properties[0].verdict, Verdict::Undecided);
        assert_eq!(one, on(2));
    }
}

#[test]
fn remembered_steps_are_those_of_the_machine() {
    for name in NAMES {
        let checked = checked(embedded(name).unwrap());
        for cell in Cell::all(&checked) {
            let program = compile(&checked, &cell, Reductions::On).unwrap();
            match program.words {
                1 => remembers(&Machine::<1>::new(&program)),
                _ => remembers(&Machine::<2>::new(&program)),
            }
        }
    }
}

/// Goes a few hundred random steps, with the same values coming back.
fn remembers<const W: usize>(machine: &Machine<'_, W>) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut memo = Memo::new(machine);
    for _ in 0..20 {
        let mut state = initial(machine)[0].state;
        for _ in 0..100 {
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            machine.successors(&state, &mut expected).unwrap();
            memo.successors(&state, &mut found).unwrap();
            assert_eq!(found, expected);
            if expected.is_empty() {
                break;
            }
            state = random.choice(expected).unwrap().state;
        }
    }
}

#[test]
fn who_waits_for_somebody_who_is_done_is_told() {
    let report = explored(
        "scenario x; shared l: lock; shared m: flag;
         agent a { lock l; m = 1; } agent b { await m; lock l; unlock l; } always q: 1;",
    );
    assert_eq!(report.stuck.unwrap().steps.len(), 3);
}

#[test]
fn two_increments_that_read_and_write_in_two_steps_lose_one() {
    let text = |body: &str| {
        format!(
            "scenario x; shared n: 0..2; agent a {{ {body} }} agent b {{ {body} }} required q finally: n == 2;"
        )
    };
    let split = explored(&text("reg r: 0..2; r = n; n = r + 1;"));
    assert_eq!(split.properties[0].verdict, Verdict::Violated);
    assert_eq!(split.properties[0].trace.as_ref().unwrap().steps.len(), 4);
    assert_eq!(verdict(&text("n = n + 1;")), Verdict::Holds);
    assert_eq!(
        verdict(&text("reg r: 0..2; atomic { r = n; n = r + 1; }")),
        Verdict::Holds
    );
    let tried =
        "reg r: 0..2; reg ok: flag; loop { r = n; cmpxchg n, r, r + 1 -> ok; if ok { break; } }";
    assert_eq!(verdict(&text(tried)), Verdict::Holds);
}

/// What stands before each `return` is written out at each, and is one place all the same.
#[test]
fn steps_that_are_alike_before_each_return_are_one_place() {
    let text = |early: &str| {
        format!(
            "scenario x; shared l: lock; shared n: 0..2; shared m: flag;
             procedure p() {{ lock l; if m {{ {early} }} m = 1; n = n + 1; unlock l; m = 0; }}
             agent a {{ p(); }} agent b {{ p(); }} always q: n < 3;"
        )
    };
    let states = |early: &str, reductions| {
        let (checked, limits) = (checked(&text(early)), Limits::default());
        let watch = &mut |_| ControlFlow::Continue(());
        let report = survey(&checked, &Cell::default(), &limits, reductions, watch);
        report.unwrap().states
    };
    let tail = "unlock l; m = 0; return;";
    let once = states(tail, Reductions::On);
    assert!(once < states(tail, Reductions::Off));
    // What a trace tells in other words stays apart.
    let apart = "\"other\" unlock l; \"words\" m = 0; return;";
    assert_eq!(states(apart, Reductions::On), states(tail, Reductions::Off));
}

/// Of two steps that are alike only one is wrong, or both are: the place is that of a wrong one.
#[test]
fn a_value_that_does_not_fit_is_shown_at_the_step_that_puts_it() {
    let text = "scenario x; shared n: 0..2; shared m: flag;
agent a { choose { m = 1; n = 2; n = n + 1; n = 0; } or { n = 0;
n = n + 1; n = 0; } }
agent b { await m; m = 0; } always q: 1;";
    let (checked, limits) = (checked(text), Limits::default());
    let watch = &mut |_| ControlFlow::Continue(());
    let error = survey(&checked, &Cell::default(), &limits, Reductions::On, watch);
    let error = error.unwrap_err().locate("x", text);
    assert_eq!(error.position(), Some((2, 34)), "{error}");
}

/// A register is kept over steps that do not look at it, around a loop and into a branch.
#[test]
fn a_register_keeps_its_value_for_as_long_as_somebody_may_read_it() {
    let text = "scenario x; shared n: 0..3 = 2; shared m: flag; shared out: 0..3;
         agent a { reg r: 0..3; reg s: 0..3; r = n; n = 0; m = 1;
            loop { m = 0; choose { break; } or { s = n; s = r; } or { s = 1; } }
            if m { out = s; } else { m = 1; out = r; } }
         required q finally: out == 2;";
    assert_eq!(verdict(text), Verdict::Holds);
}

#[test]
fn locks_exclude_whom_they_should() {
    let text = |one: &str, other: &str| {
        let body = |lock: &str| format!("{lock}lock l; n = n + 1; n = n - 1; {lock}unlock l;");
        let kind = if one.is_empty() { "lock" } else { "rwlock" };
        format!(
            "scenario x; shared l: {kind}; shared n: 0..2; agent a {{ {} }} agent b {{ {} }} forbidden q ever: n == 2;",
            body(one),
            body(other)
        )
    };
    assert_eq!(verdict(&text("", "")), Verdict::Holds);
    assert_eq!(verdict(&text("read-", "read-")), Verdict::Violated);
    assert_eq!(verdict(&text("read-", "write-")), Verdict::Holds);
    assert_eq!(verdict(&text("write-", "write-")), Verdict::Holds);
}

/// A condition can ask whether a lock is left held, and an agent whether it would have to wait.
#[test]
fn a_lock_can_be_asked_for() {
    let text = |body: &str| {
        format!(
            "scenario x; shared l: lock; shared r: rwlock; shared n: 0..2; agent a {{ {body} }}
             agent b {{ read-lock r; n = n + 1; read-unlock r; }}
             forbidden left finally: held(l) or held(r); allowed taken ever: held(l) and held(r);"
        )
    };
    assert_eq!(verdict(&text("lock l; unlock l;")), Verdict::Holds);
    assert_eq!(verdict(&text("lock l; n = n + 1;")), Verdict::Violated);
    let tried = "atomic { if not held(l) { lock l; } } unlock l;";
    let report = explored(&text(tried));
    assert!(report.holds(), "{report:?}");
}

#[test]
fn who_waits_for_ever_is_told() {
    let report = explored(
        "scenario x; shared l: lock; shared m: lock;
         agent a { lock l; lock m; unlock m; unlock l; }
         agent b { lock m; lock l; unlock l; unlock m; } always q: 1;",
    );
    assert_eq!(report.stuck.unwrap().steps.len(), 2);
}

#[test]
fn an_interrupt_waits_for_the_end_of_an_instruction_and_a_higher_one_interrupts_it() {
    let text = |body: &str| {
        format!(
            "scenario x; shared n: 0..9; shared i: flag = 1; shared k: flag = 1; shared seen: 0..9;
             agent a {{ {body}
                interrupt irq when i {{ i = 0; seen = n; n = n + 3; }}
                interrupt nmi when k {{ k = 0; n = n + 3; }} }}
             allowed q finally: seen == 1; allowed r finally: seen == 4;"
        )
    };
    // Between the two steps of one instruction nothing comes in; n is 0, 2 or more.
    assert_eq!(
        verdict(&text("instruction { n = n + 1; n = n + 1; }")),
        Verdict::Violated
    );
    let apart = explored(&text("n = n + 1; n = n + 1;"));
    assert!(
        apart
            .properties
            .iter()
            .all(|one| one.verdict == Verdict::Holds)
    );
}

#[test]
fn a_flush_by_ipi_waits_for_the_end_of_an_instruction() {
    let text = |on: &str| {
        format!(
            "scenario x; entry {{ P }}; shared t: entry = entry {{ P }}; shared mid: flag;
             agent a {{ instruction {{ mid = 1; mid = 0; }} }}
             agent b {{ tlbi t{on}; }} forbidden q ever: mid and not t.P;"
        )
    };
    // Flushed before the instruction, it is gone during it: that is not what is asked.
    let during = |on: &str| text(on).replace("agent b { ", "agent b { await mid; ");
    assert_eq!(verdict(&during("")), Verdict::Violated);
    assert_eq!(verdict(&during(" on a")), Verdict::Holds);
}

#[test]
fn progress_needs_no_luck_but_a_way() {
    let text = |body: &str| {
        format!(
            "scenario x; shared through: flag; shared dead: flag; counter tries;
             agent a {{ loop {{ count tries; {body} if through {{ break; }} }} }}
             progress q: through counting tries;"
        )
    };
    // It may try for ever, but it always can get through.
    let lucky = explored(&text("choose { through = 1; } or { dead = 0; }"));
    assert_eq!(lucky.properties[0].verdict, Verdict::Holds);
    assert_eq!(
        lucky.properties[0].most.clone().unwrap().1,
        super::Most::Unbounded
    );
    let lost = text("choose { await not dead; through = 1; } or { dead = 1; }");
    let report = explored(&lost);
    assert_eq!(report.properties[0].verdict, Verdict::Livelock);
}

#[test]
fn what_may_use_an_entry_is_what_the_live_rule_says() {
    let text = |condition: &str| {
        format!(
            "scenario x; frames a, b; entry {{ P, F, W }}; shared old: entry = entry {{ P, F = a, W }};
             shared new: entry = entry {{ P, F = a }}; agent c {{ new.P = 1; }} always q: {condition};"
        )
    };
    for condition in [
        "may-write(old) and not may-write(new) and may-read(new)",
        "stale-write(old, new) and not stale-read(old, new) and not stale-write(new, old)",
        "owed-write(new, old) and not owed-write(old, new)",
        "revokes(old, new) and upgrades(new, old) and not upgrades(old, new)",
        "stale-read(old, new with { F = b }) and stale-read(old, entry {})",
    ] {
        assert_eq!(verdict(&text(condition)), Verdict::Holds, "{condition}");
        assert_eq!(
            verdict(&text(&format!("not ({condition})"))),
            Verdict::Violated
        );
    }
}

/// A way on which something may stay as it is, and one that puts there what is there already, are not
/// the same way for who remembers them.
#[test]
fn a_choice_after_one_that_may_change_nothing_is_remembered_in_all_its_ways() {
    let text = "scenario x; shared f: flag; shared g: flag; shared t: 0..3;
         agent a { atomic { choose { f = 0; } or { g = 0; } choose { t = 1; } or { t = 2; } } }
         agent b { f = 1; }
         allowed kept finally: f and t == 1;";
    let checked = checked(text);
    let program = compile(&checked, &Cell::default(), Reductions::On).unwrap();
    let machine = Machine::<1>::new(&program);
    let mut memo = Memo::new(&machine);
    let begin = initial(&machine)[0].state;
    let mut other = begin;
    program.shown[0].field.set(&mut other, 1);
    for state in [begin, other] {
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        machine.successors(&state, &mut expected).unwrap();
        memo.successors(&state, &mut found).unwrap();
        assert_eq!(found, expected);
    }
    assert!(explored(text).holds());
}
