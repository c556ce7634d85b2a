//! Running the scenario and saying what came of it.

use std::io::{self, Write};

use kvm_ioctls::Kvm;
use notifier::addr::Gpa;
use notifier::oracle::Verdict;
use notifier::secondary::smmu::Knobs;

use super::args::{Choice, Setup};
use super::exit::Exit;
use super::explore;
use super::outputs::{Outputs, Refused};
use super::payload;
use crate::driver::SmmuDriver;
use crate::host::{self, HostError, KvmKind};
use crate::live::flagship::{Flagship, Recording};
use crate::machine::{MachineConfig, MachineError};
use crate::memory::MemoryConfig;
use crate::policy::UpgradePolicy;
use crate::report::{self, Host};
use crate::tracker::TrackerKind;

/// A host on which machines can run, with the tracker that they use.
struct Ready {
    kvm: Kvm,
    host: Host,
    payload: Vec<u8>,
}

/// What the SMMU is, and who drives it.
#[derive(Clone, Copy, Default)]
struct Hardware {
    smmu: Knobs,
    driver: SmmuDriver,
}

impl From<&Choice> for Hardware {
    fn from(choice: &Choice) -> Self {
        Self {
            smmu: choice.smmu,
            driver: choice.driver.into(),
        }
    }
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
enum NotRun {
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error(transparent)]
    Output(#[from] Refused),
    #[error("{path} can't be read: {error}", path = path.display())]
    Payload {
        path: std::path::PathBuf,
        error: io::Error,
    },
}

impl NotRun {
    /// Whether there is no KVM to run anything with, whatever was asked for.
    fn is_no_kvm(&self) -> bool {
        match self {
            Self::Machine(MachineError::Host(error)) => {
                !matches!(error, HostError::TooLittleMemory { .. })
            }
            _ => false,
        }
    }
}

impl From<&NotRun> for Exit {
    fn from(error: &NotRun) -> Self {
        match error {
            NotRun::Machine(error) => error.into(),
            NotRun::Payload { .. } | NotRun::Output(_) => Self::Usage,
        }
    }
}

/// The scenario under one policy. The exit code is the verdict's, unless a file that was asked for
/// can't be written.
pub(super) fn one(setup: &Setup, choice: &Choice, outputs: &Outputs) -> Exit {
    let files = match outputs.open() {
        Ok(files) => files,
        Err(refused) => return not_run(setup, &refused.into()),
    };
    let recording = match files.are_asked() {
        true => Recording::On,
        false => Recording::Off,
    };
    let policy = choice.upgrade_notify.into();
    let done = ready(setup).and_then(|ready| {
        let flagship = run(setup, &ready, policy, choice.into(), recording)?;
        Ok((ready.host, flagship))
    });
    let (host, flagship) = match done {
        Ok(done) => done,
        Err(error) => return not_run(setup, &error),
    };
    let text = if setup.json {
        report::json::one(&host, &flagship)
    } else {
        report::text::one(&host, &flagship)
    };
    let coherent = flagship.verdict() == Some(Verdict::Coherent);
    let exit = print(
        &text,
        if coherent && flagship.is_as_expected() {
            Exit::Good
        } else {
            Exit::Bad
        },
    );
    if !files.are_asked() {
        return exit;
    }
    let command = report::page::command_line(std::env::args_os());
    let page = report::flagship_page(&host, &flagship, command, setup.vcpus);
    files.write(&page, exit)
}

/// The scenario under every policy. The exit code is whether each did what the theory says.
pub(super) fn all(setup: &Setup) -> Exit {
    let done = ready(setup).and_then(|ready| {
        let runs = UpgradePolicy::ALL
            .into_iter()
            .map(|policy| run(setup, &ready, policy, Hardware::default(), Recording::Off));
        let runs = runs.collect::<Result<Vec<_>, _>>()?;
        Ok((ready.host, runs))
    });
    let (host, runs) = match done {
        Ok(done) => done,
        Err(error) if error.is_no_kvm() => return instead(setup, &error),
        Err(error) => return not_run(setup, &error),
    };
    let text = if setup.json {
        report::json::all(&host, &runs)
    } else {
        report::text::all(&host, &runs)
    };
    let expected = runs.iter().all(Flagship::is_as_expected);
    print(&text, if expected { Exit::Good } else { Exit::Bad })
}

fn ready(setup: &Setup) -> Result<Ready, NotRun> {
    let payload = match &setup.payload {
        None => guest::images::PAYLOAD.to_vec(),
        Some(path) => payload::read(path).map_err(|error| NotRun::Payload {
            path: path.clone(),
            error,
        })?,
    };
    let kvm = host::open(&setup.kvm).map_err(MachineError::from)?;
    let tracker = setup.tracker.chosen(&kvm);
    let kvm_kind = KvmKind::detect();
    log::info!("KVM: {kvm_kind}, tracker: {tracker}");
    if let TrackerKind::Scan(pages) = tracker {
        log::info!("what may have been written is what {pages} says");
    }
    let host = Host {
        kvm: kvm_kind,
        tracker,
    };
    Ok(Ready { kvm, host, payload })
}

fn run(
    setup: &Setup,
    ready: &Ready,
    policy: UpgradePolicy,
    hardware: Hardware,
    recording: Recording,
) -> Result<Flagship, NotRun> {
    let config = MachineConfig {
        vcpus: setup.vcpus,
        memory: MemoryConfig {
            size: setup.mem,
            page_tables: Gpa::new(setup.page_tables),
        },
        tracker: ready.host.tracker,
        policy,
        smmu: hardware.smmu,
        driver: hardware.driver,
        image: &ready.payload,
        limit: setup.limit,
    };
    let flagship = Flagship::run_with(&ready.kvm, &config, recording)?;
    log::info!(
        "policy {policy}: {} in {:?}",
        report::text::verdict(&flagship),
        flagship.run.elapsed
    );
    for record in &flagship.run.history {
        log::trace!("{record}");
    }
    Ok(flagship)
}

/// On a host that can't run a guest, the scenario goes through the explorer, which needs none. The
/// exit code still says that the host can't: what was asked for did not run.
fn instead(setup: &Setup, error: &NotRun) -> Exit {
    log::error!("this host can't run a guest: {error}");
    explore::flagship(&error.to_string(), setup.json)
}

/// The one line on standard error, and with `--json` a document too.
fn not_run(setup: &Setup, error: &NotRun) -> Exit {
    let exit = Exit::from(error);
    match exit {
        Exit::Host => log::error!("this host can't run a guest: {error}"),
        _ => log::error!("{error}"),
    }
    if setup.json {
        return print(&report::json::error(&error.to_string(), exit.code()), exit);
    }
    exit
}

/// Prints to standard output. Whoever has stopped reading wants no more; any other failure to
/// deliver the result is one.
pub(super) fn print(text: &str, exit: Exit) -> Exit {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => exit,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(error) => {
            log::error!("the result could not be written: {error}");
            Exit::Bad
        }
    }
}
