//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueEnum};
use guest::abi::layout;
use kvm_ioctls::Kvm;
use notifier::secondary::smmu::Knobs;

use super::explore::Explore;
use super::format::Format;
use super::outputs::Outputs;
use super::probe::Probe;
use super::scenario::{Listing, Replaying, Running};
use super::size;
use crate::driver::SmmuDriver;
use crate::host;
use crate::policy::UpgradePolicy;
use crate::tracker::{self, TrackerKind};

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
    pub(super) live: Live,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    /// It makes no sense, or asks for help or the version.
    pub(super) fn read() -> Result<Self, clap::Error> {
        let args = Self::try_parse()?;
        let refused = |message: String| Self::command().error(ErrorKind::ArgumentConflict, message);
        match (&args.command, args.live.first()) {
            (Some(Command::Format(_)), _) if args.common.json => Err(refused(
                "--json can't be used with `format`, which prints scenarios".into(),
            )),
            (Some(command), Some(_)) => match command.refused(&args.live) {
                Some(message) => Err(refused(message)),
                None => Ok(args),
            },
            _ => args.fits_scenarios().map(|()| args),
        }
    }

    /// A machine that runs scenarios of the language is made for them.
    fn fits_scenarios(&self) -> Result<(), clap::Error> {
        let live = match &self.command {
            Some(Command::Run {
                scenarios, live, ..
            }) if scenarios.is_asked() => live,
            Some(Command::Replay { live, .. }) => live,
            _ => return Ok(()),
        };
        let mut given = [live, &self.live]
            .into_iter()
            .filter_map(Live::first_of_machine);
        match given.next() {
            None => Ok(()),
            Some(option) => {
                let message = format!(
                    "{option} is about the flagship's machine; one for a scenario is made as the \
                     scenario wants it"
                );
                Err(Self::command().error(ErrorKind::ArgumentConflict, message))
            }
        }
    }
}

const EXIT_CODES: &str = "Exit codes: 0 coherent, or all as expected; 1 a violation, or something \
                          unexpected; 2 bad usage or bad input; 3 this host can't.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run scenarios on real vCPUs: the flagship under one policy, or those that are named
    #[command(after_help = RUN_CODES)]
    Run {
        #[command(flatten)]
        scenarios: Running,
        #[command(flatten)]
        choice: Choice,
        #[command(flatten)]
        outputs: Outputs,
        #[command(flatten)]
        live: Live,
    },
    /// Force the interleavings of a trace file on real vCPUs, step by step
    #[command(after_help = REPLAY_CODES)]
    Replay {
        #[command(flatten)]
        replay: Replaying,
        #[command(flatten)]
        outputs: Outputs,
        #[command(flatten)]
        live: Live,
    },
    /// Say which engine can run which scenario, and why not; needs no KVM
    List(Listing),
    /// Explore scenarios through every interleaving; needs no KVM
    #[command(after_help = EXPLORE_CODES)]
    Explore(Explore),
    /// Hold the built-in mmu-notifier contract against its conformance suite; needs no KVM
    Conformance {
        /// Only the cases whose `section/name` contains this
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Say what this host offers, and what to do about what is missing
    #[command(after_help = DOCTOR_CODES)]
    Doctor {
        /// The KVM device [default: /dev/kvm]
        #[arg(long, value_name = "DEVICE")]
        kvm: Option<PathBuf>,
    },
    /// Try what this host's processor does with translations, under its KVM
    #[command(subcommand)]
    Probe(Probe),
    /// Put scenarios into the language's proper form
    #[command(after_help = FORMAT_CODES)]
    Format(Format),
}

