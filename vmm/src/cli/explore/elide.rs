//! `--elide`: what can be left out of a cell that holds.

use std::fmt::Write;

use notifier::explore::{Bound, Cell, PropertyReport, Report, Verdict};
use notifier::mutate::{Baseline, Outcome, Removal, removals, without};
use serde::Serialize;

use super::edit::{Crew, Spot, document, title};
use super::target::{Loaded, load_all};
use super::text::reason;
use super::watch::Turn;
use super::{Exit, Explore};

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
    /// Whether the original itself was decided; if not, there is nothing to leave out.
    decided: bool,
    /// Why it was not.
    reason: Option<String>,
    /// The conditions that don't hold though nothing was left out.
    broken: Vec<String>,
    #[serde(skip)]
    verdicts: Vec<Verdict>,
    steps: Vec<Single>,
    /// The largest sets that can be left out together, as numbers of `steps`; none of one only.
    sets: Vec<Vec<usize>>,
    /// Why it is not known of some larger set whether it can be left out.
    undecided: Option<String>,
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
    /// Why it is undecided.
    reason: Option<String>,
}

pub(super) fn elide(arguments: &Explore, as_json: bool) -> Result<(String, Exit), String> {
    let crew = Crew::new(arguments);
    let mut all = Vec::new();
    for loaded in load_all(arguments)? {
        let baselines = crew.right(&loaded, arguments, "leave out")?;
        let cells = baselines.iter().enumerate().map(|(at, one)| {
            let turn = Turn::at(one.report(), at, baselines.len());
            cell(&crew, &loaded, one, &turn)
        });
        all.push(Elisions {
            cells: cells.collect(),
            scenario: loaded.checked.scenario.name.text.clone(),
        });
    }
    let mut cells = all.iter().flat_map(|one| &one.cells);
    let exit = match cells.all(CellElisions::is_answered) {
        true => Exit::Good,
        false => Exit::Bad,
    };
    let text = match as_json {
        true => document(&all),
        false => text(&all),
    };
    Ok((text, exit))
}

impl CellElisions {
    fn is_answered(&self) -> bool {
        let decided = |single: &Single| single.outcome != "undecided";
        self.decided
            && self.broken.is_empty()
            && self.undecided.is_none()
            && self.steps.iter().all(decided)
    }
}

fn cell(crew: &Crew, loaded: &Loaded, baseline: &Baseline<'_>, turn: &Turn<'_>) -> CellElisions {
    log::info!("{turn}");
    let report = baseline.report();
    let steps = match report.cut {
        None => removals(&loaded.checked, &report.cell),
        Some(_) => Vec::new(),
    };
    let trial = Trial {
        crew,
        loaded,
        baseline,
        turn,
        steps: &steps,
    };
    let singles: Vec<_> = (0..steps.len()).map(|step| vec![step]).collect();
    let tried = trial.all(&singles);
    let removable: Vec<usize> = (0..steps.len())
        .filter(|step| tried[*step].is_harmless())
        .collect();
    let (sets, undecided) = trial.largest(&removable);
    let failed = broken(report);
    let single = |(step, tried): (&Removal, &Tried)| single(loaded, step, tried);
    CellElisions {
        os: report.cell.os.clone(),
        hardware: report.cell.hardware.clone(),
        decided: report.cut.is_none(),
        reason: report.cut.map(reason),
        broken: failed.iter().map(|one| one.property.clone()).collect(),
        verdicts: failed.iter().map(|one| one.verdict).collect(),
        steps: steps.iter().zip(&tried).map(single).collect(),
        sets,
        undecided,
    }
}

/// What does not hold of a cell that is decided.
fn broken(report: &Report) -> Vec<&PropertyReport> {
    let properties = report.properties.iter();
    let failed = properties.filter(|one| report.cut.is_none() && one.verdict != Verdict::Holds);
    failed.collect()
}

/// What came of leaving out some steps.
enum Tried {
    Judged(Outcome),
    /// What is left makes no sense: why.
    Nonsense(String),
    /// A smaller set says the same.
    Known,
}

impl Tried {
    fn is_harmless(&self) -> bool {
        matches!(
            self,
            Self::Judged(Outcome::Equivalent(_) | Outcome::Survived)
        )
    }

    /// The bound that kept it from being known.
    fn cut(&self) -> Option<Bound> {
        match self {
            Self::Judged(Outcome::Undecided(bound)) => Some(*bound),
            _ => None,
        }
    }
}

