//! Small scenarios of which it is plain what can be forced, and the same turns made again.

use super::*;
use crate::explore::machine::Edge;
use crate::explore::memo::Memo;
use crate::explore::tests::{checked, initial};
use crate::explore::{Astray, Choices, Move, Mover, Turn, Value, follow};

fn told(text: &str, breaches: &[Breach]) -> Vec<Forced> {
    let (checked, limits) = (checked(text), Limits::default());
    let watch = &mut |_| ControlFlow::Continue(());
    forced(&checked, &Cell::default(), breaches, &limits, watch).unwrap()
}

fn of_condition(text: &str, name: &str) -> Forced {
    told(text, &[Breach::Condition(name.into())]).remove(0)
}

/// The turns to a violation, made again by what a file would have of them.
#[track_caller]
fn schedule(text: &str, breach: Breach) -> Schedule {
    let Forced::Way(_, schedule) = told(text, &[breach]).remove(0) else {
        panic!("there is a way")
    };
    assert_eq!(again(text, &schedule), Ok((*schedule).clone()));
    *schedule
}

fn moves(schedule: &Schedule) -> Vec<Move> {
    schedule
        .turns
        .iter()
        .map(|turn| turn.next.clone())
        .collect()
}

fn begins(schedule: &Schedule) -> Vec<(String, u64)> {
    let initial = schedule.initial.iter();
    initial.map(|one| (one.name.clone(), one.value)).collect()
}

fn again(text: &str, schedule: &Schedule) -> Result<Schedule, Astray> {
    let (begins, moves) = (begins(schedule), moves(schedule));
    follow(
        &checked(text),
        &Cell::default(),
        &begins,
        &moves,
        schedule.again,
    )
}

fn value(values: &[Value], name: &str) -> u64 {
    values.iter().find(|one| one.name == name).unwrap().value
}

fn movers(schedule: &Schedule) -> Vec<Mover> {
    moves(schedule).into_iter().map(|one| one.mover).collect()
}

fn condition(name: &str) -> Breach {
    Breach::Condition(name.into())
}

/// A load through a TLB that is filled in two steps; the other agent takes the page away and flushes.
/// The walk may begin before that and fill the TLB after it, but only if that comes between.
fn stale(before: &str) -> String {
    format!(
        "scenario x; entry {{ P }}; live page pte; live tlb tlb of a for pte;
         shared pte: entry = entry {{ P }}; shared tlb: entry; shared gone: flag;
         agent a {{ reg walked: entry; reg ok: flag; {before}
            live load pte -> ok {{ walked = pte; fill tlb from walked; ok = tlb.P; }} }}
         agent b {{ pte = entry {{}}; tlbi tlb; gone = 1; }}
         forbidden stale ever: gone and tlb.P; required absent finally: not tlb.P;"
    )
}

#[test]
fn what_needs_somebody_in_the_midst_of_an_operation_can_not_be_forced() {
    let Forced::Unforceable(Verdict::Violated, told) = of_condition(&stale(""), "stale") else {
        panic!("it is violated, and can't be forced")
    };
    assert_eq!(told.trace.steps.len(), 5);
    let conflicts = told.conflicts.iter();
    let conflicts: Vec<_> = conflicts
        .map(|one| (one.step, one.name.as_str(), one.owner.as_str()))
        .collect();
    assert_eq!(conflicts, [(1, "b", "a"), (2, "b", "a"), (4, "b", "a")]);
    assert!(told.conflicts[0].words.contains("fill tlb"), "{told:?}");
    assert!(told.reason().contains("step 2 (b)"), "{}", told.reason());
}

/// The same in an order that leaves the operation whole: the flush is forgotten.
#[test]
fn an_operation_is_one_turn() {
    let text = stale("").replace("tlbi tlb; ", "");
    let schedule = schedule(&text, condition("stale"));
    let [load, clear, gone] = &schedule.turns[..] else {
        panic!("three turns")
    };
    assert_eq!(load.next.mover, Mover::Agent(0));
    assert_eq!(
        (clear.next.mover.clone(), gone.name.as_str()),
        (Mover::Agent(1), "b")
    );
    assert_eq!(load.words.split("; ").count(), 3, "{}", load.words);
    assert_eq!(load.differences.len(), 1);
    assert_eq!(gone.shows, ["stale", "absent"]);
    assert!(gone.ends && !load.ends);
    assert_eq!(value(schedule.values(), "tlb"), 1);
    assert_eq!(value(&schedule.initial, "tlb"), 0);
    let at_the_end = super::tests::schedule(&text, condition("absent"));
    assert_eq!(at_the_end.turns.len(), 3);
}

