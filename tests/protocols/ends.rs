//! Scenarios that don't come to their end: never, or not always.

use std::ops::ControlFlow;

use notifier::explore::{Cell, Ends, Limits, Reductions, Report, Verdict, explore};
use notifier::scenario::{Diagnostic, check, parse};

fn explored(text: &str) -> Result<Report, Diagnostic> {
    let checked = parse(text).and_then(check);
    let checked = checked.unwrap_or_else(|error| panic!("{}", error.locate("x", text)));
    let mut watch = |_| ControlFlow::Continue(());
    let (cell, limits) = (Cell::default(), Limits::default());
    explore(&checked, &cell, &limits, Reductions::On, &mut watch)
        .map_err(|error| error.locate("x", text))
}

fn text(body: &str) -> String {
    format!("scenario x; shared a: flag; shared l: lock; shared m: lock;\n{body}\n")
}

/// What only seems to hold since no run ends is an error where somebody stands for ever.
#[test]
fn a_scenario_of_which_no_run_ends_is_refused_where_it_stands() {
    let finally = "required q finally: a == 0;";
    let table = [
        (
            "agent c { loop { a = 1; a = 0; if a == 1 { break; } } }",
            finally,
            32,
            "`c` goes round",
        ),
        (
            "agent c { reg r: flag; loop { r = 1; r = 0; if r == 1 { break; } } }",
            finally,
            31,
            "`c` goes round",
        ),
        ("agent c { lock l; lock l; }", finally, 19, "`c` waits"),
        (
            "agent c { lock l; lock l; }",
            "always q: 1;",
            19,
            "`c` waits",
        ),
        (
            "agent c { a = 1; await not a; }",
            "allowed q ever: a == 1;",
            18,
            "`c` waits",
        ),
        (
            "agent c { lock l; await a; } agent d { lock m; lock l; a = 1; }",
            "always q: 1;",
            19,
            "`c` waits",
        ),
        // An event that goes on for ever beside them hides nothing.
        (
            "agent c { lock l; lock l; } event e when 1 { a = 1 - a; }",
            "always q: 1;",
            19,
            "`c` waits",
        ),
    ];
    for (body, condition, column, told) in table {
        let error = explored(&text(&format!("{body} {condition}"))).expect_err(body);
        let shown = error.to_string();
        assert!(
            shown.contains("this scenario can't terminate") && shown.contains(told),
            "{shown}"
        );
        assert_eq!(error.position(), Some((2, column)), "{shown}");
    }
}

/// Whoever goes round has the caret, and those who wait for it are named beside it.
#[test]
fn all_who_stand_there_are_named() {
    let body = "agent c { await a; lock m; lock m; }
         agent e { a = 1; loop { a = 0; a = 1; if not a { break; } } } always q: 1;";
    let error = explored(&text(body)).unwrap_err().to_string();
    assert!(error.contains("`e` goes round here"), "{error}");
    assert!(error.contains("meanwhile `c` waits at `lock m`"), "{error}");
}

/// A broken condition is worth more than the error: it is told, and that no run ends beside it.
#[test]
fn what_is_broken_is_told_though_no_run_ends() {
    let body = "agent c { a = 1; lock l; lock l; } forbidden q ever: a; required r finally: 0;";
    let report = explored(&text(body)).unwrap();
    assert_eq!(report.ends, Some(Ends::Never));
    assert_eq!(report.properties[0].verdict, Verdict::Violated);
    assert_eq!(report.properties[1].verdict, Verdict::Undecided);
    assert_eq!(report.standing.len(), 1);
    assert_eq!(report.standing[0].words, "lock l");
}

/// Progress is about runs that never end: a livelock is one, and a device that goes on is none.
#[test]
fn a_livelock_of_which_no_run_ends_is_a_livelock() {
    let retry = "agent c { loop { a = 0; if a { break; } } } progress q: a;";
    let report = explored(&text(retry)).unwrap();
    assert_eq!(report.properties[0].verdict, Verdict::Livelock);
    let server = "agent c { loop { a = 1; a = 0; if a { break; } } } progress q: a;";
    let report = explored(&text(server)).unwrap();
    assert_eq!(report.properties[0].verdict, Verdict::Holds);
    assert_eq!(report.ends, Some(Ends::Never));
    let finally = format!("{server} required r finally: a;");
    assert!(explored(&text(&finally)).is_err());
}

/// Some runs end and others don't: that is told, with the way into what has no end.
#[test]
fn runs_that_do_not_end_beside_others_are_told() {
    let waits = "agent c { choose { a = 1; } or { lock l; lock l; } } required q finally: a;";
    let report = explored(&text(waits)).unwrap();
    assert!(report.holds());
    assert_eq!(report.ends, Some(Ends::Sometimes));
    assert_eq!(report.stuck.unwrap().steps.len(), 2);
    assert_eq!(report.astray, None);
    let round = "agent c { choose { a = 1; } or { loop { a = 0; a = 1; if not a { break; } } } } required q finally: a;";
    let report = explored(&text(round)).unwrap();
    assert!(report.holds() && report.stuck.is_none());
    assert_eq!(report.ends, Some(Ends::Sometimes));
    let astray = report.astray.unwrap();
    assert!(astray.again.is_some(), "{astray:#?}");
    // It may go round as often as it likes, but it always can come to its end.
    let lucky =
        "agent c { loop { choose { a = 1; break; } or { a = 0; } } } required q finally: a;";
    let report = explored(&text(lucky)).unwrap();
    assert_eq!(report.ends, Some(Ends::Always));
    assert_eq!((report.stuck, report.astray), (None, None));
}

/// An end that is far behind in the order of the search, so that it takes many rounds to see that it
/// can be reached from everywhere.
#[test]
fn an_end_that_is_found_early_is_found_to_be_in_reach() {
    let body = |more: &str| {
        format!(
            "scenario x; shared n: 0..200; shared out: flag;
             agent c {{ loop {{ atomic {{ choose {{ await n == 0; out = 1; break; }}
                or {{ await n < 200; n = n + 1; }} or {{ await n > 0; n = n - 1; }} }} {more} }} }} required q finally: out;"
        )
    };
    assert_eq!(explored(&body("")).unwrap().ends, Some(Ends::Always));
    let trap = "if n == 150 { choose { } or { loop { if out { break; } } } }";
    let trapped = explored(&body(trap)).unwrap();
    assert_eq!(trapped.ends, Some(Ends::Sometimes));
}
