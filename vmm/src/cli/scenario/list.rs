//! Which engine can run which cell.

use std::fmt::Write;

use notifier::explore::Cell;
use serde::Serialize;

use super::super::exit::Exit;
use super::super::explore::Loaded;
use super::arguments::Listing;
use super::text::{counted, title};
use super::{Told, loaded};
use crate::live::scenario::{NoPlan, Ordering, Plan, Refusal};

/// What the live engine says of a cell.
struct Row {
    scenario: String,
    cell: Cell,
    /// vCPUs that it takes, or why it can't be run.
    live: Result<u64, Vec<Refusal>>,
}

#[derive(Serialize)]
struct RowDocument<'a> {
    scenario: &'a str,
    os: Option<&'a str>,
    hardware: Option<&'a str>,
    /// Every cell can be explored.
    explorer: bool,
    live: bool,
    /// vCPUs that it takes, or null.
    vcpus: Option<u64>,
    refusals: Vec<String>,
}

pub(super) fn list(arguments: &Listing, as_json: bool) -> Told {
    let loaded = loaded(&arguments.targets, arguments.chosen())?;
    let rows = loaded.iter().map(rows);
    let rows: Vec<Vec<Row>> = rows.collect::<Result<_, _>>()?;
    let told = match as_json {
        true => document(rows.iter().flatten()),
        false => text(&loaded, &rows),
    };
    Ok((told, Exit::Good))
}

fn rows(loaded: &Loaded) -> Result<Vec<Row>, (String, Exit)> {
    let row = |cell: &Cell| {
        let live = match Plan::new(&loaded.checked, cell, Ordering::default()) {
            Ok(plan) => Ok(plan.vcpus()),
            Err(NoPlan::Refused(refusals)) => Err(refusals),
            Err(NoPlan::Scenario(error)) => {
                let located = error.locate(&loaded.file, &loaded.text);
                return Err((located.to_string(), Exit::Usage));
            }
        };
        Ok(Row {
            scenario: loaded.checked.scenario.name.text.clone(),
            cell: cell.clone(),
            live,
        })
    };
    loaded.cells.iter().map(row).collect()
}

fn text(loaded: &[Loaded], rows: &[Vec<Row>]) -> String {
    let mut text = String::new();
    for (loaded, rows) in loaded.iter().zip(rows) {
        let scenario = &loaded.checked.scenario;
        let runnable = rows.iter().filter(|row| row.live.is_ok()).count();
        let cells = counted(rows.len() as u64, "cell");
        let _ = writeln!(text, "{}: {}", scenario.name.text, scenario.about);
        let _ = writeln!(text, "{cells}, all for `explore`, {runnable} for `run`");
        for row in rows {
            let _ = writeln!(text, "  {}", line(row));
        }
        text.push('\n');
    }
    text.trim_end().into()
}

fn line(row: &Row) -> String {
    let title = title(&row.scenario, &row.cell);
    match &row.live {
        Ok(vcpus) => format!("{title}: explore, run ({})", counted(*vcpus, "vCPU")),
        Err(refusals) => {
            let refusals = refusals.iter().map(|refusal| format!("\n      {refusal}"));
            let refusals: String = refusals.collect();
            format!("{title}: explore; not run:{refusals}")
        }
    }
}

fn document<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let rows: Vec<RowDocument<'_>> = rows
        .map(|row| RowDocument {
            scenario: &row.scenario,
            os: row.cell.os.as_deref(),
            hardware: row.cell.hardware.as_deref(),
            explorer: true,
            live: row.live.is_ok(),
            vcpus: row.live.as_ref().ok().copied(),
            refusals: match &row.live {
                Ok(_) => Vec::new(),
                Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
            },
        })
        .collect();
    crate::report::json::print(&rows)
}
