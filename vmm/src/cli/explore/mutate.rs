//! `--mutate`: one mistake at a time, and who sees it.

use std::fmt::Write;

use comfy_table::Table as Grid;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use notifier::explore::{Bound, Cell};
use notifier::mutate::{Baseline, By, Catch, Class, Mutant, Outcome, mutants};
use serde::Serialize;

use super::edit::{Crew, Spot, document, title};
use super::target::{Loaded, load_all};
use super::text::{count, reason};
use super::watch::Turn;
use super::{Exit, Explore};

/// One scenario's cells.
#[derive(Serialize)]
struct Campaign {
    scenario: String,
    cells: Vec<CellScore>,
}

/// The mutants of one cell.
#[derive(Serialize)]
struct CellScore {
    os: Option<String>,
    hardware: Option<String>,
    /// Whether the original itself was decided; if not, there are no mutants.
    decided: bool,
    /// Why it was not.
    reason: Option<String>,
    scores: Vec<Score>,
    mutants: Vec<Judged>,
}

/// How many of a class there are, and what became of them.
#[derive(Serialize)]
struct Score {
    class: String,
    mutants: usize,
    /// A condition of the file sees it.
    by_conditions: usize,
    /// Only the explorer itself does: somebody waits for ever, or a value does not fit.
    by_explorer: usize,
    equivalent: usize,
    survived: usize,
    undecided: usize,
}

/// One mutant.
#[derive(Serialize)]
struct Judged {
    class: String,
    place: Spot,
    step: String,
    change: String,
    outcome: &'static str,
    caught_by: Vec<Seen>,
    /// Why it is equivalent or undecided.
    reason: Option<String>,
}

#[derive(Serialize)]
struct Seen {
    what: String,
    condition: bool,
    verdict: String,
    trace_length: Option<usize>,
}

pub(super) fn mutate(arguments: &Explore, as_json: bool) -> Result<(String, Exit), String> {
    let crew = Crew::new(arguments);
    let mut campaigns = Vec::new();
    for loaded in load_all(arguments)? {
        let baselines = crew.right(&loaded, arguments, "break")?;
        let cells = baselines.iter().enumerate().map(|(at, one)| {
            let turn = Turn::at(one.report(), at, baselines.len());
            cell(&crew, &loaded, one, &turn)
        });
        campaigns.push(Campaign {
            cells: cells.collect(),
            scenario: loaded.checked.scenario.name.text.clone(),
        });
    }
    let mut cells = campaigns.iter().flat_map(|one| &one.cells);
    let exit = match cells.all(CellScore::is_clean) {
        true => Exit::Good,
        false => Exit::Bad,
    };
    let text = match as_json {
        true => document(&campaigns),
        false => text(&campaigns),
    };
    Ok((text, exit))
}

fn cell(crew: &Crew, loaded: &Loaded, baseline: &Baseline<'_>, turn: &Turn<'_>) -> CellScore {
    log::info!("{turn}");
    let report = baseline.report();
    let decided = report.cut.is_none();
    let all = match decided {
        true => mutants(&loaded.checked, &report.cell),
        false => Vec::new(),
    };
    let outcomes = crew.each(turn, &all, |mutant| match crew.is_stopped() {
        true => Outcome::Undecided(Bound::Interrupted),
        false => baseline.judge(&mutant.checked, &mut crew.watch(turn)),
    });
    let pairs: Vec<_> = all.iter().zip(&outcomes).collect();
    let scores = Class::ALL.iter().map(|class| score(*class, &pairs));
    CellScore {
        os: report.cell.os.clone(),
        hardware: report.cell.hardware.clone(),
        decided,
        reason: report.cut.map(reason),
        scores: scores.collect(),
        mutants: pairs
            .iter()
            .map(|(mutant, outcome)| judged(loaded, mutant, outcome))
            .collect(),
    }
}

fn score(class: Class, all: &[(&Mutant, &Outcome)]) -> Score {
    let own = all.iter().filter(|(mutant, _)| mutant.class == class);
    let own: Vec<&Outcome> = own.map(|(_, outcome)| *outcome).collect();
    let count = |wanted: fn(&Outcome) -> bool| own.iter().filter(|one| wanted(one)).count();
    Score {
        class: class.to_string(),
        mutants: own.len(),
        by_conditions: count(
            |one| matches!(one, Outcome::Caught(all) if all.iter().any(is_condition)),
        ),
        by_explorer: count(
            |one| matches!(one, Outcome::Caught(all) if !all.iter().any(is_condition)),
        ),
        equivalent: count(|one| matches!(one, Outcome::Equivalent(_))),
        survived: count(|one| matches!(one, Outcome::Survived)),
        undecided: count(|one| matches!(one, Outcome::Undecided(_))),
    }
}

fn is_condition(catch: &Catch) -> bool {
    matches!(catch.by, By::Property(_) | By::Counter(..))
}