impl Command {
    fn word(&self) -> &'static str {
        match self {
            Self::Run { .. } => "run",
            Self::Replay { .. } => "replay",
            Self::List(_) => "list",
            Self::Explore(_) => "explore",
            Self::Conformance { .. } => "conformance",
            Self::Doctor { .. } => "doctor",
            Self::Probe(_) => "probe",
            Self::Format(_) => "format",
        }
    }

    /// Why an option about a machine can't stand before this command, if one does that can't.
    fn refused(&self, live: &Live) -> Option<String> {
        let word = self.word();
        match self {
            Self::Run { .. } | Self::Replay { .. } => None,
            Self::Doctor { .. } | Self::Probe(_) => {
                let option = live.first_but_device()?;
                Some(format!(
                    "{option} can't be used with `{word}`, which makes machines of its own"
                ))
            }
            _ => {
                let option = live.first()?;
                Some(format!(
                    "{option} is about a machine under KVM, and `{word}` runs none"
                ))
            }
        }
    }
}

const RUN_CODES: &str = "Exit codes: 0 coherent, or nothing seen that is forbidden or not allowed; 1 a \
                         violation, an outcome that the explorer does not allow, or not all runs made; \
                         2 bad usage or bad input; 3 this host can't.";

const REPLAY_CODES: &str = "Exit codes: 0 the machine did what the traces say; 1 it did not; 2 bad usage or \
                            bad input; 3 this host can't, or none of the traces can be forced.";

const EXPLORE_CODES: &str = "Exit codes: 0 every condition that was asked holds, in every cell; 1 one \
                             is violated, is a livelock or could not be decided; 2 bad usage or bad \
                             input.";

const DOCTOR_CODES: &str = "Exit codes: 0 all that machines need is there; 2 bad usage; 3 this host can't run \
                            machines.";

const FORMAT_CODES: &str = "Exit codes: 0 done, or with --check nothing differs; 1 something differs; \
                            2 bad usage or bad input, or a file can't be written.";

/// What one run is of.
#[derive(Debug, clap::Args)]
pub(super) struct Choice {
    /// What a read-only to read-write upgrade is followed by
    #[arg(long, value_enum, default_value_t = UpgradeNotify::SecondaryTlb, conflicts_with = "targets")]
    pub(super) upgrade_notify: UpgradeNotify,

    /// What the SMMU is like, as `deny=walk,httu=ad`; `--help` lists the knobs
    #[arg(long, value_name = "KNOBS", default_value = "", hide_default_value = true,
          conflicts_with = "targets",
          long_help = smmu_help())]
    pub(super) smmu: Knobs,

    /// Who drives the SMMU
    #[arg(long, value_enum, default_value_t = Driver::Vmm, conflicts_with = "targets")]
    pub(super) driver: Driver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Driver {
    /// The machine: it turns notifications into commands
    Vmm,
    /// The guest: it writes stream table and queues, and commands by itself
    Guest,
}

impl From<Driver> for SmmuDriver {
    fn from(choice: Driver) -> Self {
        match choice {
            Driver::Vmm => Self::Vmm,
            Driver::Guest => Self::Guest,
        }
    }
}

/// Every knob with what it can be.
fn smmu_help() -> String {
    let knobs = Knobs::all().into_iter();
    let lines = knobs.map(|(name, values)| format!("\n  {name:<12}  {}", values.join(", ")));
    let lines: String = lines.collect();
    format!(
        "What the SMMU is like: name=value, with commas between. These are the knobs, and what each \
         can be, the default first (latency: 0):\n{lines}"
    )
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Log what happens to standard error; twice for every single event
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(super) verbose: u8,
}

/// What a machine under KVM is made of. All of it is optional, so that it is known what was said.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Live {
    /// How the guest's page-table writes become known [default: auto]
    #[arg(long, value_enum)]
    tracker: Option<Tracker>,

    /// Virtual CPUs, 1 to 8 [default: 1]
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=layout::MAX_VCPUS))]
    vcpus: Option<u64>,

    /// Guest memory: bytes, or with K, M, G or T [default: 16M]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    mem: Option<u64>,

    /// Where the guest's page tables are in its memory [default: 0x400000]
    #[arg(long, value_name = "ADDRESS", value_parser = size::parse)]
    page_tables: Option<u64>,

    /// Seconds after which a guest that has not finished is stopped [default: 10; of a scenario's cell 60,
    /// and 1 more for each thousand runs]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    limit: Option<Duration>,

    /// A payload (ELF file) to run instead of the built-in one
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,

    /// The KVM device [default: /dev/kvm]
    #[arg(long, value_name = "DEVICE")]
    kvm: Option<PathBuf>,
}

