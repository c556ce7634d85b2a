//! `stalemate run SCENARIO` and `stalemate list`: scenarios on real vCPUs.

mod arguments;
mod batch;
mod found;
mod json;
mod list;
mod page;
mod replay;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use notifier::explore::NAMES;

pub(super) use arguments::{Listing, Replaying, Running};

use super::args::Setup;
use super::exit::Exit;
use super::explore::{Chosen, Loaded, load};
use super::outputs::{Files, Outputs};
use super::run;
use super::visible::{in_json, visible};
use crate::report;
use crate::report::page::Page;

/// Runs scenarios, cell by cell.
pub(super) fn run(setup: &Setup, arguments: &Running, outputs: &Outputs) -> Exit {
    tell(batch::run(setup, arguments, outputs), setup.json)
}

/// Says which engine can run what.
pub(super) fn list(arguments: &Listing, as_json: bool) -> Exit {
    tell(list::list(arguments, as_json), as_json)
}

/// Forces the interleavings of a trace file.
pub(super) fn replay(setup: &Setup, arguments: &Replaying, outputs: &Outputs) -> Exit {
    tell(replay::replay_all(setup, arguments, outputs), setup.json)
}

/// Why nothing was done.
type Refused = (String, Exit);

/// What came of a command: a text or document, or why there is none.
type Told = Result<(String, Exit), Refused>;

fn tell(told: Told, as_json: bool) -> Exit {
    match told {
        Ok((document, exit)) if as_json => run::print(&in_json(&document), exit),
        Ok((text, exit)) => run::print(&visible(&text), exit),
        Err((message, exit)) => {
            let _ = writeln!(io::stderr(), "stalemate: error: {}", visible(&message));
            match as_json {
                true => {
                    let document = report::json::error(&message, exit.code());
                    run::print(&in_json(&document), exit)
                }
                false => exit,
            }
        }
    }
}

/// The scenarios that are asked for; all that come with the command if none is.
fn loaded(targets: &[PathBuf], chosen: Chosen<'_>) -> Result<Vec<Loaded>, Refused> {
    let embedded: Vec<PathBuf> = NAMES.iter().map(PathBuf::from).collect();
    let targets = if targets.is_empty() {
        &embedded
    } else {
        targets
    };
    let loaded = targets.iter().map(|target| load(target, chosen));
    loaded
        .collect::<Result<_, _>>()
        .map_err(|message| (message, Exit::Usage))
}

/// The files of `--trace` and `--report`, found to be writable before anything runs.
fn open(outputs: &Outputs) -> Result<Files, Refused> {
    outputs
        .open()
        .map_err(|error| (error.to_string(), Exit::Usage))
}

/// Writes the files that were asked for; `wanted` says what there has to be for that.
fn files_written(files: Files, page: Option<Page>, exit: Exit, wanted: &str) -> Exit {
    match page {
        _ if !files.are_asked() => exit,
        Some(page) => files.write(&page, exit),
        None => {
            log::error!("--trace and --report take {wanted}; nothing was written");
            Exit::Usage
        }
    }
}
