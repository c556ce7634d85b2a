//! What `explore` is asked for.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use notifier::explore::{Limits, Until};

use super::super::size;

/// Threads at most: each takes some MiB, and more than processors are of no use.
const MAX_THREADS: i64 = 256;

/// The arguments of `explore`.
#[derive(Debug, clap::Args)]
pub(in super::super) struct Explore {
    /// Scenarios: names of those that come with the command, or files; what has a slash in it or
    /// ends in .litmus is a file
    #[arg(value_name = "FILE|NAME", required = true)]
    pub(super) targets: Vec<PathBuf>,

    /// Only this variant of the software
    #[arg(long, value_name = "VARIANT")]
    pub(super) os: Option<String>,

    /// Only this variant of the hardware
    #[arg(long, value_name = "VARIANT")]
    pub(super) hardware: Option<String>,

    /// Print one verdict per cell and condition instead of a report of each cell; the exit code is 0
    /// only if every cell holds
    #[arg(long)]
    pub(super) matrix: bool,

    /// Print the trace of everything that does not hold (without it: of a single cell only)
    #[arg(long)]
    pub(super) trace: bool,

    /// Make one mistake at a time in each cell that holds (or in the chosen ones), and report which
    /// condition sees it; the exit code is 0 if none is left unseen
    #[arg(long, conflicts_with_all = ["matrix", "trace", "repair", "elide"])]
    pub(super) mutate: bool,

    /// Find the fewest steps to put in or to move so that a cell that does not hold does
    #[arg(long, conflicts_with_all = ["matrix", "trace", "elide"])]
    pub(super) repair: bool,

    /// Find which flushes, notifications and waits of a cell that holds can be left out
    #[arg(long, conflicts_with_all = ["matrix", "trace"])]
    pub(super) elide: bool,

    /// Write to FILE who has to move when for each violation to show, with the operations of the hardware
    /// whole, so that it can be forced live
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mutate", "repair", "elide"])]
    pub(super) trace_out: Option<PathBuf>,

    /// Edits of a repair at most [default: 2]
    #[arg(long, value_name = "N", requires = "repair",
          value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(super) edits: Option<u8>,

    /// States of a cell to keep at most; where they are not enough the verdict is `undecided`
    #[arg(long, value_name = "N", default_value_t = 100_000_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    max_states: u32,

    /// Memory that the states of a cell may take: bytes, or with K, M, G or T
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = size::parse)]
    memory: u64,

    /// Threads that search, 1 to 256; the output does not depend on their number, but with --mutate,
    /// --repair and --elide they share --memory [default: 1; there as many as there are processors]
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS))]
    threads: Option<u16>,
}

impl Explore {
    /// The matrix of one scenario, within the limits that hold if nothing is said.
    pub(super) fn matrix_of(name: &str) -> Self {
        Self {
            targets: vec![name.into()],
            os: None,
            hardware: None,
            matrix: true,
            trace: false,
            mutate: false,
            repair: false,
            elide: false,
            trace_out: None,
            edits: None,
            max_states: 100_000_000,
            memory: 4 << 30,
            threads: None,
        }
    }

    /// How far the search of a cell may go.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            states: self.max_states as usize,
            memory: usize::try_from(self.memory).unwrap_or(usize::MAX),
            threads: self.threads().unwrap_or(NonZeroUsize::MIN),
            until: Until::Decided,
        }
    }

    /// How many threads were asked for, if that was said.
    pub(super) fn threads(&self) -> Option<NonZeroUsize> {
        self.threads
            .and_then(|threads| NonZeroUsize::new(threads.into()))
    }
}
