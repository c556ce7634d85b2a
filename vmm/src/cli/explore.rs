//! `stalemate explore`: scenarios through every interleaving.

mod edit;
mod elide;
mod json;
mod mutate;
mod repair;
mod text;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notifier::explore::{self, Cell, Limits, Progress, Reductions, Report};
use notifier::scenario::tree::Axis;
use notifier::scenario::{self, Checked, Diagnostic};

use super::exit::Exit;
use super::{run, size};
use crate::report;

/// The arguments of `explore`.
#[derive(Debug, clap::Args)]
pub(super) struct Explore {
    /// Scenarios: names of those that come with the command, or files
    #[arg(value_name = "FILE|NAME", required = true)]
    targets: Vec<PathBuf>,

    /// Only this variant of the software
    #[arg(long, value_name = "VARIANT")]
    os: Option<String>,

    /// Only this variant of the hardware
    #[arg(long, value_name = "VARIANT")]
    hardware: Option<String>,

    /// Print one verdict per cell and condition instead of a report of each cell; the exit code is 0
    /// only if every cell holds
    #[arg(long)]
    matrix: bool,

    /// Print the trace of everything that does not hold (without it: of a single cell only)
    #[arg(long)]
    trace: bool,

    /// Make one mistake at a time in each cell that holds (or in the chosen ones), and report which
    /// condition sees it; the exit code is 0 if none is left unseen
    #[arg(long, conflicts_with_all = ["matrix", "trace", "repair", "elide"])]
    mutate: bool,

    /// Find the fewest steps to put in or to move so that a cell that does not hold does
    #[arg(long, conflicts_with_all = ["matrix", "trace", "elide"])]
    repair: bool,

    /// Find which flushes, notifications and waits of a cell that holds can be left out
    #[arg(long, conflicts_with_all = ["matrix", "trace"])]
    elide: bool,

    /// Edits of a repair at most [default: 2]
    #[arg(long, value_name = "N", requires = "repair",
          value_parser = clap::value_parser!(u8).range(1..=2))]
    edits: Option<u8>,

    /// States to keep at most; where they are not enough the verdict is `undecided`
    #[arg(long, value_name = "N", default_value_t = 100_000_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    max_states: u32,

    /// Memory that the states may take: bytes, or with K, M, G or T
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = size::parse)]
    memory: u64,

    /// Threads that search; the output does not depend on their number
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    threads: NonZeroUsize,
}

/// A scenario with the cells that are asked for.
struct Loaded {
    file: String,
    text: String,
    checked: Checked,
    cells: Vec<Cell>,
}

/// One scenario, explored.
struct Explored {
    checked: Checked,
    reports: Vec<Report>,
}

pub(super) fn explore(arguments: &Explore, as_json: bool) -> Exit {
    let told = match (arguments.mutate, arguments.repair, arguments.elide) {
        (true, ..) => mutate::mutate(arguments, as_json),
        (_, true, _) => repair::repair(arguments, as_json),
        (_, _, true) => elide::elide(arguments, as_json),
        _ => explore_all(arguments)
            .map(|explored| (print(arguments, as_json, &explored), exit(&explored))),
    };
    match told {
        Ok((text, exit)) => run::print(&text, exit),
        Err(message) => {
            let code = Exit::Usage.code();
            // A message of several lines, with the place in the file, is not a log record.
            let _ = writeln!(io::stderr(), "stalemate: error: {message}");
            match as_json {
                true => run::print(&report::json::error(&message, code), Exit::Usage),
                false => Exit::Usage,
            }
        }
    }
}

/// The flagship, for a host on which nothing can run live.
pub(super) fn flagship(why: &str, as_json: bool) -> Exit {
    let arguments = Explore {
        targets: vec![PathBuf::from("upgrade")],
        os: None,
        hardware: None,
        matrix: true,
        trace: false,
        mutate: false,
        repair: false,
        elide: false,
        edits: None,
        max_states: 100_000_000,
        memory: 4 << 30,
        threads: NonZeroUsize::MIN,
    };
    match explore_all(&arguments) {
        Ok(explored) if as_json => run::print(&json::flagship(why, &explored), Exit::Host),
        Ok(explored) => {
            let first = format!("nothing ran live: {why}");
            let text = text::matrix(&explored);
            let rest = "This is the flagship scenario on an abstract machine instead, in every \
                        interleaving; see `stalemate explore upgrade --trace`.";
            run::print(&format!("{first}\n\n{rest}\n\n{text}"), Exit::Host)
        }
        Err(message) => {
            log::error!("{message}");
            Exit::Bad
        }
    }
}

