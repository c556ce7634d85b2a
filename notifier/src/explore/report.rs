//! What came of exploring one cell.

use std::fmt;
use std::ops::ControlFlow;

use super::ends::{self, Ends, Standing};
use super::machine::Machine;
use super::mistake::Mistake;
use super::program::{Program, Wanted};
use super::progress::Most;
use super::search::Search;
use super::trace::Trace;
use super::{Bound, Cell, Limits, Progress, Until};
use crate::scenario::tree::{Count, Demand, Kind, Scope, Variable};
use crate::scenario::{Checked, Diagnostic, Symbols};

/// What the search says about a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds in all that can happen within the bounds.
    Holds,
    /// It does not.
    Violated,
    /// There is a state from which success can't be reached any more.
    Livelock,
    /// The search was stopped before that was known, or it is asked of runs that end and none does.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Violated => "violated",
            Self::Livelock => "livelock",
            Self::Undecided => "undecided",
        })
    }
}

/// One condition in one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyReport {
    /// Its name.
    pub property: String,
    /// What it means.
    pub about: String,
    /// What is asked for.
    pub demand: Demand,
    /// Of which states.
    pub scope: Scope,
    /// What the search says.
    pub verdict: Verdict,
    /// States that were known when that was decided.
    pub states: usize,
    /// A shortest way to where it is broken (or, for what is allowed, to where it is).
    pub trace: Option<Trace>,
    /// How often the counter of a progress condition can be counted: its name and that.
    pub most: Option<(String, Most)>,
}

/// All values that some expressions have together in the states that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub about: String,
    /// The expressions.
    pub columns: Vec<String>,
    /// The values.
    pub rows: Vec<Vec<String>>,
}

/// What the verdicts are limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The agents.
    pub agents: Vec<String>,
    /// The shared entries: page-table entries and what is cached of them. Of an array, each element.
    pub entries: Vec<String>,
    /// The page frames.
    pub frames: Vec<String>,
}

impl Bounds {
    /// Memory is sequentially consistent, whatever the file says.
    pub const MEMORY: &str = "sequentially consistent";

    /// Those of a file.
    pub fn of(checked: &Checked) -> Self {
        let symbols = &checked.symbols;
        let agents = symbols.agents.iter().map(|agent| agent.name.text.clone());
        let shared = symbols.variables.iter().filter(|one| !one.ghost);
        let entries = shared.filter(|one| one.kind == Kind::Entry);
        Self {
            agents: agents.collect(),
            entries: entries.flat_map(|one| elements(one, symbols)).collect(),
            frames: symbols.frames.clone(),
        }
    }
}

