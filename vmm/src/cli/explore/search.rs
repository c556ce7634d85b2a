//! Exploring the cells that are asked for, one after the other.

use notifier::explore::{
    self, Bound, Bounds, Cell, Progress, PropertyReport, Reductions, Report, Verdict,
};
use notifier::scenario::Checked;

use super::Explore;
use super::target::{Loaded, load_all};
use super::trace_out;
use super::watch::{Turn, Watch, progress};
use crate::live::trace::TracedCell;

/// One scenario, explored.
pub(super) struct Explored {
    pub(super) text: String,
    pub(super) checked: Checked,
    pub(super) reports: Vec<Report>,
    /// What does not hold in each cell, with turns to it; empty unless that was asked for.
    pub(super) traced: Vec<TracedCell>,
}

pub(super) fn explore_all(arguments: &Explore) -> Result<Vec<Explored>, String> {
    let loaded = load_all(arguments)?;
    let watch = Watch::new();
    let explored = loaded.into_iter().map(|loaded| {
        let (mut reports, mut traced) = (Vec::new(), Vec::new());
        for (number, cell) in loaded.cells.iter().enumerate() {
            let turn = Turn {
                scenario: &loaded.checked.scenario.name.text,
                number: number + 1,
                of: loaded.cells.len(),
                cell,
            };
            let report = one(&loaded, &turn, arguments, &watch)?;
            if arguments.trace_out.is_some() {
                traced.push(trace_out::trace(
                    &loaded, &turn, &report, arguments, &watch,
                )?);
            }
            reports.push(report);
        }
        Ok(Explored {
            text: loaded.text,
            checked: loaded.checked,
            reports,
            traced,
        })
    });
    explored.collect()
}

fn one(
    loaded: &Loaded,
    turn: &Turn<'_>,
    arguments: &Explore,
    watch: &Watch,
) -> Result<Report, String> {
    if watch.is_stopped() {
        return Ok(not_begun(&loaded.checked, turn.cell));
    }
    log::info!("{turn}");
    watch.show(|| turn.to_string());
    let mut told = |come: Progress| {
        watch.show(|| format!("{turn}; {}", progress(&come)));
        watch.go_on()
    };
    let (checked, limits) = (&loaded.checked, arguments.limits());
    let report = explore::explore(checked, turn.cell, &limits, Reductions::On, &mut told);
    watch.clear();
    report.map_err(|error| error.locate(&loaded.file, &loaded.text).to_string())
}

/// What there is to say of a cell that Ctrl-C came before.
pub(super) fn not_begun(checked: &Checked, cell: &Cell) -> Report {
    let properties = checked.symbols.properties.iter();
    let undecided = properties.map(|property| PropertyReport {
        property: property.name.text.clone(),
        about: property.about.clone(),
        demand: property.demand,
        scope: property.scope,
        verdict: Verdict::Undecided,
        states: 0,
        trace: None,
        most: None,
    });
    Report {
        scenario: checked.scenario.name.text.clone(),
        cell: cell.clone(),
        states: 0,
        steps: 0,
        depth: 0,
        bits: 0,
        bytes: 0,
        bounds: Bounds::of(checked),
        properties: undecided.collect(),
        tables: Vec::new(),
        stuck: None,
        astray: None,
        ends: None,
        standing: Vec::new(),
        cut: Some(Bound::Interrupted),
    }
}

/// Whether there is nothing in a report but that it was not begun: a search has at least one state,
/// or no limit to stop it.
pub(super) fn is_not_begun(report: &Report) -> bool {
    report.states == 0 && report.cut.is_some()
}
