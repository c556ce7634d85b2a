//! Many choices at once: initial states and steps that could go in more ways than there is memory.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use notifier::explore::{Bound, Cell, Limits, Reductions, Report, Verdict, explore};
use notifier::scenario::{Diagnostic, check, parse};

fn explored(text: &str, limits: &Limits) -> Result<Report, Diagnostic> {
    let checked = parse(text).and_then(check);
    let checked = checked.unwrap_or_else(|error| panic!("{}", error.locate("x", text)));
    let mut watch = |_| ControlFlow::Continue(());
    explore(
        &checked,
        &Cell::default(),
        limits,
        Reductions::On,
        &mut watch,
    )
    .map_err(|error| error.locate("x", text))
}

/// So many flags, and a choice about each of them.
fn flags(count: usize) -> (String, String) {
    let each = |one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
    let declared = each(&|n| format!("shared f{n}: flag;\n"));
    let chosen = each(&|n| format!("choose {{ f{n} = 1; }} or {{ f{n} = 0; }}\n"));
    (declared, chosen)
}

/// Choices that come together again are as many as they can be told apart, not one for each way.
#[test]
fn choices_that_come_to_the_same_are_made_once() {
    let initially = "initially { choose { a[0] = 1; } or { a[0] = 0; } }";
    let same = "choose { b = 1; } or { b = 0; }".repeat(60);
    let text = format!(
        "scenario x; shared a[2]: flag; shared b: flag; {initially}
         agent c {{ atomic {{ {same} }} }}
         event e when a[0] {{ {same} }}
         allowed both finally: a[0] and b; forbidden q ever: a[1];"
    );
    let began = Instant::now();
    let report = explored(&text, &Limits::default()).unwrap();
    assert!(report.holds(), "{report:?}");
    assert_eq!(report.states, 7);
    assert!(began.elapsed() < Duration::from_secs(5));
    let nothing = "choose { } or { }".repeat(60);
    let text = format!(
        "scenario x; shared b: flag; initially {{ {nothing} }} agent a {{ b = 1; }} always q: 1;"
    );
    assert_eq!(explored(&text, &Limits::default()).unwrap().states, 2);
}

/// Initial states are states like any other: too many of them leave the conditions undecided.
#[test]
fn more_initial_states_than_the_limits_allow_are_undecided() {
    let (declared, chosen) = flags(60);
    let text = format!(
        "scenario x; {declared} initially {{ {chosen} }} agent a {{ f0 = 0; }} always q: 1;"
    );
    let few = Limits {
        states: 10_000,
        ..Limits::default()
    };
    let small = Limits {
        memory: 8 << 20,
        ..Limits::default()
    };
    for limits in [few, small] {
        let report = explored(&text, &limits).unwrap();
        assert_eq!(report.properties[0].verdict, Verdict::Undecided);
        assert!(report.states <= limits.states && report.bytes <= limits.memory);
        let expected = match limits.states {
            10_000 => Bound::States(10_000),
            _ => Bound::Memory(8 << 20),
        };
        assert_eq!(report.cut, Some(expected));
    }
}

#[test]
fn whoever_watches_can_stop_the_making_of_initial_states() {
    let (declared, chosen) = flags(60);
    let text = format!(
        "scenario x; {declared} initially {{ {chosen} }} agent a {{ f0 = 0; }} always q: 1;"
    );
    let checked = parse(&text).and_then(check).unwrap();
    let mut watch = |_| ControlFlow::Break(());
    let (cell, limits) = (Cell::default(), Limits::default());
    let report = explore(&checked, &cell, &limits, Reductions::On, &mut watch).unwrap();
    assert_eq!(report.cut, Some(Bound::Interrupted));
    assert!(report.states < 1 << 17);
}

/// Twelve flags are chosen in one step; with forty it is a mistake, at the choice that is too many.
#[test]
fn a_step_that_can_go_in_too_many_ways_is_shown() {
    let text = |count| {
        let (declared, chosen) = flags(count);
        format!("scenario x;\n{declared}agent a {{ atomic {{\n{chosen}}} }}\nalways q: 1;")
    };
    let report = explored(&text(12), &Limits::default()).unwrap();
    assert_eq!(report.states, 1 + (1 << 12));
    let began = Instant::now();
    let error = explored(&text(40), &Limits::default()).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(
        error.to_string().contains("in more than 4096 ways"),
        "{error}"
    );
    let first_choice = 1 + 40 + 1 + 1;
    let (line, column) = error.position().unwrap();
    assert!((first_choice..first_choice + 40).contains(&line), "{error}");
    assert_eq!(column, 1);
}

/// Steps with thousands of ways each: what is found does not depend on the number of threads, nor
/// where a limit cuts it.
#[test]
fn wide_steps_are_the_same_on_several_threads() {
    let (declared, chosen) = flags(24);
    let lines: Vec<&str> = chosen.lines().collect();
    let text = format!(
        "scenario x;\n{declared}agent a {{ atomic {{ {} }} }} agent b {{ atomic {{ {} }} }}
         forbidden q ever: f0 and f11 and f12 and f20;",
        lines[..10].join("\n"),
        lines[12..22].join("\n")
    );
    for states in [500_000, 100_000_000] {
        let on = |threads: usize| {
            let limits = Limits {
                states,
                threads: threads.try_into().unwrap(),
                ..Limits::default()
            };
            explored(&text, &limits).unwrap()
        };
        let one = on(1);
        assert_eq!(one, on(2));
        assert_eq!(one, on(3));
    }
}

/// So much comes of each state that threads stop before they are through with their share, the first
/// one sooner than the others; what those have made is made again.
#[test]
fn shares_that_are_left_early_lose_nothing() {
    let (declared, chosen) = flags(21);
    let lines: Vec<&str> = chosen.lines().collect();
    let [first, many, few] = [&lines[..14], &lines[14..], &lines[14..19]].map(|all| all.join("\n"));
    let text = format!(
        "scenario x;\n{declared}initially {{ {first} }}
         agent a {{ atomic {{ if f0 {{ {many} }} else {{ {few} }} }} }} always q: 1;"
    );
    for threads in [1, 2, 3_usize] {
        let limits = Limits {
            threads: threads.try_into().unwrap(),
            ..Limits::default()
        };
        let states = explored(&text, &limits).unwrap().states;
        assert_eq!(
            states,
            (1 << 14) + (1 << 20) + (1 << 18),
            "{threads} threads"
        );
    }
}

/// A procedure does not know that it is called in one step; a loop in it would not end there.
#[test]
fn a_loop_that_is_called_in_one_step_is_refused() {
    let procedure =
        "scenario x; shared n: flag; procedure p() { loop { n = 1; if not n { break; } } }";
    for caller in ["agent a { atomic { p(); } }", "event e when 1 { p(); }"] {
        let text = format!("{procedure} {caller} always q: 1;");
        let error = explored(&text, &Limits::default()).unwrap_err();
        assert_eq!(error.position(), Some((1, 45)), "{error}");
        assert!(error.to_string().contains("a loop in one step"), "{error}");
    }
}