fn elements(variable: &Variable, symbols: &Symbols) -> Vec<String> {
    let name = &variable.name.text;
    match variable.count {
        Count::One => vec![name.clone()],
        Count::Many(count) => (0..count).map(|at| format!("{name}[{at}]")).collect(),
        Count::PerFrame => {
            let frames = symbols.frames.iter();
            frames.map(|frame| format!("{name}[{frame}]")).collect()
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(f, "agent", "agents", &self.agents)?;
        f.write_str(", ")?;
        named(f, "entry", "entries", &self.entries)?;
        f.write_str(", ")?;
        named(f, "page frame", "page frames", &self.frames)?;
        write!(f, ", {} memory", Self::MEMORY)
    }
}

/// How many there are, and which.
fn named(f: &mut fmt::Formatter<'_>, one: &str, many: &str, names: &[String]) -> fmt::Result {
    match names {
        [] => write!(f, "no {many}"),
        [name] => write!(f, "1 {one} ({name})"),
        _ => write!(f, "{} {many} ({})", names.len(), names.join(", ")),
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The cell.
    pub cell: Cell,
    /// States found.
    pub states: usize,
    /// Steps between them.
    pub steps: u64,
    /// How many steps the farthest is away.
    pub depth: usize,
    /// Bits of a state.
    pub bits: usize,
    /// Bytes that the states took.
    pub bytes: usize,
    /// What the verdicts are limited to.
    pub bounds: Bounds,
    /// The conditions, in the order of the file.
    pub properties: Vec<PropertyReport>,
    /// The tables, in the order of the file.
    pub tables: Vec<Table>,
    /// The way to a state where somebody waits for ever for something that can't come.
    pub stuck: Option<Trace>,
    /// The way to a state from which not all agents can come to their end any more, though nobody
    /// waits, and once round a circle there.
    pub astray: Option<Trace>,
    /// Whether its runs come to their end. `None` if the search did not see all states, or if nobody
    /// waits for ever, some run ends, and no condition asks anything `finally`.
    pub ends: Option<Ends>,
    /// If no run comes to its end, where those stand who can't.
    pub standing: Vec<Standing>,
    /// Why the search was not carried to its end.
    pub cut: Option<Bound>,
}

impl Report {
    /// Whether every condition holds.
    pub fn holds(&self) -> bool {
        self.properties
            .iter()
            .all(|property| property.verdict == Verdict::Holds)
    }

    /// Whether a condition is violated or a livelock.
    pub fn is_broken(&self) -> bool {
        let broken = [Verdict::Violated, Verdict::Livelock];
        let mut properties = self.properties.iter();
        properties.any(|property| broken.contains(&property.verdict))
    }

    /// Whether a condition is undecided since it is asked of the runs that end, and none does.
    pub fn is_asked_of_none(&self, property: &PropertyReport) -> bool {
        let finally = property.scope == Scope::Finally && property.verdict == Verdict::Undecided;
        finally && self.ends == Some(Ends::Never)
    }

    /// What is wrong if everything holds only because no run comes to its end: an agent waits or goes
    /// round for ever on every way. It is no mistake where something is violated, or where only
    /// progress is asked, which is about runs that never end, too.
    pub fn endless(&self) -> Option<Diagnostic> {
        let told = self.ends != Some(Ends::Never) || self.is_broken();
        if told || (self.asks_progress() && !self.asks_finally()) {
            return None;
        }
        ends::endless(&self.cell, &self.standing)
    }

    /// Whether a condition is about the states in which all agents are done.
    pub fn asks_finally(&self) -> bool {
        let mut properties = self.properties.iter();
        properties.any(|property| property.scope == Scope::Finally)
    }

    fn asks_progress(&self) -> bool {
        let mut properties = self.properties.iter();
        properties.any(|property| property.demand == Demand::Progress)
    }
}

/// Explores one cell.
pub(super) fn report<const W: usize>(
    checked: &Checked,
    cell: &Cell,
    program: &Program,
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, Diagnostic> {
    let machine = Machine::<W>::new(program);
    let search = Search::run(&machine, limits, watch)?;
    let stuck = search.stuck.map(|id| search.way_to(id)).transpose()?;
    let (ends, lost) = search.ends(limits)?;
    let astray = lost.filter(|_| stuck.is_none());
    let astray = astray.map(|id| search.way_around(id, None)).transpose()?;
    let standing = match ends {
        Some(Ends::Never) => search.standing()?,
        _ => Vec::new(),
    };
    let properties = program.properties.iter().enumerate();
    let properties: Result<_, Mistake> = properties
        .map(|(number, wanted)| property(&search, number, wanted, ends))
        .collect();
    Ok(Report {
        scenario: checked.scenario.name.text.clone(),
        cell: cell.clone(),
        states: search.store.len(),
        steps: search.steps,
        depth: search.levels.len().saturating_sub(2),
        bits: program.bits,
        bytes: search.store.bytes(),
        bounds: Bounds::of(checked),
        properties: properties?,
        tables: tables(&search),
        stuck: stuck.map(|way| search.tell(&way, None)),
        astray: astray.map(|(way, again)| search.tell(&way, again)),
        ends,
        standing,
        cut: search.cut,
    })
}

fn property<const W: usize>(
    search: &Search<'_, W>,
    number: usize,
    wanted: &Wanted,
    ends: Option<Ends>,
) -> Result<PropertyReport, Mistake> {
    let mut report = PropertyReport {
        property: wanted.name.clone(),
        about: wanted.about.clone(),
        demand: wanted.demand,
        scope: wanted.scope,
        verdict: Verdict::Undecided,
        states: search.store.len(),
        trace: None,
        most: None,
    };
    if wanted.demand == Demand::Progress {
        progress(search, wanted, &mut report)?;
        return Ok(report);
    }
    let asked_for = wanted.demand == Demand::Allowed;
    if let Some(found) = &search.found[number] {
        let way = search.way_to_place(&found.place)?;
        report.states = found.states;
        report.trace = Some(search.tell(&way, None));
        report.verdict = if asked_for {
            Verdict::Holds
        } else {
            Verdict::Violated
        };
    } else if search.cut.is_none() {
        report.verdict = not_found(wanted, ends == Some(Ends::Never));
    }
    Ok(report)
}

/// What it means that a search through all states did not find what breaks a condition (or what is
/// allowed); `endless`: no run comes to its end.
pub(super) fn not_found(wanted: &Wanted, endless: bool) -> Verdict {
    match wanted.scope {
        _ if wanted.demand == Demand::Allowed => Verdict::Violated,
        // What holds of no run at all says nothing.
        Scope::Finally if endless => Verdict::Undecided,
        _ => Verdict::Holds,
    }
}

fn progress<const W: usize>(
    search: &Search<'_, W>,
    wanted: &Wanted,
    report: &mut PropertyReport,
) -> Result<(), Mistake> {
    let (Some(success), None) = (&wanted.condition, search.cut) else {
        return Ok(());
    };
    report.verdict = Verdict::Holds;
    if let Some(lost) = search
        .lost(|state| search.machine.eval(success, state) != 0)?
        .first()
    {
        report.verdict = Verdict::Livelock;
        // The shortest way round takes longer to find than all else.
        if search.until == Until::Decided {
            let (way, again) = search.way_around(lost, wanted.counter)?;
            report.trace = Some(search.tell(&way, again));
        }
    }
    if let Some(counter) = wanted.counter {
        let name = search.machine.program.counters[counter].clone();
        report.most = Some((name, search.most(counter)?));
    }
    Ok(())
}

fn tables<const W: usize>(search: &Search<'_, W>) -> Vec<Table> {
    let program = search.machine.program;
    let tables = program.tables.iter().zip(&search.rows);
    let table = tables.map(|(table, rows)| {
        let show = |(value, (_, _, kind)): (&i64, &(_, _, _))| {
            program.show(*kind, 0, value.cast_unsigned())
        };
        let row = |row: &Vec<i64>| row.iter().zip(&table.columns).map(show).collect();
        Table {
            name: table.name.clone(),
            about: table.about.clone(),
            columns: table
                .columns
                .iter()
                .map(|(text, ..)| text.clone())
                .collect(),
            rows: rows.iter().map(row).collect(),
        }
    });
    table.collect()
}
