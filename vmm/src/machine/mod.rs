//! A machine: built from a [`MachineConfig`], loaded with programs, run once to a known end.

mod build;
mod error;
mod event_loop;
mod run;

use std::sync::Arc;
use std::time::{Duration, Instant};

use guest::abi::layout;
use guest::abi::op::Op;
use guest::abi::program::{self, Control};
use kvm_ioctls::{Kvm, VmFd};
use notifier::addr::{Asid, Gpa, StreamId};
use notifier::contract::{AddressSpace, Subscription};
use notifier::oracle::Oracle;
use notifier::paging::{Format, Tree};
use notifier::secondary::shadow::Shadow;
use notifier::secondary::smmu::{Knobs, Smmu};
use vmm_sys_util::eventfd::EventFd;

pub use error::MachineError;
pub use run::{Run, Stopped};

use crate::devices::Console;
use crate::devices::dma::Engine;
use crate::driver::SmmuDriver;
use crate::image::Loaded;
use crate::memory::{MemoryConfig, Ram};
use crate::mirror::Mirror;
use crate::page_tables::{Built, WINDOW_PAGES};
use crate::policy::UpgradePolicy;
use crate::recorder::Recorder;
use crate::tracker::TrackerKind;
use crate::tracker::scan::Scanner;
use crate::vcpu::{Buses, Refusals};

/// The guest's address space as the SMMU tags it.
pub const ASID: Asid = Asid(1);
/// The DMA engine as the SMMU knows it where the machine drives.
pub const STREAM: StreamId = StreamId(0);
/// The same, as the stream that the guest's own driver configures.
pub const DRIVEN_STREAM: StreamId = StreamId(guest::abi::smmu::STREAM);
/// Entries of the SMMU's TLB.
const TLB_ENTRIES: usize = 512;

/// What a machine is to be.
#[derive(Clone, Copy, Debug)]
pub struct MachineConfig<'a> {
    /// Virtual CPUs, 1 to [`layout::MAX_VCPUS`].
    pub vcpus: u64,
    /// Guest memory.
    pub memory: MemoryConfig,
    /// How page-table writes become known.
    pub tracker: TrackerKind,
    /// What a permission upgrade is followed by.
    pub policy: UpgradePolicy,
    /// What the SMMU is like.
    pub smmu: Knobs,
    /// Who drives it.
    pub driver: SmmuDriver,
    /// The payload, an ELF file.
    pub image: &'a [u8],
    /// How long a run may take before it is stopped.
    pub limit: Duration,
}

/// Who watches what a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watching {
    Oracle,
    Nobody,
}

/// Ends a run, from any thread. Does nothing to one that is over.
#[derive(Debug)]
pub struct Stopper(EventFd);

impl Stopper {
    /// Stops all vCPUs where they are.
    pub fn stop(&self) {
        if let Err(error) = self.0.write(1) {
            log::error!("a run can't be stopped: {error}");
        }
    }
}

/// A machine that has not run yet.
pub struct Machine {
    // In the order in which they must go: whatever uses memory before memory.
    vcpus: u64,
    limit: Duration,
    loaded: Loaded,
    built: Built,
    protocol: u64,
    format: Arc<dyn Format>,
    buses: Arc<Buses>,
    /// Who answers where the host refuses vCPUs memory.
    refusals: Option<Arc<dyn Refusals>>,
    engine: Engine,
    scanner: Option<Arc<Scanner>>,
    console: Arc<Console>,
    mirror: Arc<Mirror>,
    _subscriptions: Vec<Subscription>,
    space: Arc<AddressSpace<Tree>>,
    smmu: Arc<Smmu>,
    shadow: Arc<Shadow>,
    oracle: Arc<Oracle>,
    vm: Arc<VmFd>,
    recorder: Option<Arc<Recorder>>,
    ram: Ram,
    stop: EventFd,
}

impl Machine {
    /// Builds a machine whose SMMU and address space nobody watches: for scenarios that say themselves
    /// when who is told, and have their own conditions.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn unwatched(kvm: &Kvm, config: &MachineConfig<'_>) -> Result<Self, MachineError> {
        build::machine(kvm, config, Watching::Nobody)
    }

    /// What ends a run from outside.
    ///
    /// # Errors
    /// [`MachineError`] if the host gives no event descriptor.
    pub fn stopper(&self) -> Result<Stopper, MachineError> {
        let bell = self.stop.try_clone();
        Ok(Stopper(
            bell.map_err(MachineError::resource("event descriptor"))?,
        ))
    }

    /// Builds a machine: memory, page tables, image, devices, secondary MMUs.
    ///
    /// # Errors
    /// [`MachineError`] says what does not fit or what the host refuses.
    pub fn new(kvm: &Kvm, config: &MachineConfig<'_>) -> Result<Self, MachineError> {
        build::machine(kvm, config, Watching::Oracle)
    }

    /// From now on records what happens when, for [`Run::recorded`]. Times count from this moment.
    pub fn record(&mut self) {
        let since = Instant::now();
        let recorder = Arc::new(Recorder::new(since));
        self.oracle.keep_time(since);
        self.engine.set_recorder(Arc::clone(&recorder));
        self.recorder = Some(recorder);
    }

    /// Guest memory.
    pub fn ram(&self) -> &Ram {
        &self.ram
    }

    /// The virtual machine as KVM has it.
    pub(crate) fn vm(&self) -> &Arc<VmFd> {
        &self.vm
    }

    /// From now on `who` answers where the host refuses a vCPU an access to guest memory; without
    /// anybody, such a vCPU ends.
    pub(crate) fn answer_refusals(&mut self, who: Arc<dyn Refusals>) {
        self.refusals = Some(who);
    }

    /// The root of the guest's page tables.
    pub fn root(&self) -> Gpa {
        self.built.root
    }

    /// The format of the guest's page tables.
    pub fn format(&self) -> &Arc<dyn Format> {
        &self.format
    }

    /// What watches the run.
    pub fn oracle(&self) -> &Arc<Oracle> {
        &self.oracle
    }

    /// Where the entry of page `number` of the window stands; `None` past the last.
    pub fn window_slot(&self, number: u64) -> Option<Gpa> {
        let offset = (number < WINDOW_PAGES).then_some(8 * number)?;
        Some(Gpa::new(self.built.window.raw() + offset))
    }

    /// Gives vCPU `index` its program, to which an end is added. A vCPU without one ends at once.
    ///
    /// # Errors
    /// [`MachineError::Program`] if there is no such vCPU or the program has no room.
    pub fn load_program(&self, index: u64, ops: &[Op]) -> Result<(), MachineError> {
        let count = ops.len() as u64 + 1;
        if index >= self.vcpus || count > program::CAPACITY {
            return Err(MachineError::Program { index, count });
        }
        let block = program::block(index);
        let control = Control {
            count,
            protocol: self.protocol,
            ..Control::default()
        };
        let ops = ops.iter().flat_map(|op| op.to_bytes());
        let ops: Vec<_> = ops.chain(Op::default().to_bytes()).collect();
        self.ram
            .write(Gpa::new(block + program::CONTROL), &control.to_bytes())?;
        Ok(self.ram.write(Gpa::new(block + program::OPS), &ops)?)
    }
}

const _: () = assert!(layout::MAX_VCPUS <= u8::MAX as u64);
