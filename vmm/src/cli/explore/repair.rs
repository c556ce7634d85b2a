//! `--repair`: the fewest edits that make a cell hold.

use std::collections::HashSet;
use std::fmt::Write;

use notifier::explore::{Cell, Most, Reductions, Report, Verdict, explore};
use notifier::mutate::{Edit, Standing, always_ends, cost, edits};
use notifier::scenario::{Checked, Span, format};
use serde::Serialize;
use similar::TextDiff;

use super::edit::{Crew, Spot, document, title};
use super::{Exit, Explore, Loaded, load_all};

/// Scenarios that are tried for a cell at most.
const CANDIDATES: usize = 5_000;
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
    /// Edits that are tried together at most.
    bound: u8,
    /// Scenarios that were tried.
    tried: usize,
    /// Whether the bound on those was hit, or Ctrl-C.
    cut: bool,
    /// Of those that were tried, how many a limit left undecided.
    undecided: usize,
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
        let broken: Vec<_> = reports.filter(|report| is_broken(report)).collect();
        if broken.is_empty() {
            return Err(nothing(&loaded));
        }
        let cells = broken
            .into_iter()
            .map(|one| cell(&crew, &loaded, one, bound));
        all.push(Repairs {
            cells: cells.collect(),
            scenario: loaded.checked.scenario.name.text.clone(),
        });
    }
    let mut cells = all.iter().flat_map(|one| &one.cells);
    let exit = match cells.all(|cell| !cell.repairs.is_empty()) {
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

fn is_broken(report: &Report) -> bool {
    let verdicts = [Verdict::Violated, Verdict::Livelock];
    report
        .properties
        .iter()
        .any(|property| verdicts.contains(&property.verdict))
}

/// A scenario on the way to a repair.
struct Try {
    done: Vec<(Span, String)>,
    /// The worst of those steps.
    standing: Standing,
    checked: Checked,
}

/// What came of trying one.
enum Came {
    Repaired(Most),
    Broken,
    Undecided,
}

fn cell(crew: &Crew, loaded: &Loaded, original: &Report, bound: u8) -> CellRepairs {
    let (checked, place) = (&loaded.checked, &original.cell);
    let ends = always_ends(checked, place, &crew.limits, &mut crew.watch());
    let mut search = Search {
        crew,
        original,
        ends: ends == Some(true),
        seen: HashSet::from([format(&loaded.checked.scenario)]),
        tried: 0,
        undecided: 0,
        cut: false,
        found: Vec::new(),
    };
    let mut level = vec![Try {
        done: Vec::new(),
        standing: Standing::LockedAnswer,
        checked: loaded.checked.clone(),
    }];
    for depth in 1..=bound {
        level = search.level(&level, depth == bound);
        if !search.found.is_empty() || search.cut {
            break;
        }
    }
    // The order in which they were found is that of the text, and stays so among equals.
    let rank = |(cost, found): &(Most, Try)| match cost {
        Most::Times(times) => (false, *times, found.standing),
        Most::Unbounded => (true, 0, found.standing),
    };
    search.found.sort_by_key(rank);
    CellRepairs {
        os: original.cell.os.clone(),
        hardware: original.cell.hardware.clone(),
        bound,
        tried: search.tried,
        cut: search.cut,
        undecided: search.undecided,
        repairs: search
            .found
            .iter()
            .map(|(cost, found)| told(loaded, *cost, found))
            .collect(),
    }
}

struct Search<'a> {
    crew: &'a Crew,
    original: &'a Report,
    /// Whether all agents can always come to their end, so that they must in what is repaired.
    ends: bool,
    seen: HashSet<String>,
    tried: usize,
    undecided: usize,
    cut: bool,
    found: Vec<(Most, Try)>,
}

impl Search<'_> {
    /// Tries one edit more on each; what is still broken, unless it is of no use any more.
    fn level(&mut self, from: &[Try], last: bool) -> Vec<Try> {
        let mut broken = Vec::new();
        for start in from {
            if self.cut {
                break;
            }
            let tries = self.next(start);
            let came = self.explore(&tries);
            for (tried, came) in tries.into_iter().zip(came) {
                match came {
                    Came::Repaired(cost) => self.found.push((cost, tried)),
                    Came::Undecided => self.undecided += 1,
                    Came::Broken if last => {}
                    Came::Broken => broken.push(tried),
                }
            }
        }
        broken
    }

    fn next(&mut self, start: &Try) -> Vec<Try> {
        let mut tries = Vec::new();
        for Edit {
            span,
            words,
            standing,
            checked,
        } in edits(&start.checked, &self.original.cell)
        {
            if self.tried == CANDIDATES || self.crew.is_stopped() {
                self.cut = true;
                break;
            }
            if self.seen.insert(format(&checked.scenario)) {
                self.tried += 1;
                let mut done = start.done.clone();
                done.push((span, words));
                tries.push(Try {
                    done,
                    standing: standing.max(start.standing),
                    checked,
                });
            }
        }
        tries
    }

    fn explore(&self, tries: &[Try]) -> Vec<Came> {
        let name = &self.original.scenario;
        self.crew.each(name, tries, |one| self.came(&one.checked))
    }

    fn came(&self, changed: &Checked) -> Came {
        let (cell, limits) = (&self.original.cell, &self.crew.limits);
        let watch = &mut self.crew.watch();
        let report = match explore(changed, cell, limits, Reductions::On, watch) {
            Ok(report) => report,
            // A value that does not fit is no repair.
            Err(_) => return Came::Broken,
        };
        if is_broken(&report) || report.stuck.is_some() {
            return Came::Broken;
        }
        if !report.holds() || report.cut.is_some() {
            return Came::Undecided;
        }
        match self.ends.then(|| always_ends(changed, cell, limits, watch)) {
            None | Some(Some(true)) => Came::Repaired(cost(&report)),
            Some(Some(false)) => Came::Broken,
            Some(None) => Came::Undecided,
        }
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
    let mut text = format!("{}\n", title(scenario, &place));
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    match cell.repairs.first() {
        None => {
            let (bound, tried) = (usize::from(cell.bound), cell.tried);
            let _ = writeln!(
                text,
                "no repair of at most {bound} edit{} among the {tried} that were tried",
                plural(bound)
            );
        }
        Some(best) => {
            let (count, edits) = (cell.repairs.len(), best.edits.len());
            let (more, tried) = (plural(count), cell.tried);
            let _ = writeln!(
                text,
                "{count} repair{more} of {edits} edit{}; {tried} were tried\n",
                plural(edits)
            );
            for one in cell.repairs.iter().take(LISTED) {
                text.push_str(&line(one));
            }
            if count > LISTED {
                let _ = writeln!(text, "  and {} more", count - LISTED);
            }
            let _ = writeln!(text, "\nthe first one:\n{}", best.diff);
        }
    }
    if cell.cut {
        let _ = writeln!(text, "cut short after {} of them", cell.tried);
    }
    if cell.undecided > 0 {
        let _ = writeln!(text, "undecided: {} of them", cell.undecided);
    }
    text.trim_end().into()
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
