//! Machines to try things on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use guest::abi::dma::Descriptor;
use guest::abi::op::{Op, OpResult, STATUS_DONE, STATUS_FAULT};
use kvm_ioctls::Kvm;
use notifier::addr::Gpa;
use notifier::paging::{ChangeKind, Format, TableMemory};
use notifier::secondary::smmu::Knobs;
use vmm::driver::SmmuDriver;
use vmm::machine::{Machine, MachineConfig, Run, Stopped};
use vmm::memory::{MemoryConfig, Ram};
use vmm::policy::UpgradePolicy;
use vmm::tracker::TrackerKind;
use vmm::vcpu::VcpuEnd;

use crate::{host, transfer};

/// How long a run that comes to its end by itself may take: much longer than it does anywhere.
const LIMIT: Duration = Duration::from_secs(120);

/// A host and one of its trackers.
pub struct Lab {
    /// KVM.
    pub kvm: Kvm,
    /// The tracker that machines use.
    pub tracker: TrackerKind,
}

/// A run that is over.
pub struct Ran {
    /// Guest memory as it was left.
    pub ram: Ram,
    /// The format of the page tables in it.
    pub format: Arc<dyn Format>,
    /// What is known of it.
    pub run: Run,
}

/// Calls `test` with every tracker that works here; not at all where there is no KVM.
pub fn on_every_tracker(test: impl Fn(&Lab)) {
    let Some(kvm) = host::require_kvm() else {
        return;
    };
    for tracker in host::trackers(&kvm) {
        eprintln!("tracker: {tracker}");
        on_tracker(*tracker, &test);
    }
}

/// Calls `test` with every tracker that works here and sees each single write: not with `scan`, to
/// which several writes of one entry are one.
pub fn on_each_write(test: impl Fn(&Lab)) {
    let Some(kvm) = host::require_kvm() else {
        return;
    };
    let trackers = host::trackers(&kvm).iter();
    for tracker in trackers.filter(|tracker| sees_each_write(**tracker)) {
        eprintln!("tracker: {tracker}");
        on_tracker(*tracker, &test);
    }
}

fn sees_each_write(tracker: TrackerKind) -> bool {
    !matches!(tracker, TrackerKind::Scan(_))
}

/// Calls `test` with the announcing tracker, which works everywhere where there is KVM.
pub fn on_announce(test: impl Fn(&Lab)) {
    on_tracker(TrackerKind::Announce, test);
}

/// Calls `test` with the scanning tracker, which works everywhere too, by each way in which KVM tells
/// here what was written.
pub fn on_scan(test: impl Fn(&Lab)) {
    let Some(kvm) = host::require_kvm() else {
        return;
    };
    let trackers = host::trackers(&kvm).iter();
    for tracker in trackers.filter(|tracker| !sees_each_write(**tracker)) {
        eprintln!("tracker: {tracker:?}");
        on_tracker(*tracker, &test);
    }
}

/// Calls `test` with the trapping tracker, if it works here.
pub fn on_trap(test: impl Fn(&Lab)) {
    if host::require_kvm().is_some_and(|kvm| host::can_trap(&kvm)) {
        on_tracker(TrackerKind::Trap, test);
    }
}

fn on_tracker(tracker: TrackerKind, test: impl Fn(&Lab)) {
    if let Some(kvm) = host::require_kvm() {
        test(&Lab { kvm, tracker });
    }
}

impl Lab {
    /// Whether each single write is seen, and not only what an entry has become.
    pub fn sees_each_write(&self) -> bool {
        sees_each_write(self.tracker)
    }