#[test]
fn what_is_broken_at_the_beginning_takes_no_turn() {
    let text = "scenario x; shared n: flag = 1; agent a { n = 0; } forbidden q ever: n;";
    let found = schedule(text, condition("q"));
    assert_eq!(found.turns, []);
    assert_eq!(found.shows, ["q"]);
    assert!(!found.stuck);
}

/// Where nothing is broken there is no way, whoever looks.
#[test]
fn what_holds_has_no_way() {
    let text = stale("").replace("fill tlb from walked", "tlb = entry {}");
    assert_eq!(of_condition(&text, "stale"), Forced::Nowhere);
    assert_eq!(told(&text, &[Breach::Deadlock]), [Forced::Nowhere]);
}

/// What comes before the first step of an operation and can be seen by nobody belongs to the turn
/// before; others may move between.
#[test]
fn others_may_move_before_an_operation_begins() {
    let text =
        "scenario x; entry { P }; live page pte; shared pte: entry; shared n: 0..2; shared m: flag;
         agent a { reg r: flag; n = 1; live load pte -> r { r = 0; if pte.P { r = 1; } } n = 2; }
         agent b { if n == 1 { m = 1; } } forbidden q ever: m;";
    let schedule = schedule(text, condition("q"));
    assert_eq!(
        movers(&schedule),
        [Mover::Agent(0), Mover::Agent(1), Mover::Agent(1)]
    );
    // It begins at its first instruction, though that was made before others could move.
    let text = &text.replace("forbidden q ever", "forbidden q finally");
    let found = super::tests::schedule(text, condition("q"));
    let of_a = moves(&found)
        .into_iter()
        .filter(|one| one.mover == Mover::Agent(0));
    let stops: Vec<usize> = of_a.map(|one| one.stop).collect();
    assert_eq!(stops[..2], [0, 1]);
}

/// A loop leads back to the first instruction of the operation, which is not over for that; a loop
/// around it begins it anew.
#[test]
fn an_operation_that_tries_again_is_still_one_turn() {
    let text = |inner: &str, outer: &str| {
        format!(
            "scenario x; entry {{ P }}; live page pte; shared pte: entry; shared n: 0..3;
             shared walk: flag; shared seen: 0..3;
             agent a {{ reg r: flag; {outer}
                live load pte -> r {{ loop {{ n = n + 1; walk = 1; if n > 1 {{ r = 1; break; }} walk = 0; {inner} }} }}
                if r {{ walk = 0; }} }}
             agent b {{ seen = n; }} allowed never finally: seen == 1; forbidden q ever: seen == 1;
             forbidden two ever: seen == 2;"
        )
    };
    let two = schedule(&text("", ""), condition("two"));
    assert_eq!(movers(&two), [Mover::Agent(0), Mover::Agent(1)]);
    assert_eq!(two.turns[0].next.stop, 0);
    let told = of_condition(&text("", ""), "q");
    assert!(matches!(told, Forced::Unforceable(..)), "{told:?}");
    // After one round it is over, and the loop around it goes on.
    let text = "scenario x; entry { P }; live page pte; shared pte: entry; shared n: 0..3; shared seen: 0..3;
         agent a { reg r: flag; repeat 2 { live load pte -> r { n = n + 1; r = 1; } } }
         agent b { seen = n; } forbidden q ever: seen == 1;";
    let once = schedule(text, condition("q"));
    assert_eq!(movers(&once), [Mover::Agent(0), Mover::Agent(1)]);
}

#[test]
fn choices_of_the_program_and_of_hardware_are_kept_apart() {
    let text = "scenario x; entry { P }; live page pte; shared pte: entry; shared n: 0..9; shared m: 0..2;
         agent a { reg r: flag; atomic { choose { m = 0; } or { m = 1; } or { m = 2; } choose { n = 1; } or { n = 2; } }
            live load pte -> r { choose { n = 3; } or { n = 4; } choose { n = n + 1; } or { n = n + 2; } r = 1; } }
         forbidden q ever: n == 6 and m == 1;";
    let schedule = schedule(text, condition("q"));
    let choices: Vec<_> = moves(&schedule)
        .into_iter()
        .map(|one| one.choices)
        .collect();
    let of = |program: &[usize], hardware: &[usize]| Choices {
        program: program.to_vec(),
        hardware: hardware.to_vec(),
    };
    assert_eq!(choices, [of(&[1, 0], &[]), of(&[], &[1, 1])]);
}

