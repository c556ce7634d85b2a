//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use guest::abi::layout;

use super::explore::Explore;
use super::size;
use crate::host;
use crate::policy::UpgradePolicy;
use crate::tracker::TrackerKind;

/// Shows whether a device ever sees a stale translation.
///
/// A test guest under KVM changes its own page tables; a modelled SMMU caches them; an emulated
/// device does DMA through it; an oracle says whether the device saw a translation that it had no
/// right to see, or was left without one that it was owed. Without a command, the flagship scenario
/// runs under every policy for permission upgrades, and a table shows what each one costs.
#[derive(Debug, Parser)]
#[command(name = "stalemate", version, after_help = EXIT_CODES)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) common: Common,
}

const EXIT_CODES: &str = "Exit codes: 0 coherent, or all as expected; 1 a violation, or something \
                          unexpected; 2 bad usage or bad input; 3 this host can't.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the flagship scenario under one policy
    Run {
        /// What a read-only to read-write upgrade is followed by
        #[arg(long, value_enum, default_value_t = UpgradeNotify::SecondaryTlb)]
        upgrade_notify: UpgradeNotify,
    },
    /// Explore scenarios through every interleaving; needs no KVM
    #[command(after_help = EXPLORE_CODES)]
    Explore(Explore),
    /// Hold the built-in mmu-notifier contract against its conformance suite; needs no KVM
    Conformance {
        /// Only the cases whose `section/name` contains this
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
    },
}

const EXPLORE_CODES: &str = "Exit codes: 0 every condition that was asked holds, in every cell; 1 one \
                             is violated, is a livelock or could not be decided; 2 bad usage or bad \
                             input.";

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// How the guest's page-table writes become known
    #[arg(long, value_enum, default_value_t = Tracker::Auto, global = true)]
    pub(super) tracker: Tracker,

    /// Virtual CPUs, 1 to 8
    #[arg(long, value_name = "N", default_value_t = 1, global = true,
          value_parser = clap::value_parser!(u64).range(1..=layout::MAX_VCPUS))]
    pub(super) vcpus: u64,

    /// Guest memory: bytes, or with K, M, G or T
    #[arg(long, value_name = "SIZE", default_value = "16M", global = true, value_parser = size::parse)]
    pub(super) mem: u64,

    /// Where the guest's page tables are in its memory
    #[arg(long, value_name = "ADDRESS", default_value = "0x400000", global = true,
          value_parser = size::parse)]
    pub(super) page_tables: u64,

    /// Seconds after which a guest that has not finished is stopped
    #[arg(long, value_name = "SECONDS", default_value = "10", global = true, value_parser = seconds)]
    pub(super) limit: Duration,

    /// A payload (ELF file) to run instead of the built-in one
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) payload: Option<PathBuf>,

    /// The KVM device
    #[arg(long, value_name = "DEVICE", default_value = host::DEVICE, global = true)]
    pub(super) kvm: PathBuf,

    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Log what happens to standard error; twice for every single event
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(super) verbose: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum UpgradeNotify {
    /// No notification: the state before the fix (Linux up to 6.5)
    None,
    /// A start/end event of its own kind, after the change: the first proposal
    Range,
    /// Invalidation of secondary TLBs from page-table code, under its lock: what was merged
    SecondaryTlb,
}

impl From<UpgradeNotify> for UpgradePolicy {
    fn from(choice: UpgradeNotify) -> Self {
        match choice {
            UpgradeNotify::None => Self::None,
            UpgradeNotify::Range => Self::Range,
            UpgradeNotify::SecondaryTlb => Self::SecondaryTlb,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Tracker {
    /// Whichever works here, found out by trying
    Auto,
    /// Page tables in read-only memory slots: every write is an exit
    Trap,
    /// The guest announces each change
    Announce,
}

impl Tracker {
    /// The one that was asked for, if one was.
    pub(super) fn chosen(self) -> Option<TrackerKind> {
        match self {
            Self::Auto => None,
            Self::Trap => Some(TrackerKind::Trap),
            Self::Announce => Some(TrackerKind::Announce),
        }
    }
}

/// Seconds, not necessarily whole, up to an hour.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is no number of seconds"))?;
    if seconds > 0.0 && seconds <= 3600.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("it takes more than 0 and at most 3600 seconds".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn limits_are_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "3601", "x"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
