//! Trace files: who has to move when for a violation to show, as `explore --trace-out` finds it and a
//! live run makes it again.
//!
//! A file has the whole text of its scenario, so that nothing depends on where that came from. Whatever
//! is in a file is made again on the abstract machine before anybody relies on it.

use notifier::explore::{Astray, Breach, Cell, Choices, Move, Mover, Schedule, Value, follow};
use notifier::scenario::tree::Demand;
use notifier::scenario::{self, Checked, Diagnostic};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the format that is written, and the only one that is read.
const VERSION: u64 = 1;
/// Bytes of a file at most.
pub const MAX_BYTES: usize = 16 << 20;
/// Scenarios, cells and violations in a file at most, each.
const MAX_ITEMS: usize = 1024;
/// Turns of one violation at most.
const MAX_TURNS: usize = 4096;

/// What a trace file holds.
#[derive(Clone, Debug)]
pub struct TraceFile {
    /// The scenarios, in the order of the command line.
    pub scenarios: Vec<TracedScenario>,
}

/// One scenario.
#[derive(Clone, Debug)]
pub struct TracedScenario {
    /// Its text.
    pub text: String,
    /// The same, checked.
    pub checked: Checked,
    /// The cells that were explored.
    pub cells: Vec<TracedCell>,
}

/// One cell.
#[derive(Clone, Debug)]
pub struct TracedCell {
    /// Which.
    pub cell: Cell,
    /// What does not hold in it.
    pub violations: Vec<TracedViolation>,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedViolation {
    /// What.
    pub breach: Breach,
    /// What the search said of it.
    pub verdict: TracedVerdict,
    /// The turns to it, or why there are none.
    pub way: Result<Schedule, String>,
}

/// What the search said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TracedVerdict {
    /// The condition is violated.
    Violated,
    /// There is a state from which success can't be reached any more.
    Livelock,
    /// Somebody waits for ever.
    Deadlock,
}