    /// A small machine with one vCPU that does the right thing about upgrades.
    pub fn config(&self) -> MachineConfig<'static> {
        MachineConfig {
            vcpus: 1,
            memory: MemoryConfig::default(),
            tracker: self.tracker,
            policy: UpgradePolicy::SecondaryTlb,
            smmu: Knobs::default(),
            driver: SmmuDriver::Vmm,
            image: guest::images::PAYLOAD,
            limit: LIMIT,
        }
    }

    /// Runs a program to its end on the first vCPU of a small machine.
    ///
    /// # Panics
    /// If the run does not come to its end.
    pub fn run(&self, program: impl FnOnce(&Machine) -> Vec<Op>) -> Ran {
        self.run_all(1, |machine| vec![program(machine)])
    }

    /// Runs one program for each vCPU to its end.
    ///
    /// # Panics
    /// If the run does not come to its end.
    pub fn run_all(&self, vcpus: u64, programs: impl FnOnce(&Machine) -> Vec<Vec<Op>>) -> Ran {
        let config = MachineConfig {
            vcpus,
            ..self.config()
        };
        let ran = self.attempt(&config, programs);
        assert_eq!(ran.run.stopped, None, "the run comes to its end");
        ran
    }

    /// Runs programs on a machine, to whatever end.
    ///
    /// # Panics
    /// If there is no such machine.
    pub fn attempt(
        &self,
        config: &MachineConfig<'_>,
        programs: impl FnOnce(&Machine) -> Vec<Vec<Op>>,
    ) -> Ran {
        let machine = Machine::new(&self.kvm, config).expect("the machine can be built");
        for (vcpu, program) in (0..).zip(programs(&machine)) {
            let loaded = machine.load_program(vcpu, &program);
            loaded.expect("the program fits");
        }
        let (ram, format) = (machine.ram().clone(), Arc::clone(machine.format()));
        let run = machine.run(&self.kvm).expect("the host lets it run");
        Ran { ram, format, run }
    }

    /// Runs an image on all vCPUs of a machine that gets `limit`, and says why it was stopped.
    ///
    /// # Panics
    /// If it comes to its end, or takes much longer than the limit.
    pub fn stopped(&self, image: &[u8], vcpus: u64, limit: Duration) -> Stopped {
        let config = MachineConfig {
            image,
            vcpus,
            limit,
            ..self.config()
        };
        let began = Instant::now();
        let ran = self.attempt(&config, |_| Vec::new());
        let took = began.elapsed();
        assert!(took < limit + Duration::from_secs(20), "it took {took:?}");
        ran.run.stopped.expect("the run does not come to its end")
    }
}

/// Why the vCPU that stopped the run ended.
///
/// # Panics
/// If none did.
pub fn end(stopped: Stopped) -> VcpuEnd {
    match stopped {
        Stopped::Vcpu(_, at) => at.end,
        Stopped::Scan(error) => VcpuEnd::Mirror(error),
        other @ (Stopped::Asked { .. } | Stopped::Limit { .. }) => panic!("no vCPU ended: {other}"),
    }
}

impl Ran {
    /// What operation `index` of the first vCPU came to.
    ///
    /// # Panics
    /// If its program has no such operation.
    pub fn result(&self, index: usize) -> OpResult {
        self.run.results[0][index]
    }

    /// What a load came to: the value, or the vector, error code and address of its fault.
    ///
    /// # Panics
    /// If it came to neither.
    pub fn loaded(&self, index: usize) -> Result<u64, (u64, u64, u64)> {
        let result = self.result(index);
        match result.status {
            STATUS_DONE => Ok(result.value),
            STATUS_FAULT => Err((result.vector, result.error, result.address)),
            status => panic!("operation {index} has status {status}"),
        }
    }

    /// The kinds of page-table changes that there were, with their numbers.
    pub fn changes(&self) -> Vec<(ChangeKind, u64)> {
        let changes = self.run.changes.iter();
        let made = changes.filter(|(_, count)| **count != 0);
        made.map(|(kind, count)| (*kind, *count)).collect()
    }

    /// A DMA descriptor as the device left it.
    ///
    /// # Panics
    /// If there is none of that number.
    pub fn descriptor(&self, number: u64) -> Descriptor {
        let mut bytes = [0; Descriptor::SIZE];
        let place = Gpa::new(transfer::descriptor(number));
        let read = self.ram.read(place, &mut bytes);
        read.expect("descriptors are in memory");
        Descriptor::from_bytes(&bytes)
    }

    /// The word at a guest-physical address.
    ///
    /// # Panics
    /// If it is outside memory.
    pub fn word(&self, address: u64) -> u64 {
        let word = self.ram.read_entry(Gpa::new(address));
        word.expect("the address is in memory")
    }
}
