//! The flagship scenario: a page that a device has read becomes writable.
//!
//! Real guest code maps pages and starts the device, takes a write fault and upgrades a page,
//! downgrades another and unmaps a third, and the device tries each before and after. What the
//! software under test does about the upgrade is the [`UpgradePolicy`](crate::policy).

mod expect;
mod script;
mod theory;

use kvm_ioctls::Kvm;
use notifier::oracle::Verdict;
use notifier::secondary::smmu::Knobs;

use super::Check;
use crate::driver::SmmuDriver;
use crate::machine::{Machine, MachineConfig, MachineError, Run};
use crate::policy::UpgradePolicy;
use script::Script;
use theory::Theory;

/// The name of the scenario.
pub const NAME: &str = "flagship";

/// Whether a run is recorded, for a trace or a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// It takes time.
    On,
    /// It is not.
    #[default]
    Off,
}

/// A run of the scenario.
#[derive(Debug)]
pub struct Flagship {
    /// The policy that it ran under.
    pub policy: UpgradePolicy,
    /// The SMMU that it ran with.
    pub smmu: Knobs,
    /// Who drove it.
    pub driver: SmmuDriver,
    /// What is known of the run.
    pub run: Run,
    /// The device's write to the upgraded page, if the run came to its end.
    pub write: Option<DeviceWrite>,
    /// What the scenario expects, and saw. Empty if the run did not come to its end.
    pub checks: Vec<Check>,
}

/// What became of the device's write to the upgraded page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceWrite {
    /// Whether all of it was written.
    pub done: bool,
    /// How often it was refused.
    pub faults: u64,
}

impl Flagship {
    /// Runs the scenario on a new machine.
    ///
    /// # Errors
    /// [`MachineError`] if there is no machine.
    pub fn run(kvm: &Kvm, config: &MachineConfig<'_>) -> Result<Self, MachineError> {
        Self::run_with(kvm, config, Recording::Off)
    }

    /// The same, and records it or not.
    ///
    /// # Errors
    /// [`MachineError`] if there is no machine.
    pub fn run_with(
        kvm: &Kvm,
        config: &MachineConfig<'_>,
        recording: Recording,
    ) -> Result<Self, MachineError> {
        let mut machine = Machine::new(kvm, config)?;
        let theory = Theory {
            policy: config.policy,
            knobs: config.smmu,
            driver: config.driver,
        };
        let script = Script::write(&machine, config.vcpus, &theory)?;
        for (index, program) in (0..).zip(script.programs()) {
            machine.load_program(index, program.ops())?;
        }
        let ram = machine.ram().clone();
        if recording == Recording::On {
            machine.record();
        }
        let run = machine.run(kvm)?;
        let (write, checks) = match run.stopped {
            None => {
                let checks = expect::checks(&script, &ram, &run, theory);
                (Some(expect::device_write(&script, &ram, &run)), checks)
            }
            Some(_) => (None, Vec::new()),
        };
        Ok(Self {
            policy: config.policy,
            smmu: config.smmu,
            driver: config.driver,
            run,
            write,
            checks,
        })
    }

    /// What the oracle says; nothing of a run that did not come to its end, unless it saw a
    /// violation before that.
    pub fn verdict(&self) -> Option<Verdict> {
        let verdict = self.run.findings.verdict();
        let decided = self.run.stopped.is_none() || verdict == Verdict::Violation;
        decided.then_some(verdict)
    }

    /// Whether everything, the verdict and its reasons included, is as the theory says.
    pub fn is_as_expected(&self) -> bool {
        self.run.stopped.is_none() && self.checks.iter().all(Check::holds)
    }
}