impl Live {
    /// The KVM device, if it was named.
    pub(super) fn device(self) -> Option<PathBuf> {
        self.kvm
    }

    /// The first option that was given.
    fn first(&self) -> Option<&'static str> {
        let device = self.kvm.as_ref().map(|_| "--kvm");
        self.first_but_device().or(device)
    }

    fn first_but_device(&self) -> Option<&'static str> {
        let given = [
            (self.tracker.is_some(), "--tracker"),
            (self.vcpus.is_some(), "--vcpus"),
            (self.mem.is_some(), "--mem"),
            (self.page_tables.is_some(), "--page-tables"),
            (self.limit.is_some(), "--limit"),
            (self.payload.is_some(), "--payload"),
        ];
        let mut given = given.into_iter().filter(|(given, _)| *given);
        given.next().map(|(_, option)| option)
    }

    /// The first option that was given and is about what the machine is made of.
    fn first_of_machine(&self) -> Option<&'static str> {
        let others = Self {
            tracker: self.tracker,
            vcpus: self.vcpus,
            mem: self.mem,
            page_tables: self.page_tables,
            payload: self.payload.clone(),
            ..Self::default()
        };
        others.first()
    }

    /// What is said here, else what `before` says: `--mem 32M run --mem 64M` is 64 MiB.
    fn or(self, before: Self) -> Self {
        Self {
            tracker: self.tracker.or(before.tracker),
            vcpus: self.vcpus.or(before.vcpus),
            mem: self.mem.or(before.mem),
            page_tables: self.page_tables.or(before.page_tables),
            limit: self.limit.or(before.limit),
            payload: self.payload.or(before.payload),
            kvm: self.kvm.or(before.kvm),
        }
    }
}

/// A machine under KVM and how it is told of.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) tracker: Tracker,
    pub(super) vcpus: u64,
    /// Bytes.
    pub(super) mem: u64,
    pub(super) page_tables: u64,
    pub(super) limit: Duration,
    /// The limit, if one was given.
    pub(super) asked_limit: Option<Duration>,
    pub(super) payload: Option<PathBuf>,
    pub(super) kvm: PathBuf,
    pub(super) json: bool,
}

impl Setup {
    /// What was said before the command's name and behind it, and the defaults for the rest.
    pub(super) fn new(before: Live, behind: Live, common: &Common) -> Self {
        let live = behind.or(before);
        Self {
            tracker: live.tracker.unwrap_or(Tracker::Auto),
            vcpus: live.vcpus.unwrap_or(1),
            mem: live.mem.unwrap_or(16 << 20),
            page_tables: live.page_tables.unwrap_or(0x40_0000),
            limit: live.limit.unwrap_or(Duration::from_secs(10)),
            asked_limit: live.limit,
            payload: live.payload,
            kvm: live.kvm.unwrap_or_else(|| host::DEVICE.into()),
            json: common.json,
        }
    }
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
    /// Tables are compared with a copy where KVM's dirty ring or log says that they may have changed
    Scan,
}

impl Tracker {
    /// The one that was asked for; where that leaves a choice, what works here.
    pub(super) fn chosen(self, kvm: &Kvm) -> TrackerKind {
        match self {
            Self::Auto => tracker::choose(kvm),
            Self::Trap => TrackerKind::Trap,
            Self::Announce => TrackerKind::Announce,
            Self::Scan => TrackerKind::Scan(tracker::dirty_pages(kvm)),
        }
    }
}

/// Seconds, not necessarily whole, up to an hour.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
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
