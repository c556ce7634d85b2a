//! `--elide`: what can be left out of a cell that holds.

use std::fmt::Write;

use notifier::explore::{Bound, Cell};
use notifier::mutate::{Baseline, Outcome, Removal, removals, without};
use serde::Serialize;

use super::edit::{Crew, Spot, document, title};
use super::{Exit, Explore, Loaded, load_all};

/// Sets of steps that are tried together at most.
const SETS: usize = 4096;

#[derive(Serialize)]
struct Elisions {
    scenario: String,
    cells: Vec<CellElisions>,
}

/// What one cell can do without.
#[derive(Serialize)]
struct CellElisions {
    os: Option<String>,
    hardware: Option<String>,
    steps: Vec<Single>,
    /// The largest sets that can be left out together, as numbers of `steps`; none of one only.
    sets: Vec<Vec<usize>>,
    /// Whether some larger set may not have been tried.
    bounded: bool,
}

/// One step, tried without.
#[derive(Serialize)]
struct Single {
    place: Spot,
    step: String,
    /// `removable`, `needed` or `undecided`.
    outcome: &'static str,
    /// What needs it.
    needed_by: Vec<String>,
}

pub(super) fn elide(arguments: &Explore, as_json: bool) -> Result<(String, Exit), String> {
    let crew = Crew::new(arguments);
    let mut all = Vec::new();
    for loaded in load_all(arguments)? {
        let baselines = crew.right(&loaded, arguments)?;
        let cells = baselines.iter().map(|one| cell(&crew, &loaded, one));
        all.push(Elisions {
            cells: cells.collect(),
            scenario: loaded.checked.scenario.name.text.clone(),
        });
    }
    let text = match as_json {
        true => document(&all),
        false => text(&all),
    };
    Ok((text, Exit::Good))
}

fn cell(crew: &Crew, loaded: &Loaded, baseline: &Baseline<'_>) -> CellElisions {
    let report = baseline.report();
    let steps = match report.cut {
        None => removals(&loaded.checked, &report.cell),
        Some(_) => Vec::new(),
    };
    let trial = Trial {
        crew,
        loaded,
        baseline,
        steps: &steps,
    };
    let singles: Vec<_> = (0..steps.len()).map(|step| vec![step]).collect();
    let outcomes = trial.all(&singles);
    let harmless = |outcome: &Option<Outcome>| outcome.as_ref().is_some_and(is_harmless);
    let removable: Vec<usize> = (0..steps.len())
        .filter(|step| harmless(&outcomes[*step]))
        .collect();
    let (sets, bounded) = trial.largest(&removable);
    let single = |(step, outcome): (&Removal, &Option<Outcome>)| single(loaded, step, outcome);
    CellElisions {
        os: report.cell.os.clone(),
        hardware: report.cell.hardware.clone(),
        steps: steps.iter().zip(&outcomes).map(single).collect(),
        sets,
        bounded: bounded || report.cut.is_some(),
    }
}

struct Trial<'a> {
    crew: &'a Crew,
    loaded: &'a Loaded,
    baseline: &'a Baseline<'a>,
    steps: &'a [Removal],
}

impl Trial<'_> {
    /// What comes of each set; `None` where a smaller one says the same.
    fn all(&self, sets: &[Vec<usize>]) -> Vec<Option<Outcome>> {
        let report = self.baseline.report();
        self.crew.each(&report.scenario, sets, |set| {
            if self.crew.is_stopped() {
                return Some(Outcome::Undecided(Bound::Interrupted));
            }
            let removed: Vec<_> = set.iter().map(|step| &self.steps[*step]).collect();
            let changed = without(&self.loaded.checked, &report.cell, &removed)?.ok()?;
            Some(self.baseline.judge(&changed, &mut self.crew.watch()))
        })
    }

    /// The largest sets that are harmless together, and whether a bound was hit on the way.
    fn largest(&self, removable: &[usize]) -> (Vec<Vec<usize>>, bool) {
        let (mut tried, mut bounded) = (0, false);
        for size in (2..=removable.len()).rev() {
            let sets = subsets(removable, size, SETS - tried);
            tried += sets.len();
            bounded |= tried == SETS;
            let outcomes = self.all(&sets);
            let undecided = |one: &Option<Outcome>| matches!(one, Some(Outcome::Undecided(_)));
            bounded |= outcomes.iter().any(undecided);
            let pairs = sets.into_iter().zip(outcomes);
            let good = pairs.filter(|(_, one)| one.as_ref().is_some_and(is_harmless));
            let good: Vec<_> = good.map(|(set, _)| set).collect();
            if !good.is_empty() || tried == SETS {
                return (good, bounded);
            }
        }
        (Vec::new(), bounded)
    }
}

fn is_harmless(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Equivalent(_) | Outcome::Survived)
}

/// The subsets of this size, in order, `most` of them at most.
fn subsets(of: &[usize], size: usize, most: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    let mut chosen: Vec<usize> = (0..size).collect();
    while all.len() < most && size <= of.len() {
        all.push(chosen.iter().map(|at| of[*at]).collect());
        // The last one that can still go on does, and those behind it follow.
        let can = |at: &usize| chosen[*at] < of.len() - size + *at;
        let Some(at) = (0..size).rev().find(can) else {
            break;
        };
        let next = chosen[at] + 1;
        for (step, one) in chosen[at..].iter_mut().enumerate() {
            *one = next + step;
        }
    }
    all
}

fn single(loaded: &Loaded, removal: &Removal, outcome: &Option<Outcome>) -> Single {
    let (word, needed_by) = match outcome {
        Some(Outcome::Caught(all)) => {
            let by = all.iter().map(|catch| catch.by.to_string());
            ("needed", by.collect())
        }
        Some(Outcome::Undecided(_)) | None => ("undecided", Vec::new()),
        Some(_) => ("removable", Vec::new()),
    };
    Single {
        place: Spot::new(loaded, removal.span),
        step: removal.step.clone(),
        outcome: word,
        needed_by,
    }
}

fn text(all: &[Elisions]) -> String {
    let cells = all
        .iter()
        .flat_map(|one| one.cells.iter().map(|cell| cell_text(&one.scenario, cell)));
    cells.collect::<Vec<_>>().join("\n\n")
}

fn cell_text(scenario: &str, cell: &CellElisions) -> String {
    let place = Cell {
        os: cell.os.clone(),
        hardware: cell.hardware.clone(),
    };
    let mut text = format!("{}\n", title(scenario, &place));
    for (number, step) in cell.steps.iter().enumerate() {
        let _ = write!(
            text,
            "  {:>3}  {}  `{}`: {}",
            number + 1,
            step.place,
            step.step,
            step.outcome
        );
        let by = step.needed_by.join(", ");
        let _ = match by.is_empty() {
            true => writeln!(text),
            false => writeln!(text, " by {by}"),
        };
    }
    for set in &cell.sets {
        let numbers: Vec<_> = set.iter().map(|step| (step + 1).to_string()).collect();
        let _ = writeln!(text, "  together: {}", numbers.join(", "));
    }
    if cell.sets.is_empty() {
        let _ = writeln!(text, "  no two of them together");
    }
    if cell.bounded {
        let _ = writeln!(text, "  a limit was reached: larger sets are undecided");
    }
    text.trim_end().into()
}