struct Trial<'a> {
    crew: &'a Crew,
    loaded: &'a Loaded,
    baseline: &'a Baseline<'a>,
    turn: &'a Turn<'a>,
    steps: &'a [Removal],
}

impl Trial<'_> {
    /// What comes of each set.
    fn all(&self, sets: &[Vec<usize>]) -> Vec<Tried> {
        self.crew.each(self.turn, sets, |set| self.one(set))
    }

    fn one(&self, set: &[usize]) -> Tried {
        if self.crew.is_stopped() {
            return Tried::Judged(Outcome::Undecided(Bound::Interrupted));
        }
        let removed: Vec<_> = set.iter().map(|step| &self.steps[*step]).collect();
        let cell = &self.baseline.report().cell;
        match without(&self.loaded.checked, cell, &removed) {
            None => Tried::Known,
            Some(Err(error)) => Tried::Nonsense(error.message),
            Some(Ok(changed)) => {
                let watch = &mut self.crew.watch(self.turn);
                Tried::Judged(self.baseline.judge(&changed, watch))
            }
        }
    }

    /// The largest sets that are harmless together, and why some larger set may be, too.
    fn largest(&self, removable: &[usize]) -> (Vec<Vec<usize>>, Option<String>) {
        let (mut tried, mut undecided) = (0, None);
        for size in (2..=removable.len()).rev() {
            let sets = subsets(removable, size, SETS - tried);
            tried += sets.len();
            let came = self.all(&sets);
            let cut = came.iter().find_map(Tried::cut).map(reason);
            undecided = undecided.or(cut);
            if tried == SETS {
                let all = || format!("{SETS} sets were tried, and no more are");
                undecided = undecided.or_else(|| Some(all()));
            }
            let pairs = sets.into_iter().zip(came);
            let good = pairs.filter(|(_, one)| one.is_harmless());
            let good: Vec<_> = good.map(|(set, _)| set).collect();
            if !good.is_empty() || tried == SETS {
                return (good, undecided);
            }
        }
        (Vec::new(), undecided)
    }
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

fn single(loaded: &Loaded, removal: &Removal, tried: &Tried) -> Single {
    let (outcome, needed_by) = match tried {
        Tried::Judged(Outcome::Caught(all)) => {
            let by = all.iter().map(|catch| catch.by.to_string());
            ("needed", by.collect())
        }
        Tried::Nonsense(why) => ("needed", vec![format!("({why})")]),
        Tried::Judged(Outcome::Undecided(_)) | Tried::Known => ("undecided", Vec::new()),
        Tried::Judged(_) => ("removable", Vec::new()),
    };
    Single {
        place: Spot::new(loaded, removal.span),
        step: removal.step.clone(),
        outcome,
        needed_by,
        reason: tried.cut().map(reason),
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
    let head = title(scenario, &place);
    if let Some(why) = &cell.reason {
        return format!("{head}\nundecided itself ({why}), so there is nothing to leave out");
    }
    let mut text = format!("{head}\n{}", not_right(cell));
    for (number, step) in cell.steps.iter().enumerate() {
        text.push_str(&line(number + 1, step));
    }
    for set in &cell.sets {
        let numbers: Vec<_> = set.iter().map(|step| (step + 1).to_string()).collect();
        let _ = writeln!(text, "  together: {}", numbers.join(", "));
    }
    if let Some(why) = &cell.undecided {
        let _ = writeln!(text, "  larger sets: undecided ({why})");
    } else if cell.sets.is_empty() {
        let _ = writeln!(text, "  no two of them together");
    }
    text.trim_end().into()
}

/// That the cell is broken as it is, if it is.
fn not_right(cell: &CellElisions) -> String {
    let pairs = cell.broken.iter().zip(&cell.verdicts);
    let all = pairs.map(|(name, verdict)| format!("{name}: {verdict}"));
    match all.collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        all => format!(
            "does not hold itself ({}); `removable` is what the conditions that hold can do without\n",
            all.join(", ")
        ),
    }
}

fn line(number: usize, step: &Single) -> String {
    let (place, what, outcome) = (&step.place, &step.step, step.outcome);
    let mut text = format!("  {number:>3}  {place}  `{what}`: {outcome}");
    if !step.needed_by.is_empty() {
        let _ = write!(text, " by {}", step.needed_by.join(", "));
    }
    if let Some(why) = &step.reason {
        let _ = write!(text, " ({why})");
    }
    text.push('\n');
    text
}
