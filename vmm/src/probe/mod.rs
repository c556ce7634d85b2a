//! Probes: what this host's processor, under this host's KVM, does with translations.
//!
//! A probe is a batch inside the guest ([`guest::abi::probe`]) that takes no exit of its own where it
//! matters. Its machine has ordinary memory for page tables and announces nothing, so nothing of
//! this program stands between the guest's stores and what walks its tables.
//!
//! * [`dirty_race`]: does a page that loses its permission to write become dirty afterwards?
//! * [`stale_tlb`]: is an old translation used after its entry has changed?

pub mod dirty_race;
mod paging;
pub mod stale_tlb;

use std::time::{Duration, Instant};

use guest::abi::op::{self, Op};
use guest::abi::{layout, probe};
use kvm_ioctls::Kvm;
use notifier::addr::{Gpa, PageSize, Permissions};
use notifier::secondary::smmu::Knobs;

pub use paging::{Paging, Who};

use crate::driver::SmmuDriver;
use crate::machine::{Machine, MachineConfig, MachineError, Stopped};
use crate::memory::{MemoryConfig, Ram};
use crate::page_tables::page;
use crate::policy::UpgradePolicy;
use crate::tracker::TrackerKind;

/// What a probe may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Tries for each of its lines, rounded up to a multiple of [`probe::PAGES`].
    pub tries: u64,
    /// Of what is random.
    pub seed: u64,
    /// When to stop, whatever was tried by then.
    pub deadline: Instant,
}

impl Budget {
    fn rounds(self) -> u64 {
        self.tries.div_ceil(probe::PAGES).max(1)
    }

    /// An equal share of the time that is left, for one of `lines` that are still to come.
    fn share(self, lines: usize) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left / u32::try_from(lines.max(1)).unwrap_or(u32::MAX)
    }
}

/// A machine for one line of a probe.
struct Bench {
    machine: Machine,
    ram: Ram,
    slot: Gpa,
}

impl Bench {
    fn new(kvm: &Kvm, vcpus: u64, limit: Duration) -> Result<Self, MachineError> {
        let config = config(vcpus, limit);
        let machine = Machine::new(kvm, &config)?;
        Ok(Self {
            ram: machine.ram().clone(),
            slot: machine.window_slot(0).unwrap_or(machine.root()),
            machine,
        })
    }

    /// An entry for frame `number`.
    fn entry(&self, number: u64, permissions: Permissions) -> Result<u64, MachineError> {
        let frame = Gpa::new(layout::FRAMES + number * layout::PAGE);
        let leaf = page(frame, PageSize::K4, permissions);
        let entry = self.machine.format().encode_leaf(&leaf);
        entry.map_err(|error| MachineError::Assembly(error.into()))
    }

    /// Puts `words` where the batch looks for them, runs batch `kinds[n]` of `rounds` rounds on vCPU
    /// `n`, and reads the words back. They count what was done even if the run was stopped.
    fn run<const N: usize>(
        self,
        kvm: &Kvm,
        words: [u8; N],
        (kinds, rounds): (&[u64], u64),
    ) -> Result<([u8; N], Option<Stopped>), MachineError> {
        let at = Gpa::new(probe::WORDS);
        self.ram.write(at, &words)?;
        for (vcpu, kind) in (0..).zip(kinds) {
            let batch = Op {
                code: op::PROBE,
                a: *kind,
                b: probe::WORDS,
                c: rounds,
            };
            self.machine.load_program(vcpu, &[batch])?;
        }
        let run = self.machine.run(kvm)?;
        let mut words = words;
        self.ram.read(at, &mut words)?;
        Ok((words, run.stopped))
    }
}

/// An ordinary machine that announces nothing.
pub(crate) fn config(vcpus: u64, limit: Duration) -> MachineConfig<'static> {
    MachineConfig {
        vcpus,
        memory: MemoryConfig::default(),
        tracker: TrackerKind::Announce,
        policy: UpgradePolicy::None,
        smmu: Knobs::default(),
        driver: SmmuDriver::Guest,
        image: guest::images::PAYLOAD,
        limit,
    }
}
