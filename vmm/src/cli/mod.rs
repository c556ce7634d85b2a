//! The `stalemate` command.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | coherent, or all as expected |
//! | 1 | a violation, or something unexpected |
//! | 2 | bad usage or bad input |
//! | 3 | this host can't |

mod args;
mod conformance;
mod doctor;
mod exit;
mod explore;
mod format;
mod outputs;
mod payload;
mod probe;
mod run;
mod scenario;
mod size;
pub(crate) mod visible;

use std::io::Write;
use std::process::ExitCode;

use log::LevelFilter;

use args::{Args, Command, Live, Setup};
use exit::Exit;

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let Args {
        command,
        live,
        common,
    } = match Args::read() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    log_to_stderr(common.verbose);
    let exit = match command {
        None => run::all(&Setup::new(live, Live::default(), &common)),
        Some(Command::Run {
            scenarios,
            choice,
            outputs,
            live: behind,
        }) => {
            let setup = Setup::new(live, behind, &common);
            match scenarios.is_asked() {
                true => scenario::run(&setup, &scenarios, &outputs),
                false => run::one(&setup, &choice, &outputs),
            }
        }
        Some(Command::Replay {
            replay,
            outputs,
            live: behind,
        }) => scenario::replay(&Setup::new(live, behind, &common), &replay, &outputs),
        Some(Command::List(arguments)) => scenario::list(&arguments, common.json),
        Some(Command::Explore(arguments)) => explore::explore(&arguments, common.json),
        Some(Command::Conformance { filter }) => conformance::run(filter.as_deref(), common.json),
        Some(Command::Doctor { kvm }) => doctor::run(kvm.or(live.device()), common.json),
        Some(Command::Probe(which)) => probe::run(&which, live.device(), common.json),
        Some(Command::Format(arguments)) => format::format(&arguments),
    };
    exit.into()
}

/// Help and version are asked for; everything else that stops here is bad usage.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if !error.use_stderr() {
        return match printed {
            Ok(()) => Exit::Good.into(),
            Err(_) => Exit::Bad.into(),
        };
    }
    // Whoever asked for a document gets one even where the rest of what he asked makes no sense.
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.trim_start_matches("error: ");
        let document = crate::report::json::error(message, Exit::Usage.code());
        return run::print(&document, Exit::Usage).into();
    }
    Exit::Usage.into()
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        _ => LevelFilter::Trace,
    };
    env_logger::Builder::new()
        .filter_level(level)
        .format(|line, record| {
            let level = record.level().as_str().to_lowercase();
            let words = visible::on_one_line(&record.args().to_string());
            writeln!(line, "stalemate: {level}: {words}")
        })
        .init();
}
