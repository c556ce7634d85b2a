//! Probes of this host.

mod primary;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Subcommand;
use kvm_ioctls::{Cap, Kvm};

use super::exit::Exit;
use super::run::print;
use crate::host::{self, HostError};
use crate::machine::MachineError;
use crate::probe::{Budget, dirty_race, stale_tlb};
use crate::report;
use crate::report::probe::Seen;

#[derive(Debug, Subcommand)]
pub(super) enum Probe {
    /// Does a page that loses its permission to write become dirty afterwards?
    #[command(after_help = RACE_CODES)]
    DirtyRace {
        #[command(flatten)]
        tries: Tries,
        /// Of the random delays
        #[arg(long, value_name = "S", default_value_t = 1)]
        seed: u64,
    },
    #[command(flatten)]
    Primary(primary::Probe),
    /// Is an old translation used after its entry has changed?
    #[command(after_help = STALE_CODES)]
    StaleTlb {
        #[command(flatten)]
        tries: Tries,
    },
}

const RACE_CODES: &str =
    "Exit codes: 0 never seen; 1 seen, or no verdict; 2 bad usage; 3 this host can't.";
const STALE_CODES: &str = "Exit codes: 0 with the flush nothing stale was used; 1 something was, or no \
                           verdict; 2 bad usage; 3 this host can't.";

/// How much to do, and on what.
#[derive(Debug, clap::Args)]
pub(super) struct Tries {
    /// Tries in all, shared out among the lines of the table and rounded up to rounds of 64
    #[arg(long, value_name = "N", default_value_t = 60_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    tries: u64,
    /// Seconds after which it stops with what there is by then
    #[arg(long, value_name = "SECONDS", default_value = "600",
          value_parser = super::args::seconds)]
    limit: Duration,
    /// The KVM device [default: /dev/kvm]
    #[arg(long, value_name = "DEVICE")]
    kvm: Option<PathBuf>,
}

impl Tries {
    fn budget(&self, lines: usize, seed: u64) -> Budget {
        Budget {
            tries: self.tries.div_ceil(lines as u64),
            seed,
            deadline: Instant::now() + self.limit,
        }
    }

    fn open(&self, before: Option<PathBuf>) -> Result<Kvm, MachineError> {
        let device = self.kvm.clone().or(before);
        let kvm = host::open(&device.unwrap_or_else(|| host::DEVICE.into()))?;
        // Both use two.
        match kvm.check_extension_int(Cap::MaxVcpus) {
            0 | 1 => Err(HostError::Missing("second vCPU (KVM_CAP_MAX_VCPUS)").into()),
            _ => Ok(kvm),
        }
    }
}

/// `before`: the device that was named before the command.
pub(super) fn run(probe: &Probe, before: Option<PathBuf>, as_json: bool) -> Exit {
    let done = match probe {
        Probe::Primary(probe) => return probe.run(as_json),
        Probe::DirtyRace { tries, seed } => dirty_race(tries, *seed, before, as_json),
        Probe::StaleTlb { tries } => stale_tlb(tries, before, as_json),
    };
    match done {
        Ok((text, exit)) => print(&text, exit),
        Err(error) => not_run(&error, as_json),
    }
}

fn dirty_race(
    tries: &Tries,
    seed: u64,
    before: Option<PathBuf>,
    as_json: bool,
) -> Result<(String, Exit), MachineError> {
    let lines = dirty_race::Way::ALL.len() * dirty_race::Flush::ALL.len();
    let lines = dirty_race::run(&tries.open(before)?, tries.budget(lines, seed))?;
    let seen = Seen::detect();
    let exit = match dirty_race::verdict(&lines) {
        dirty_race::Verdict::NeverSeen => Exit::Good,
        dirty_race::Verdict::Seen | dirty_race::Verdict::NoVerdict => Exit::Bad,
    };
    Ok(match as_json {
        true => (report::dirty_race::json(&seen, &lines), exit),
        false => (report::dirty_race::text(&seen, &lines), exit),
    })
}

fn stale_tlb(
    tries: &Tries,
    before: Option<PathBuf>,
    as_json: bool,
) -> Result<(String, Exit), MachineError> {
    let kvm = tries.open(before)?;
    let lines = stale_tlb::run(&kvm, tries.budget(stale_tlb::CASES.len(), 0))?;
    let seen = Seen::detect();
    let exit = match stale_tlb::verdict(&lines) {
        stale_tlb::Verdict::Observable | stale_tlb::Verdict::NotObservable => Exit::Good,
        stale_tlb::Verdict::Broken | stale_tlb::Verdict::NoVerdict => Exit::Bad,
    };
    Ok(match as_json {
        true => (report::stale_tlb::json(&seen, &lines), exit),
        false => (report::stale_tlb::text(&seen, &lines), exit),
    })
}

fn not_run(error: &MachineError, as_json: bool) -> Exit {
    let exit = Exit::from(error);
    log::error!("this host can't run the probe: {error}");
    if as_json {
        return print(&report::json::error(&error.to_string(), exit.code()), exit);
    }
    exit
}
