//! `--repair`: the fewest edits that make a cell hold.

mod search;

use std::fmt::Write;

use notifier::explore::{Cell, Most, Report};
use notifier::scenario::{Checked, Span, format};
use serde::Serialize;
use similar::TextDiff;

use super::edit::{Crew, Spot, document, title};
use super::target::{Loaded, load_all};
use super::text::{count, reason};
use super::watch::Turn;
use super::{Exit, Explore};
use search::{CANDIDATES, Cut, Search, Try};

/// Repairs that are listed in text.
const LISTED: usize = 20;

#[derive(Serialize)]
struct Repairs {
    scenario: String,
    cells: Vec<CellRepairs>,
}

/// What makes one cell hold.
#[derive(Serialize)]
struct CellRepairs {
    os: Option<String>,
    hardware: Option<String>,
    /// Whether it is known that it needs a repair; if not, none is looked for.
    decided: bool,
    /// Why it is not.
    reason: Option<String>,
    /// Edits that are tried together at most.
    bound: u8,
    /// Scenarios that were tried.
    tried: usize,
    /// Why no more were.
    cut: Option<Cut>,
    /// Of those that were tried, how many a limit left undecided.
    undecided: usize,
    /// Whether there are repairs, and it is certain that none has fewer edits.
    fewest: bool,
    /// All repairs with the fewest edits, the best first.
    repairs: Vec<Repair>,
}

#[derive(Serialize)]
struct Repair {
    edits: Vec<Told>,
    /// How often the counters of progress are counted then; null if there is no bound.
    counted: Option<u64>,
    diff: String,
}

#[derive(Clone, Serialize)]
struct Told {
    place: Spot,
    does: String,
}

pub(super) fn repair(arguments: &Explore, as_json: bool) -> Result<(String, Exit), String> {
    let crew = Crew::new(arguments);
    let bound = arguments.edits.unwrap_or(2);
    let mut all = Vec::new();
    for loaded in load_all(arguments)? {
        let baselines = crew.baselines(&loaded)?;
        let reports = baselines.iter().map(|one| one.report());
        let wanted = reports.filter(|report| report.is_broken() || report.cut.is_some());
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return Err(nothing(&loaded));
        }
        let cells = wanted.iter().enumerate().map(|(at, report)| {
            let turn = Turn::at(report, at, wanted.len());
            match report.is_broken() {
                true => cell(&crew, &loaded, report, bound, &turn),
                false => undecided(report, bound),
            }
        });
        all.push(Repairs {
            cells: cells.collect(),
            scenario: loaded.checked.scenario.name.text.clone(),
        });
    }
    let mut cells = all.iter().flat_map(|one| &one.cells);
    let exit = match cells.all(|cell| cell.fewest) {
        true => Exit::Good,
        false => Exit::Bad,
    };
    let text = match as_json {
        true => document(&all),
        false => text(&all),
    };
    Ok((text, exit))
}

fn nothing(loaded: &Loaded) -> String {
    format!(
        "{}: no cell that is asked for is broken, so there is nothing to repair\n  hint: --mutate \
         and --elide are for cells that hold",
        loaded.file
    )
}

/// A cell of which it is not known whether it needs a repair.
fn undecided(original: &Report, bound: u8) -> CellRepairs {
    CellRepairs {
        os: original.cell.os.clone(),
        hardware: original.cell.hardware.clone(),
        decided: false,
        reason: original.cut.map(reason),
        bound,
        tried: 0,
        cut: None,
        undecided: 0,
        fewest: false,
        repairs: Vec::new(),
    }
}

fn cell(
    crew: &Crew,
    loaded: &Loaded,
    original: &Report,
    bound: u8,
    turn: &Turn<'_>,
) -> CellRepairs {
    log::info!("{turn}");
    let search = Search::run(crew, loaded, original, bound, turn);
    CellRepairs {
        os: original.cell.os.clone(),
        hardware: original.cell.hardware.clone(),
        decided: true,
        reason: None,
        bound,
        tried: search.tried,
        cut: search.cut,
        undecided: search.undecided,
        fewest: search.is_fewest(),
        repairs: search
            .found
            .iter()
            .map(|(cost, found)| told(loaded, *cost, found))
            .collect(),
    }
}

fn told(loaded: &Loaded, cost: Most, found: &Try) -> Repair {
    let one = |(span, words): &(Span, String)| Told {
        place: Spot::new(loaded, *span),
        does: words.clone(),
    };
    Repair {
        edits: found.done.iter().map(one).collect(),
        counted: match cost {
            Most::Times(times) => Some(times),
            Most::Unbounded => None,
        },
        diff: diff(loaded, &found.checked),
    }
}

/// What changed in the text, both sides in their proper form.
fn diff(loaded: &Loaded, changed: &Checked) -> String {
    let (old, new) = (format(&loaded.checked.scenario), format(&changed.scenario));
    let diff = TextDiff::from_lines(&old, &new);
    let mut unified = diff.unified_diff();
    let repaired = format!("{} (repaired)", loaded.file);
    unified.header(&loaded.file, &repaired).to_string()
}

fn text(all: &[Repairs]) -> String {
    let cells = all
        .iter()
        .flat_map(|one| one.cells.iter().map(|cell| cell_text(&one.scenario, cell)));
    cells.collect::<Vec<_>>().join("\n\n")
}

fn cell_text(scenario: &str, cell: &CellRepairs) -> String {
    let place = Cell {
        os: cell.os.clone(),
        hardware: cell.hardware.clone(),
    };
    let head = title(scenario, &place);
    if let Some(why) = &cell.reason {
        return format!("{head}\nundecided itself ({why}), so it may need a repair or not");
    }
    let mut text = format!("{head}\n{}", found_text(cell));
    let rest = match cell.cut {
        None => None,
        Some(Cut::Interrupted) => Some("interrupted".into()),
        Some(Cut::Candidates) => Some(format!("{CANDIDATES} were tried, and no more are")),
    };
    if let Some(why) = rest {
        let _ = writeln!(text, "what else there is to try: undecided ({why})");
    }
    if cell.undecided > 0 {
        let _ = writeln!(
            text,
            "undecided: {} of those that were tried",
            cell.undecided
        );
    }
    text.trim_end().into()
}

fn found_text(cell: &CellRepairs) -> String {
    let (bound, tried) = (usize::from(cell.bound), cell.tried);
    let Some(best) = cell.repairs.first() else {
        let edits = count(bound, "edit");
        return format!("no repair of at most {edits} among the {tried} that were tried\n");
    };
    let (repairs, edits) = (cell.repairs.len(), count(best.edits.len(), "edit"));
    let mut text = format!(
        "{} of {edits}; {tried} were tried\n\n",
        count(repairs, "repair")
    );
    for one in cell.repairs.iter().take(LISTED) {
        text.push_str(&line(one));
    }
    if repairs > LISTED {
        let _ = writeln!(text, "  and {} more", repairs - LISTED);
    }
    let _ = writeln!(text, "\nthe first one:\n{}", best.diff);
    text
}

fn line(one: &Repair) -> String {
    let edits = one
        .edits
        .iter()
        .map(|edit| format!("{}  {}", edit.place, edit.does));
    let edits: Vec<_> = edits.collect();
    let counted = match one.counted {
        None => "  (what is counted has no bound)".into(),
        Some(0) => String::new(),
        Some(times) => format!("  (counted: at most {times})"),
    };
    format!("  {}{counted}\n", edits.join("\n    and "))
}
