//! What is refused or not watched, since it would show what the text does not say.

use std::collections::BTreeSet;

use notifier::explore::Cell;
use notifier::scenario::{check, parse};

use super::super::*;

/// The plan of a scenario of one cell.
fn plan(text: &str) -> Result<Plan, NoPlan> {
    let checked = parse(&format!("scenario test;\n{text}"))
        .and_then(check)
        .unwrap_or_else(|error| panic!("{error}"));
    let cell = Cell::all(&checked).remove(0);
    Plan::new(&checked, &cell, Ordering::Sequential)
}

fn refusal(text: &str) -> String {
    plan(text)
        .err()
        .map_or_else(String::new, |why| why.to_string())
}

fn unwatched(text: &str) -> BTreeSet<String> {
    let plan = plan(text).unwrap_or_else(|error| panic!("{error}"));
    plan.unwatched.into_iter().map(|(_, why)| why).collect()
}

#[test]
fn what_would_be_done_again_is_refused() {
    let again = |before: &str| {
        refusal(&format!(
            "shared x: flag; shared y: 0..9; counter c;
             agent A {{ reg r: 0..9; atomic {{ {before} await x; y = r; }} }}
             agent B {{ reg r: flag; r = y; x = 1; count c; forbid p if r; }}
             forbidden p;"
        ))
    };
    for before in [
        "forbid p if not x;",
        "count c;",
        "if r < 3 { r = r + 1; }",
        "y = 1;",
    ] {
        assert!(again(before).contains("done again"), "{before}");
    }
    for before in ["r = y;", "r = 1; r = r + 1;", ""] {
        assert_eq!(again(before), "", "{before}");
    }
}

#[test]
fn what_the_payload_has_no_room_for_is_refused() {
    let ways = |ways: u64| {
        let way: Vec<String> = (0..ways).map(|way| format!("{{ x = {way}; }}")).collect();
        let ways = way.join(" or ");
        refusal(&format!(
            "shared x: 0..99; agent A {{ choose {ways} }} table t: x;"
        ))
    };
    assert_eq!(ways(16), "");
    assert!(ways(17).contains("16 ways"));
    let handlers = |handlers: u64| {
        let handler =
            (0..handlers).map(|one| format!("interrupt i{one} when x == {one} {{ x = 1; }}"));
        let handlers: Vec<String> = handler.collect();
        let handlers = handlers.join(" ");
        refusal(&format!(
            "shared x: 0..99; agent A {{ x = 1; {handlers} }} table t: x;"
        ))
    };
    assert_eq!(handlers(4), "");
    assert!(handlers(5).contains("interrupts"));
}

const STORE: &str = "entry { P, W, D, A }; shared pte: entry = entry { P, W, D, A };
    ghost g: flag = 1; live page pte; forbidden p;
    procedure store(r: flag) { live store pte -> r { r = 1; if not pte.P { r = 0; } } }";

#[test]
fn a_forbid_behind_an_operation_asks_only_for_what_changes_once() {
    let agents = |other: &str| {
        unwatched(&format!(
            "{STORE} agent A {{ reg r: flag; store(r); forbid p if r and g; }}
             agent B {{ {other} }}"
        ))
    };
    assert_eq!(agents("pte.W = 0; g = 0;"), BTreeSet::new());
    let why = agents("pte.W = 0; g = 0; pte.W = 1; g = 1;");
    assert!(why.iter().any(|why| why.contains("change back")), "{why:?}");
}

#[test]
fn a_forbid_that_is_also_reached_otherwise_is_not_watched() {
    let why = unwatched(&format!(
        "{STORE} shared x: flag;
         agent A {{ reg r: flag; reg s: flag; s = x; if s {{ store(r); }} else {{ x = 1; }} forbid p if g; }}"
    ));
    assert!(why.iter().any(|why| why.contains("elsewhere")), "{why:?}");
}

#[test]
fn a_walk_that_fills_a_tlb_at_the_beginning_may_not_change_the_entry() {
    let begins = |entry: &str| {
        refusal(&format!(
            "entry {{ P, W, A }}; shared pte: entry = entry {{ {entry} }};
             shared tlb: entry = entry {{ P, W }}; shared x: flag;
             live page pte; live tlb tlb of C for pte; agent C {{ x = 1; }} table t: x;"
        ))
    };
    assert_eq!(begins("P, W, A"), "");
    assert!(begins("P, W").contains("sets A"));
}