fn judged(loaded: &Loaded, mutant: &Mutant, outcome: &Outcome) -> Judged {
    let (word, why) = match outcome {
        Outcome::Caught(_) => ("caught", None),
        Outcome::Equivalent(states) => {
            let why = format!(
                "the states that are reached look the same, {states} in all: no condition on states \
                 can tell"
            );
            ("equivalent", Some(why))
        }
        Outcome::Survived => ("survived", None),
        Outcome::Undecided(bound) => ("undecided", Some(reason(*bound))),
    };
    let caught = match outcome {
        Outcome::Caught(all) => all.as_slice(),
        _ => &[],
    };
    Judged {
        class: mutant.class.to_string(),
        place: Spot::new(loaded, mutant.span),
        step: mutant.step.clone(),
        change: mutant.change.clone(),
        outcome: word,
        caught_by: caught.iter().map(seen).collect(),
        reason: why,
    }
}

fn seen(catch: &Catch) -> Seen {
    Seen {
        what: catch.by.to_string(),
        condition: is_condition(catch),
        verdict: catch.verdict.to_string(),
        trace_length: catch.length,
    }
}

impl CellScore {
    fn is_clean(&self) -> bool {
        let clean = |score: &Score| score.survived == 0 && score.undecided == 0;
        self.decided && self.scores.iter().all(clean)
    }
}

fn text(campaigns: &[Campaign]) -> String {
    let cells = campaigns
        .iter()
        .flat_map(|one| one.cells.iter().map(|cell| cell_text(&one.scenario, cell)));
    cells.collect::<Vec<_>>().join("\n\n")
}

fn cell_text(scenario: &str, cell: &CellScore) -> String {
    let place = Cell {
        os: cell.os.clone(),
        hardware: cell.hardware.clone(),
    };
    let head = title(scenario, &place);
    if let Some(why) = &cell.reason {
        return format!(
            "{head}\nundecided itself ({why}), so there is nothing to compare mutants with"
        );
    }
    let mut text = format!("{head}\n{}\n", grid(&cell.scores));
    for (outcome, what) in [
        ("survived", "survived: nothing sees these"),
        ("undecided", "undecided"),
        ("equivalent", "equivalent"),
        ("caught", "caught"),
    ] {
        let own: Vec<_> = cell
            .mutants
            .iter()
            .filter(|one| one.outcome == outcome)
            .collect();
        if !own.is_empty() {
            let _ = writeln!(text, "\n{what}:");
        }
        own.iter().for_each(|one| text.push_str(&line(one)));
    }
    text.trim_end().into()
}

fn grid(scores: &[Score]) -> String {
    let mut grid = Grid::new();
    grid.load_style(UTF8_FULL_CONDENSED);
    grid.set_header([
        "class",
        "mutants",
        "condition",
        "explorer",
        "equivalent",
        "survived",
        "undecided",
        "score",
    ]);
    for score in scores {
        grid.add_row(row(&score.class, score));
    }
    grid.add_row(row("all", &sum(scores)));
    grid.to_string()
}

fn sum(scores: &[Score]) -> Score {
    let of = |one: fn(&Score) -> usize| scores.iter().map(one).sum();
    Score {
        class: String::new(),
        mutants: of(|one| one.mutants),
        by_conditions: of(|one| one.by_conditions),
        by_explorer: of(|one| one.by_explorer),
        equivalent: of(|one| one.equivalent),
        survived: of(|one| one.survived),
        undecided: of(|one| one.undecided),
    }
}

fn row(class: &str, score: &Score) -> [String; 8] {
    let caught = score.by_conditions + score.by_explorer;
    let wrong = score.mutants - score.equivalent;
    let share = match wrong {
        0 => "-".into(),
        _ => format!("{caught} of {wrong}"),
    };
    [
        class.into(),
        score.mutants.to_string(),
        score.by_conditions.to_string(),
        score.by_explorer.to_string(),
        score.equivalent.to_string(),
        score.survived.to_string(),
        score.undecided.to_string(),
        share,
    ]
}

fn line(one: &Judged) -> String {
    let mut text = format!(
        "  {}  {}: `{}`: {}\n",
        one.place, one.class, one.step, one.change
    );
    let seen: Vec<String> = one.caught_by.iter().map(seen_text).collect();
    if !seen.is_empty() {
        let _ = writeln!(text, "      {}", seen.join("; "));
    }
    if let Some(reason) = &one.reason {
        let _ = writeln!(text, "      {reason}");
    }
    text
}

fn seen_text(seen: &Seen) -> String {
    let length = seen.trace_length.map_or(String::new(), |length| {
        format!(", {}", count(length, "step"))
    });
    match seen.trace_length {
        Some(_) if seen.condition => format!("{}: {}{length}", seen.what, seen.verdict),
        _ => format!("{}{length}", seen.what),
    }
}