/// Why a trace file is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// It is too large.
    #[error("a trace file has at most {MAX_BYTES} bytes")]
    TooLarge,
    /// It has too many of something.
    #[error("more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// It is no JSON, or not what the format says; with line and column.
    #[error("{0}")]
    Json(String),
    /// It is of another version.
    #[error("version {0} of the format is not known; this is version {VERSION}")]
    Version(u64),
    /// The text of a scenario has a mistake, told with its place.
    #[error("the text of the scenario: {0}")]
    Text(String),
    /// The name is another one than in the text.
    #[error("it is called `{said}`, and `{is}` in its text")]
    Name {
        /// What the file says.
        said: String,
        /// What the text says.
        is: String,
    },
    /// Something of a cell.
    #[error("os {}, hardware {}: {what}: {why}", or_none(.cell.os.as_ref()), or_none(.cell.hardware.as_ref()))]
    Cell {
        /// Which.
        cell: Box<Cell>,
        /// The condition, or that it is about waiting.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

fn or_none(name: Option<&String>) -> &str {
    name.map_or("-", String::as_str)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDocument {
    version: u64,
    scenarios: Vec<ScenarioDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioDocument {
    scenario: String,
    text: String,
    cells: Vec<CellDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CellDocument {
    os: Option<String>,
    hardware: Option<String>,
    violations: Vec<ViolationDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViolationDocument {
    /// Null for a deadlock.
    property: Option<String>,
    verdict: TracedVerdict,
    /// Why there are no turns.
    reason: Option<String>,
    schedule: Option<ScheduleDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleDocument {
    initial: Vec<ValueDocument>,
    turns: Vec<TurnDocument>,
    repeats_from: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueDocument {
    name: String,
    value: u64,
    /// For people; not read.
    #[serde(default)]
    shown: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnDocument {
    /// Who moves: one of the agents, its interrupt of that name, or an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    stop: usize,
    choices: Vec<usize>,
    hardware_choices: Vec<usize>,
    /// In the order of the initial values.
    after: Vec<u64>,
    /// For people, like all that follows; not read.
    #[serde(default)]
    name: String,
    #[serde(default)]
    does: String,
    #[serde(default)]
    changes: Vec<ChangeDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeDocument {
    name: String,
    before: String,
    after: String,
}

/// Only this is read first: a file of another version may be otherwise in all else.
#[derive(Deserialize)]
struct VersionDocument {
    version: u64,
}

impl TraceFile {
    /// Reads a file and makes all its turns again.
    ///
    /// # Errors
    /// Whatever is wrong with it; with the place, as far as there is one.
    pub fn read(bytes: &[u8]) -> Result<Self, TraceError> {
        if bytes.len() > MAX_BYTES {
            return Err(TraceError::TooLarge);
        }
        let json = |error: serde_json::Error| TraceError::Json(error.to_string());
        let VersionDocument { version } = serde_json::from_slice(bytes).map_err(json)?;
        if version != VERSION {
            return Err(TraceError::Version(version));
        }
        let file: FileDocument = serde_json::from_slice(bytes).map_err(json)?;
        file.bounded()?;
        let scenarios = file.scenarios.into_iter().map(ScenarioDocument::read);
        Ok(Self {
            scenarios: scenarios.collect::<Result<_, _>>()?,
        })
    }

    /// The document, as [`read`](Self::read) reads it.
    ///
    /// # Errors
    /// It would be larger than what is read.
    pub fn write(&self) -> Result<String, TraceError> {
        let scenarios = self.scenarios.iter().map(ScenarioDocument::new);
        let document = FileDocument {
            version: VERSION,
            scenarios: scenarios.collect(),
        };
        document.bounded()?;
        let text = serde_json::to_string_pretty(&document);
        let text = text.map_err(|error| TraceError::Json(error.to_string()))?;
        match text.len() > MAX_BYTES {
            true => Err(TraceError::TooLarge),
            false => Ok(text),
        }
    }
}

impl FileDocument {
    fn bounded(&self) -> Result<(), TraceError> {
        let cells = || self.scenarios.iter().flat_map(|one| &one.cells);
        let violations = || cells().flat_map(|one| &one.violations);
        let bound = |what, count: usize, most| match count > most {
            true => Err(TraceError::TooMany { what, most }),
            false => Ok(()),
        };
        bound("scenarios", self.scenarios.len(), MAX_ITEMS)?;
        bound("cells", cells().count(), MAX_ITEMS)?;
        bound("violations", violations().count(), MAX_ITEMS)?;
        let schedules = violations().filter_map(|one| one.schedule.as_ref());
        let longest = schedules.map(|one| one.turns.len()).max();
        bound("turns", longest.unwrap_or_default(), MAX_TURNS)
    }
}

impl ScenarioDocument {
    fn new(traced: &TracedScenario) -> Self {
        Self {
            scenario: traced.checked.scenario.name.text.clone(),
            text: traced.text.clone(),
            cells: traced.cells.iter().map(CellDocument::new).collect(),
        }
    }

    fn read(self) -> Result<TracedScenario, TraceError> {
        let file = format!("{}.litmus", self.scenario);
        let mistake =
            |error: Diagnostic| TraceError::Text(error.locate(&file, &self.text).to_string());
        let text = scenario::text(self.text.as_bytes()).map_err(mistake)?;
        let checked = scenario::parse(text)
            .and_then(scenario::check)
            .map_err(mistake)?;
        let is = &checked.scenario.name.text;
        if *is != self.scenario {
            let (said, is) = (self.scenario, is.clone());
            return Err(TraceError::Name { said, is });
        }
        let cells = self.cells.into_iter().map(|cell| cell.read(&checked));
        let cells = cells.collect::<Result<_, _>>()?;
        Ok(TracedScenario {
            text: self.text,
            checked,
            cells,
        })
    }
}

impl CellDocument {
    fn new(traced: &TracedCell) -> Self {
        let Cell { os, hardware } = &traced.cell;
        Self {
            os: os.clone(),
            hardware: hardware.clone(),
            violations: traced
                .violations
                .iter()
                .map(ViolationDocument::new)
                .collect(),
        }
    }

    fn read(self, checked: &Checked) -> Result<TracedCell, TraceError> {
        let cell = Cell {
            os: self.os,
            hardware: self.hardware,
        };
        let wrong = |what: &str, why: &str| TraceError::Cell {
            cell: Box::new(cell.clone()),
            what: what.into(),
            why: why.into(),
        };
        if !Cell::all(checked).contains(&cell) {
            return Err(wrong("the cell", "the scenario has none such"));
        }
        let read = |violation: ViolationDocument| {
            let what = violation.property.clone();
            let what = what.map_or("the deadlock".into(), |name| format!("`{name}`"));
            violation
                .read(checked, &cell)
                .map_err(|why| wrong(&what, &why))
        };
        let violations = self.violations.into_iter().map(read);
        let violations = violations.collect::<Result<_, _>>()?;
        Ok(TracedCell { cell, violations })
    }
}

impl ViolationDocument {
    fn new(traced: &TracedViolation) -> Self {
        Self {
            property: match &traced.breach {
                Breach::Condition(name) => Some(name.clone()),
                Breach::Deadlock => None,
            },
            verdict: traced.verdict,
            reason: traced.way.as_ref().err().cloned(),
            schedule: traced.way.as_ref().ok().map(ScheduleDocument::new),
        }
    }

    fn read(self, checked: &Checked, cell: &Cell) -> Result<TracedViolation, String> {
        let breach = self.breach(checked)?;
        let way = match (self.schedule, self.reason) {
            (Some(schedule), None) => Ok(schedule.read(checked, cell)?),
            (None, Some(reason)) => Err(reason),
            _ => return Err("there is either a `schedule` or a `reason`".into()),
        };
        if let Ok(schedule) = &way {
            let shown = match &breach {
                Breach::Deadlock => schedule.stuck,
                // That success can't be reached any more is what the search says.
                Breach::Condition(_) if self.verdict == TracedVerdict::Livelock => true,
                Breach::Condition(name) => schedule.shows.contains(name),
            };
            if !shown {
                return Err("it does not show at the end of its turns".into());
            }
        }
        Ok(TracedViolation {
            breach,
            verdict: self.verdict,
            way,
        })
    }

    /// What it is about; the verdict has to be one that there can be on that.
    fn breach(&self, checked: &Checked) -> Result<Breach, String> {
        let Some(name) = &self.property else {
            return match self.verdict {
                TracedVerdict::Deadlock => Ok(Breach::Deadlock),
                _ => Err("only a deadlock has no `property`".into()),
            };
        };
        let mut properties = checked.symbols.properties.iter();
        let property = properties.find(|one| one.name.text == *name);
        let property = property.ok_or("the scenario has no such condition")?;
        let verdict = match property.demand {
            Demand::Progress => TracedVerdict::Livelock,
            Demand::Forbidden | Demand::Required | Demand::Allowed => TracedVerdict::Violated,
        };
        match self.verdict == verdict {
            true => Ok(Breach::Condition(name.clone())),
            false => Err("this can't be its `verdict`".into()),
        }
    }
}

impl ScheduleDocument {
    fn new(schedule: &Schedule) -> Self {
        let value = |one: &Value| ValueDocument {
            name: one.name.clone(),
            value: one.value,
            shown: one.shown.clone(),
        };
        Self {
            initial: schedule.initial.iter().map(value).collect(),
            turns: schedule.turns.iter().map(TurnDocument::new).collect(),
            repeats_from: schedule.again,
        }
    }

    /// Makes the turns; they have to come to the values that the file tells.
    fn read(self, checked: &Checked, cell: &Cell) -> Result<Schedule, String> {
        let initial = self.initial.iter();
        let initial: Vec<_> = initial.map(|one| (one.name.clone(), one.value)).collect();
        let moves = self.turns.iter().map(TurnDocument::read);
        let moves: Vec<Move> = moves.collect::<Result<_, _>>()?;
        let astray = |error: Astray| error.to_string();
        let schedule =
            follow(checked, cell, &initial, &moves, self.repeats_from).map_err(astray)?;
        for (number, (told, turn)) in self.turns.iter().zip(&schedule.turns).enumerate() {
            let wrong = self.initial.iter().zip(&told.after).find(|(named, value)| {
                let is = turn.after.iter().find(|one| one.name == named.name);
                is.is_none_or(|is| is.value != **value)
            });
            if let Some((named, value)) = wrong {
                let name = &named.name;
                return Err(format!("turn {number}: `{name}` is not {value} afterwards"));
            }
            if told.after.len() != self.initial.len() {
                return Err(format!(
                    "turn {number}: `after` has a value for each variable"
                ));
            }
        }
        Ok(schedule)
    }
}

impl TurnDocument {
    fn new(turn: &notifier::explore::Turn) -> Self {
        let changes = turn.differences.iter().map(|change| ChangeDocument {
            name: change.name.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
        });
        let (agent, interrupt, event) = match turn.next.mover.clone() {
            Mover::Agent(agent) => (Some(agent), None, None),
            Mover::Interrupt(agent, name) => (Some(agent), Some(name), None),
            Mover::Event(name) => (None, None, Some(name)),
        };
        Self {
            agent,
            interrupt,
            event,
            stop: turn.next.stop,
            choices: turn.next.choices.program.clone(),
            hardware_choices: turn.next.choices.hardware.clone(),
            after: turn.after.iter().map(|one| one.value).collect(),
            name: turn.name.clone(),
            does: turn.words.clone(),
            changes: changes.collect(),
        }
    }

    fn read(&self) -> Result<Move, String> {
        Ok(Move {
            mover: self.mover()?,
            stop: self.stop,
            choices: Choices {
                program: self.choices.clone(),
                hardware: self.hardware_choices.clone(),
            },
        })
    }

    fn mover(&self) -> Result<Mover, String> {
        match (self.agent, self.interrupt.clone(), self.event.clone()) {
            (Some(agent), None, None) => Ok(Mover::Agent(agent)),
            (Some(agent), Some(name), None) => Ok(Mover::Interrupt(agent, name)),
            (None, None, Some(name)) => Ok(Mover::Event(name)),
            _ => Err("a turn is made by an `agent`, its `interrupt` or an `event`".into()),
        }
    }
}