/// Inside an operation a condition is the model's; behind it, it is everybody's.
#[test]
fn a_condition_within_an_operation_is_not_seen_and_one_behind_it_is() {
    let text = |inner: &str, behind: &str| {
        format!(
            "scenario x; entry {{ P }}; live page pte; shared pte: entry; ghost n: flag; shared t: flag;
             agent a {{ reg r: flag; live load pte -> r {{ t = 1; r = 1; {inner} }} {behind} }} forbidden q;"
        )
    };
    let step = "forbid q if r;";
    let Forced::Unforceable(_, told) = of_condition(&text(step, ""), "q") else {
        panic!("it can't be forced")
    };
    assert_eq!(told.conflicts, []);
    assert!(told.reason().contains("within one"), "{}", told.reason());
    let found = schedule(&text("", step), condition("q"));
    assert_eq!(found.turns[0].shows, ["q"]);
}

#[test]
fn a_livelock_is_a_way_in_and_once_round_the_circle() {
    let text = |other: &str| {
        format!(
            "scenario x; entry {{ P }}; live page pte; shared pte: entry; shared go: flag; shared through: flag; counter tries;
             agent a {{ reg r: flag; loop {{ live store pte -> r {{ r = go; }} count tries;
                if r {{ through = 1; break; }} }} }}
             agent b {{ {other} }} progress p: through counting tries;"
        )
    };
    let Forced::Way(Verdict::Livelock, found) =
        of_condition(&text("choose { go = 0; } or { go = 1; }"), "p")
    else {
        panic!("a livelock")
    };
    let again = found.again.unwrap();
    let after = |at: usize| &found.turns[at].after;
    assert_eq!(after(found.turns.len() - 1), after(again - 1));
    assert!(found.turns[again..].iter().any(|turn| turn.name == "a"));
    assert_eq!(
        super::tests::again(&text("choose { go = 0; } or { go = 1; }"), &found),
        Ok(*found)
    );
    assert_eq!(of_condition(&text("go = 1;"), "p"), Forced::Nowhere);
}

#[test]
fn who_waits_for_ever_is_found_but_not_who_waits_within_an_operation_for_others() {
    let text = "scenario x; shared l: lock; shared m: lock;
         agent a { lock l; lock m; unlock m; unlock l; }
         agent b { lock m; lock l; unlock l; unlock m; } always q: 1;";
    let found = schedule(text, Breach::Deadlock);
    assert!(found.stuck);
    assert_eq!(movers(&found), [Mover::Agent(0), Mover::Agent(1)]);
    let text =
        "scenario x; entry { P }; live page pte; shared pte: entry; shared m: flag; shared n: 0..1;
         agent a { reg r: flag; live load pte -> r { n = 1; await m; r = 1; } }
         agent b { await n == 1; m = 1; } always q: 1;";
    assert_eq!(told(text, &[Breach::Deadlock]), [Forced::Nowhere]);
}

#[test]
fn handlers_and_events_have_their_turns() {
    let text = "scenario x; shared n: 0..3; shared i: flag = 1;
         agent a { n = 1; interrupt irq when i and n == 2 { i = 0; n = 3; } }
         event twice when n == 1 { choose { n = 0; } or { n = 2; } }
         forbidden q ever: n == 3;";
    let found = schedule(text, condition("q"));
    let irq = Mover::Interrupt(0, "irq".into());
    let all = movers(&found);
    assert_eq!(all[..2], [Mover::Agent(0), Mover::Event("twice".into())]);
    assert!(
        all[2..].iter().all(|one| *one == irq) && all.len() > 3,
        "{all:?}"
    );
    assert_eq!(found.turns[1].next.choices.program, [1]);
}

/// What an agent does before its first step is done again, and is no part of the beginning.
#[test]
fn a_beginning_is_what_is_before_anybody_does_anything() {
    let text =
        "scenario x; shared n: 0..2; ghost g: 0..3; initially { choose { n = 1; } or { n = 2; } }
         agent a { g = g + 1; n = 0; } forbidden q finally: g == 1;";
    let found = schedule(text, condition("q"));
    assert_eq!(value(&found.initial, "g"), 0);
    assert_eq!(value(found.values(), "g"), 1);
}

