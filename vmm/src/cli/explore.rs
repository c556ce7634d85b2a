//! `stalemate explore`: scenarios through every interleaving.

mod arguments;
mod edit;
mod elide;
mod json;
mod mutate;
mod repair;
mod search;
mod target;
mod text;
mod trace_out;
mod watch;

use std::io::{self, Write};

use super::exit::Exit;
use super::run;
use super::visible::{in_json, visible};
use crate::report;
pub(super) use arguments::Explore;
use search::{Explored, explore_all};
pub(super) use target::{Chosen, Loaded, bytes, bytes_up_to, load};
pub(super) use trace_out::{Sink, way};

pub(super) fn explore(arguments: &Explore, as_json: bool) -> Exit {
    let told = match (arguments.mutate, arguments.repair, arguments.elide) {
        (true, ..) => mutate::mutate(arguments, as_json),
        (_, true, _) => repair::repair(arguments, as_json),
        (_, _, true) => elide::elide(arguments, as_json),
        _ => told(arguments, as_json),
    };
    match told {
        Ok((document, exit)) if as_json => run::print(&in_json(&document), exit),
        Ok((text, exit)) => run::print(&visible(&text), exit),
        Err(message) => refused(&message, as_json),
    }
}

/// Explores what is asked for, and writes the turns to a file if that is asked for, too.
fn told(arguments: &Explore, as_json: bool) -> Result<(String, Exit), String> {
    // Whether it can be written is told before a search that may take long, not after it.
    let sink = arguments.trace_out.as_deref().map(trace_out::Sink::new);
    let sink = sink.transpose()?;
    let explored = explore_all(arguments)?;
    let told = (print(arguments, as_json, &explored), exit(&explored));
    if let Some(sink) = sink {
        sink.write(explored)?;
    }
    Ok(told)
}

fn refused(message: &str, as_json: bool) -> Exit {
    // A message of several lines, with the place in the file, is not a log record.
    let _ = writeln!(io::stderr(), "stalemate: error: {}", visible(message));
    match as_json {
        true => {
            let document = report::json::error(message, Exit::Usage.code());
            run::print(&in_json(&document), Exit::Usage)
        }
        false => Exit::Usage,
    }
}

/// The flagship, for a host on which nothing can run live.
pub(super) fn flagship(why: &str, as_json: bool) -> Exit {
    let arguments = Explore::matrix_of("upgrade");
    match explore_all(&arguments) {
        Ok(explored) if as_json => {
            run::print(&json::flagship(why, &explored, &arguments), Exit::Host)
        }
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

fn exit(explored: &[Explored]) -> Exit {
    let mut reports = explored.iter().flat_map(|one| &one.reports);
    match reports.all(|report| report.holds() && report.cut.is_none()) {
        true => Exit::Good,
        false => Exit::Bad,
    }
}

fn print(arguments: &Explore, as_json: bool, explored: &[Explored]) -> String {
    match (as_json, arguments.matrix) {
        (true, true) => json::matrix(explored, arguments),
        (true, false) => json::cells(explored, arguments),
        (false, true) => text::matrices(explored, arguments.trace),
        (false, false) => text::cells(explored, arguments.trace),
    }
}