fn explore_all(arguments: &Explore) -> Result<Vec<Explored>, String> {
    let loaded = load_all(arguments)?;
    let stop = stopped();
    let mut all = Vec::new();
    for loaded in loaded {
        let mut reports = Vec::new();
        for cell in &loaded.cells {
            reports.push(one(&loaded, cell, arguments, &stop)?);
        }
        all.push(Explored {
            checked: loaded.checked,
            reports,
        });
    }
    Ok(all)
}

/// All mistakes are told before the first search, which may take long.
fn load_all(arguments: &Explore) -> Result<Vec<Loaded>, String> {
    let targets = arguments.targets.iter();
    targets.map(|target| load(target, arguments)).collect()
}

/// Set by Ctrl-C.
fn stopped() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&stop))
    {
        log::warn!("Ctrl-C will end this without a report: {error}");
    }
    stop
}

fn one(
    loaded: &Loaded,
    cell: &Cell,
    arguments: &Explore,
    stop: &AtomicBool,
) -> Result<Report, String> {
    let limits = Limits {
        states: arguments.max_states as usize,
        memory: usize::try_from(arguments.memory).unwrap_or(usize::MAX),
        threads: arguments.threads,
    };
    let terminal = io::stderr().is_terminal();
    let mut shown = false;
    let mut watch = |progress: Progress| {
        if terminal {
            shown = true;
            let Progress { states, depth } = progress;
            let name = &loaded.checked.scenario.name.text;
            let _ = write!(
                io::stderr(),
                "\r{name}: {states} states, {depth} steps deep "
            );
        }
        match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let report = explore::explore(&loaded.checked, cell, &limits, Reductions::On, &mut watch);
    if shown {
        let _ = write!(io::stderr(), "\r{:60}\r", "");
    }
    report.map_err(|error| error.locate(&loaded.file, &loaded.text).to_string())
}

fn load(target: &PathBuf, arguments: &Explore) -> Result<Loaded, String> {
    let (file, bytes) = read(target)?;
    let located = |error: Diagnostic, text: &str| error.locate(&file, text).to_string();
    let text = scenario::text(&bytes).map_err(|error| located(error, ""))?;
    let checked = scenario::parse(text)
        .and_then(scenario::check)
        .map_err(|error| located(error, text))?;
    let cells = cells(&checked, arguments).map_err(|error| located(error, text))?;
    Ok(Loaded {
        text: text.into(),
        file,
        checked,
        cells,
    })
}

/// A scenario that comes with the command, or a file; never more of it than is of use.
fn read(target: &PathBuf) -> Result<(String, Vec<u8>), String> {
    let shown = target.display().to_string();
    if let Some(text) = target.to_str().and_then(explore::embedded) {
        return Ok((format!("{shown}.litmus"), text.into()));
    }
    let mut bytes = Vec::new();
    let limit = scenario::MAX_BYTES as u64 + 1;
    let read = File::open(target).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok((shown, bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let hint = match scenario::nearest(&shown, explore::NAMES) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the scenarios are {}", explore::NAMES.join(", ")),
            };
            Err(format!(
                "`{shown}` is neither a scenario nor a file\n  hint: {hint}"
            ))
        }
        Err(error) => Err(format!("{shown} can't be read: {error}")),
    }
}

/// The cells that are asked for.
fn cells(checked: &Checked, arguments: &Explore) -> Result<Vec<Cell>, Diagnostic> {
    for (axis, asked) in [
        (Axis::Os, &arguments.os),
        (Axis::Hardware, &arguments.hardware),
    ] {
        let Some(asked) = asked else { continue };
        let known: Vec<&str> = checked.symbols.of_axis(axis).collect();
        if known.contains(&asked.as_str()) {
            continue;
        }
        let error = Diagnostic::whole(format!("no {} is called `{asked}`", axis.word()));
        return Err(match scenario::nearest(asked, known.iter().copied()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None if known.is_empty() => error.hint("it has no such variants"),
            None => error.hint(format!("one of {}", known.join(", "))),
        });
    }
    let fits = |asked: &Option<String>, value: &Option<String>| asked.is_none() || asked == value;
    let wanted =
        |cell: &Cell| fits(&arguments.os, &cell.os) && fits(&arguments.hardware, &cell.hardware);
    Ok(Cell::all(checked).into_iter().filter(wanted).collect())
}

fn exit(explored: &[Explored]) -> Exit {
    let mut reports = explored.iter().flat_map(|one| &one.reports);
    match reports.all(|report| report.holds() && report.cut.is_none()) {
        true => Exit::Good,
        false => Exit::Bad,
    }
}

fn print(arguments: &Explore, as_json: bool, explored: &[Explored]) -> String {
    match (as_json, arguments.matrix) {
        (true, true) => json::matrix(explored),
        (true, false) => json::cells(explored),
        (false, true) => text::matrices(explored, arguments.trace),
        (false, false) => text::cells(explored, arguments.trace),
    }
}
