//! `stalemate run SCENARIO` and `stalemate list`: scenarios on real vCPUs.

mod arguments;
mod batch;
mod found;
mod json;
mod list;
mod replay;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use notifier::explore::NAMES;

pub(super) use arguments::{Listing, Replaying, Running};

use super::args::Setup;
use super::exit::Exit;
use super::explore::{Chosen, Loaded, load};
use super::run;
use super::visible::{in_json, visible};
use crate::report;

/// Runs scenarios, cell by cell.
pub(super) fn run(setup: &Setup, arguments: &Running) -> Exit {
    tell(batch::run(setup, arguments), setup.json)
}

/// Says which engine can run what.
pub(super) fn list(arguments: &Listing, as_json: bool) -> Exit {
    tell(list::list(arguments, as_json), as_json)
}

/// Forces the interleavings of a trace file.
pub(super) fn replay(setup: &Setup, arguments: &Replaying) -> Exit {
    tell(replay::replay_all(setup, arguments), setup.json)
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
