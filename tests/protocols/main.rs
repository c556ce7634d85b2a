//! The protocols of `tests/scenarios`: what the explorer derives for each cell of each matrix, held
//! fast, and that it derives it the same way every time.

mod choices;
mod diagnostics;
mod ends;
mod engine;
mod hardware;
mod live;
mod matrices;
mod model;
mod mutants;
mod shape;
mod traces;
mod unused;

use std::ops::ControlFlow;
use std::sync::OnceLock;

use notifier::explore::{Cell, Limits, NAMES, Reductions, Report, embedded, explore};
use notifier::scenario::{Checked, Diagnostic, check, parse, text};

/// The scenario of this name.
fn scenario(name: &str) -> Checked {
    let text = embedded(name).expect("it comes with the explorer");
    let checked = parse(text).and_then(check);
    checked.unwrap_or_else(|error| panic!("{}", error.locate(name, text)))
}

/// One cell, explored to its end.
fn report(checked: &Checked, cell: &Cell) -> Report {
    report_with(checked, cell, Reductions::On)
}

fn report_with(checked: &Checked, cell: &Cell, reductions: Reductions) -> Report {
    let mut watch = |_| ControlFlow::Continue(());
    explore(checked, cell, &Limits::default(), reductions, &mut watch).expect("it can be explored")
}

/// All cells of a scenario that comes with the explorer: explored once, for all tests that look.
fn reports(name: &str) -> &'static [Report] {
    static KNOWN: [OnceLock<Vec<Report>>; NAMES.len()] = [const { OnceLock::new() }; NAMES.len()];
    let at = NAMES.iter().position(|known| *known == name);
    KNOWN[at.expect("it comes with the explorer")].get_or_init(|| reports_anew(name))
}

/// The same, explored now.
fn reports_anew(name: &str) -> Vec<Report> {
    let checked = scenario(name);
    Cell::all(&checked)
        .iter()
        .map(|cell| report(&checked, cell))
        .collect()
}

/// What a text from outside comes to, as the command does it.
fn outcome(bytes: &[u8]) -> Result<Vec<Report>, Diagnostic> {
    let text = text(bytes)?;
    let locate = |error: Diagnostic| error.locate("test.litmus", text);
    let checked = parse(text).and_then(check).map_err(locate)?;
    let limits = Limits {
        states: 100_000,
        memory: 64 << 20,
        ..Limits::default()
    };
    let run = |cell: &Cell| {
        explore(&checked, cell, &limits, Reductions::On, &mut |_| {
            ControlFlow::Continue(())
        })
    };
    Cell::all(&checked)
        .iter()
        .map(run)
        .collect::<Result<_, _>>()
        .map_err(locate)
}