fn refused(text: &str, schedule: &Schedule, words: &str) {
    let error = again(text, schedule).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn turns_that_can_not_be_made_are_refused() {
    let text = &stale("").replace("tlbi tlb; ", "");
    let good = schedule(text, condition("stale"));
    let changed = |change: &dyn Fn(&mut Vec<Turn>)| {
        let mut bad = good.clone();
        change(&mut bad.turns);
        bad
    };
    refused(
        text,
        &changed(&|turns| turns[1].next.stop = 9),
        "turn 1: agent 1 is at",
    );
    refused(text, &changed(&|turns| turns.swap(1, 2)), "turn 1: ");
    let more = &|turns: &mut Vec<Turn>| turns.push(turns[0].clone());
    refused(text, &changed(more), "turn 3: agent 0 can't move");
    let nobody = &|turns: &mut Vec<Turn>| turns[0].next.mover = Mover::Agent(7);
    refused(text, &changed(nobody), "there is no agent 7");
    let event = &|turns: &mut Vec<Turn>| turns[0].next.mover = Mover::Event("e".into());
    refused(text, &changed(event), "there is no event e");
    for choices in [[vec![0], vec![]], [vec![], vec![0]]] {
        let [program, hardware] = choices;
        let choices = Choices { program, hardware };
        let chosen = &|turns: &mut Vec<Turn>| turns[2].next.choices = choices.clone();
        refused(text, &changed(chosen), "can't move so");
    }
    let mut bad = good.clone();
    bad.again = Some(0);
    refused(text, &bad, "does not lead back");
    bad.again = Some(usize::MAX);
    refused(text, &bad, "does not lead back");
    let mut bad = good.clone();
    bad.initial[0].value ^= 1;
    refused(text, &bad, "does not begin");
    bad.initial[0].name = "other".into();
    refused(text, &bad, "there is no `pte`");
    let mut bad = good.clone();
    bad.initial.push(good.initial[0].clone());
    refused(text, &bad, "twice");
    bad.initial[3].name = "other".into();
    refused(text, &bad, "no variable is called `other`");
}

/// A file may have a text with more beginnings than anybody can go through.
#[test]
fn a_beginning_is_not_looked_for_for_ever() {
    let text = |flags: usize| {
        let choose = |at: usize| format!("choose {{ f[{at}] = 1; }} or {{ f[{at}] = 0; }}");
        let all: String = (0..flags).map(choose).collect();
        format!(
            "scenario x; shared f[{flags}]: flag; initially {{ {all} }} agent a {{ f[0] = 0; }} always q: 1;"
        )
    };
    // The last of them all.
    let follow = |flags: usize| {
        let begins: Vec<_> = (0..flags).map(|at| (format!("f[{at}]"), 0)).collect();
        follow(&checked(&text(flags)), &Cell::default(), &begins, &[], None)
    };
    assert!(follow(10).is_ok());
    assert_eq!(follow(30), Err(Astray::Beginning));
}

#[test]
fn limits_stop_the_search_and_unknown_conditions_are_told() {
    let text = stale("");
    let told = |name: &str, states: usize| {
        let limits = Limits {
            states,
            ..Limits::default()
        };
        let watch = &mut |_| ControlFlow::Continue(());
        let asked = [condition(name)];
        forced(&checked(&text), &Cell::default(), &asked, &limits, watch)
    };
    assert_eq!(
        told("stale", 3).unwrap(),
        [Forced::Undecided(Bound::States(3))]
    );
    let error = told("other", 3).unwrap_err();
    assert!(error.message.contains("`other`"), "{error}");
}

/// Turns that are remembered are those of the machine.
#[test]
fn remembered_turns_are_those_of_the_machine() {
    for text in [stale(""), stale("pte.P = 1;")] {
        let program = compile::compile(&checked(&text), &Cell::default(), Reductions::Off).unwrap();
        let machine = Machine::<1>::whole(&program);
        let mut random = fastrand::Rng::with_seed(7);
        let mut memo = Memo::new(&machine);
        for _ in 0..50 {
            let Edge { mut state, .. } = initial(&machine)[0];
            loop {
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                machine.successors(&state, &mut expected).unwrap();
                memo.successors(&state, &mut found).unwrap();
                assert_eq!(found, expected);
                let Some(edge) = random.choice(expected) else {
                    break;
                };
                state = edge.state;
            }
        }
    }
}
