//! `--trace-out`: a file with the turns to what does not hold.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use notifier::explore::{self, Breach, Forced, Progress, Report, Verdict};
use notifier::scenario::tree::Demand;

use super::super::visible::{in_json, on_one_line};
use super::Explore;
use super::search::Explored;
use super::target::Loaded;
use super::text::reason;
use super::watch::{Turn, Watch, progress};
use crate::live::trace::{TraceFile, TracedCell, TracedScenario, TracedVerdict, TracedViolation};

/// Finds turns to all that does not hold in a cell.
pub(super) fn trace(
    loaded: &Loaded,
    turn: &Turn<'_>,
    report: &Report,
    arguments: &Explore,
    watch: &Watch,
) -> Result<TracedCell, String> {
    let broken = broken(report);
    let breaches: Vec<Breach> = broken.iter().map(|(breach, ..)| breach.clone()).collect();
    let mut told = |come: Progress| {
        watch.show(|| format!("{turn}, operations whole; {}", progress(&come)));
        watch.go_on()
    };
    let found = match breaches.is_empty() {
        true => Ok(Vec::new()),
        false => {
            let limits = arguments.limits();
            explore::forced(&loaded.checked, turn.cell, &breaches, &limits, &mut told)
        }
    };
    watch.clear();
    let found = found.map_err(|error| error.locate(&loaded.file, &loaded.text).to_string())?;
    let violations = broken.into_iter().zip(found);
    let violations = violations.map(|((breach, verdict, demand), forced)| TracedViolation {
        breach,
        verdict,
        way: way(forced, demand),
    });
    Ok(TracedCell {
        cell: turn.cell.clone(),
        violations: violations.collect(),
    })
}

/// What does not hold, what was found of it, and what is asked.
fn broken(report: &Report) -> Vec<(Breach, TracedVerdict, Option<Demand>)> {
    let conditions = report.properties.iter().filter_map(|property| {
        let verdict = match property.verdict {
            Verdict::Violated => TracedVerdict::Violated,
            Verdict::Livelock => TracedVerdict::Livelock,
            Verdict::Holds | Verdict::Undecided => return None,
        };
        let breach = Breach::Condition(property.property.clone());
        Some((breach, verdict, Some(property.demand)))
    });
    let deadlock = (Breach::Deadlock, TracedVerdict::Deadlock, None);
    let stuck = report.stuck.iter().map(|_| deadlock.clone());
    conditions.chain(stuck).collect()
}

/// The turns, or why there are none.
pub(in super::super) fn way(
    forced: Forced,
    demand: Option<Demand>,
) -> Result<explore::Schedule, String> {
    match forced {
        Forced::Way(_, schedule) => Ok(*schedule),
        Forced::Unforceable(_, told) => Err(told.reason()),
        Forced::Nowhere if demand == Some(Demand::Allowed) => {
            Err("what is allowed happens in no execution, so that there is none to show".into())
        }
        Forced::Nowhere => Err("no way to it was found".into()),
        Forced::Undecided(bound) => Err(reason(bound)),
    }
}

/// Where the file goes.
///
/// A file that is there is replaced when the new one is complete, and stays as it is if it can't be;
/// what is no regular file is written to.
pub(in super::super) struct Sink {
    shown: String,
    place: Place,
}

enum Place {
    Regular(PathBuf),
    Other(File),
}

/// A file that is deleted if it does not get its name.
struct Unfinished {
    file: File,
    path: PathBuf,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is not there any more if it has its name.
        let _ = fs::remove_file(&self.path);
    }
}

impl Sink {
    /// Sees whether something can be written there, and leaves nothing.
    pub(in super::super) fn new(path: &Path) -> Result<Self, String> {
        let shown = on_one_line(&path.display().to_string());
        let place = place(path).map_err(|error| cannot(&shown, error))?;
        Ok(Self { shown, place })
    }

    pub(super) fn write(self, explored: Vec<Explored>) -> Result<(), String> {
        let scenarios = explored.into_iter().map(|one| TracedScenario {
            text: one.text,
            checked: one.checked,
            cells: one.traced,
        });
        self.save(&TraceFile {
            scenarios: scenarios.collect(),
        })
    }

    /// Writes the file.
    pub(in super::super) fn save(self, document: &TraceFile) -> Result<(), String> {
        let text = document.write();
        let text = text.map_err(|error| cannot(&self.shown, error))?;
        let text = in_json(&text) + "\n";
        let written = match self.place {
            Place::Regular(goal) => replace(&goal, text.as_bytes()),
            Place::Other(mut file) => file.write_all(text.as_bytes()),
        };
        written.map_err(|error| cannot(&self.shown, error))
    }
}

fn place(path: &Path) -> io::Result<Place> {
    let goal = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            return Ok(Place::Other(OpenOptions::new().write(true).open(path)?));
        }
        // Where a link leads to is replaced, not the link.
        Ok(_) => fs::canonicalize(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    begin(&goal)?;
    Ok(Place::Regular(goal))
}

fn replace(goal: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = begin(goal)?;
    new.file.write_all(bytes)?;
    new.file.sync_all()?;
    fs::rename(&new.path, goal)
}

/// A new file beside the one that it is to be.
fn begin(goal: &Path) -> io::Result<Unfinished> {
    let name = goal.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", process::id()));
    let path = goal.with_file_name(hidden);
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).open(&path)?;
    Ok(Unfinished { file, path })
}

fn cannot(shown: &str, why: impl Display) -> String {
    format!("{shown} can't be written: {why}")
}
