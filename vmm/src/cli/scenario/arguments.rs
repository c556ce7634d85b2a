//! What `run SCENARIO` and `list` are asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::super::explore::Chosen;
use crate::live::scenario::{Batch, Ordering};

/// The arguments of `run` that are about scenarios of the scenario language.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Scenarios of the scenario language")]
pub(in super::super) struct Running {
    /// Scenarios to run instead of the flagship: names of those that come with the command, or files
    #[arg(value_name = "FILE|NAME")]
    pub(super) targets: Vec<PathBuf>,

    /// Only this variant of the software
    #[arg(long, value_name = "VARIANT", requires = "targets")]
    pub(super) os: Option<String>,

    /// Only this variant of the hardware
    #[arg(long, value_name = "VARIANT", requires = "targets")]
    pub(super) hardware: Option<String>,

    /// How often each cell is run [default: 10000]; a cell that has not finished after a minute and a
    /// second for each thousand runs (or after --limit) is stopped, and told as partial
    #[arg(long, value_name = "N", requires = "targets",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    runs: Option<u64>,

    /// What random delays, choices and initial states depend on [default: 1]
    #[arg(long, value_name = "N", requires = "targets")]
    seed: Option<u64>,

    /// How a step that is a single store is carried out [default: locked]
    #[arg(long, value_enum, requires = "targets")]
    stores: Option<Stores>,

    /// Write a file for `replay`: the shortest way that can be forced to each condition that was seen
    /// broken
    #[arg(
        long,
        value_name = "FILE",
        requires = "targets",
        conflicts_with = "unjudged"
    )]
    pub(super) trace_out: Option<PathBuf>,

    /// Do not ask the explorer what is allowed: only count outcomes
    #[arg(long, requires = "targets")]
    pub(super) unjudged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stores {
    /// By a locked instruction: memory is sequentially consistent, as it is for the explorer
    Locked,
    /// By an ordinary store, as the processor orders it: more can happen than the explorer allows
    Plain,
}

impl Running {
    /// Whether a scenario is named.
    pub(in super::super) fn is_asked(&self) -> bool {
        !self.targets.is_empty()
    }

    pub(super) fn chosen(&self) -> Chosen<'_> {
        Chosen {
            os: self.os.as_deref(),
            hardware: self.hardware.as_deref(),
        }
    }

    pub(super) fn ordering(&self) -> Ordering {
        match self.stores {
            Some(Stores::Plain) => Ordering::Processor,
            Some(Stores::Locked) | None => Ordering::Sequential,
        }
    }

    /// How each cell is run, within `limit`.
    pub(super) fn batch(&self, limit: Option<Duration>) -> Batch {
        let usual = Batch::default();
        let runs = self.runs.unwrap_or(usual.runs);
        // A minute, and a second more for each thousand runs.
        let usual_limit = usual.limit + Duration::from_secs(runs / 1000);
        Batch {
            runs,
            seed: self.seed.unwrap_or(usual.seed),
            limit: limit.unwrap_or(usual_limit),
            ..usual
        }
    }
}

/// The arguments of `replay`.
#[derive(Debug, clap::Args)]
pub(in super::super) struct Replaying {
    /// A file that `explore --trace-out` or `run --trace-out` has written
    #[arg(value_name = "TRACE")]
    pub(super) file: PathBuf,

    /// Only the way to this condition
    #[arg(long, value_name = "NAME")]
    pub(super) condition: Option<String>,

    /// How often each is replayed; it has to be the same each time
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) times: u32,
}

/// The arguments of `list`.
#[derive(Debug, clap::Args)]
pub(in super::super) struct Listing {
    /// Scenarios: names of those that come with the command, or files [default: all that come with it]
    #[arg(value_name = "FILE|NAME")]
    pub(super) targets: Vec<PathBuf>,

    /// Only this variant of the software
    #[arg(long, value_name = "VARIANT", requires = "targets")]
    pub(super) os: Option<String>,

    /// Only this variant of the hardware
    #[arg(long, value_name = "VARIANT", requires = "targets")]
    pub(super) hardware: Option<String>,
}

impl Listing {
    pub(super) fn chosen(&self) -> Chosen<'_> {
        Chosen {
            os: self.os.as_deref(),
            hardware: self.hardware.as_deref(),
        }
    }
}
