//! The host's mapping as a primary MMU: what it takes from a running guest and gives back.

mod json;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use guest::abi::layout;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::super::args::seconds;
use super::super::exit::Exit;
use super::super::run::print;
use crate::machine::MachineError;
use crate::primary::{
    MOST_PAGES, Omission, PrimaryConfig, PrimaryError, PrimaryReport, PrimaryVerdict, Subject, run,
};
use crate::{host, report};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Probe {
    /// mprotect guest memory to read-only and back under running vCPUs and DMA
    #[command(after_help = CODES)]
    Mprotect(Options),
    /// Keep a copy of guest memory up by KVM's dirty log and the device's
    #[command(after_help = CODES)]
    DirtyLog(Options),
    /// Write-protect guest memory by userfaultfd under running vCPUs and DMA
    #[command(after_help = CODES)]
    UffdWp(Options),
}

const CODES: &str = "Exit codes: 0 nothing was lost, and the stage 2 was coherent; 1 otherwise, also \
                     if the run was stopped before its end; 2 bad usage; 3 this host can't.";

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// How often the host takes something [default: 1000; for uffd-wp 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    tries: Option<u64>,

    /// vCPUs that store all the time, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=layout::MAX_VCPUS))]
    vcpus: u64,

    /// Pages that they store to, 1 to 256
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u64).range(1..=MOST_PAGES))]
    pages: u64,

    /// Seconds after which a run that has not finished is ended
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    limit: Duration,

    /// What the host leaves out, to see what comes of it
    #[arg(long, value_enum, default_value_t = Omit::Nothing)]
    omit: Omit,

    /// The KVM device
    #[arg(long, value_name = "DEVICE", default_value = host::DEVICE)]
    kvm: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Omit {
    /// Nothing
    Nothing,
    /// The notification after a page was given back
    Upgrade,
    /// The notification when a page is taken
    Downgrade,
    /// The answer to who was refused
    Answer,
}

impl From<Omit> for Omission {
    fn from(choice: Omit) -> Self {
        match choice {
            Omit::Nothing => Self::Nothing,
            Omit::Upgrade => Self::Upgrade,
            Omit::Downgrade => Self::Downgrade,
            Omit::Answer => Self::Answer,
        }
    }
}

impl Probe {
    fn parts(&self) -> (Subject, &Options) {
        match self {
            Self::Mprotect(options) => (Subject::Mprotect, options),
            Self::DirtyLog(options) => (Subject::DirtyLog, options),
            Self::UffdWp(options) => (Subject::UffdWp, options),
        }
    }

    pub(super) fn run(&self, as_json: bool) -> Exit {
        let (subject, options) = self.parts();
        match probe(&options.config(subject), &options.kvm) {
            Ok(report) if as_json => print(&json::document(&report), exit(&report)),
            Ok(report) => print(&text::report(&report), exit(&report)),
            Err(error) => not_run(&error, as_json),
        }
    }
}

impl Options {
    fn config(&self, subject: Subject) -> PrimaryConfig {
        let tries = match subject {
            Subject::Mprotect | Subject::DirtyLog => 1000,
            Subject::UffdWp => 20_000,
        };
        PrimaryConfig {
            subject,
            vcpus: self.vcpus,
            tries: self.tries.unwrap_or(tries),
            pages: self.pages,
            limit: self.limit,
            omission: self.omit.into(),
        }
    }
}

fn probe(config: &PrimaryConfig, device: &Path) -> Result<PrimaryReport, PrimaryError> {
    let kvm = host::open(device).map_err(MachineError::from)?;
    run(&kvm, config, &stopped_by_signals())
}

/// Set by the first signal that asks this command to end; the second one ends it at once.
fn stopped_by_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag not yet set.
        let second = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop));
        let first = second.and_then(|_| flag::register(signal, Arc::clone(&stop)));
        if let Err(error) = first {
            log::warn!("signal {signal} will end this without a report: {error}");
        }
    }
    stop
}

fn exit(report: &PrimaryReport) -> Exit {
    match report.verdict() {
        PrimaryVerdict::Holds => Exit::Good,
        PrimaryVerdict::Violated | PrimaryVerdict::Undecided => Exit::Bad,
    }
}

fn not_run(error: &PrimaryError, as_json: bool) -> Exit {
    let exit = match error {
        PrimaryError::Machine(error) => error.into(),
        PrimaryError::Pages(_) => Exit::Usage,
        PrimaryError::Host(_) => Exit::Host,
        PrimaryError::System { .. } | PrimaryError::Stage2(_) => Exit::Bad,
    };
    log::error!("{error}");
    if as_json {
        return print(&report::json::error(&error.to_string(), exit.code()), exit);
    }
    exit
}
