//! Running a machine to its end, and what is known then.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use guest::abi::op::OpResult;
use guest::abi::program::{self, Control};
use kvm_ioctls::Kvm;
use notifier::addr::{AddrRange, Gpa, Gva};
use notifier::contract::Notifications;
use notifier::oracle::{Findings, Record};
use notifier::paging::{ChangeKind, Leaf};
use notifier::secondary::{shadow, smmu};
use vm_memory::GuestAddress;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::event_loop::{Outcome, serve};
use super::{Machine, MachineError};
use crate::arch;
use crate::devices::dma::DmaCounts;
use crate::lock::lock;
use crate::mirror::MirrorError;
use crate::recorder::Recorded;
use crate::tracker::scan::{Scan, ScanCounts, Scanning};
use crate::vcpu::{Ended, EndedAt, Vcpu, VcpuEnd, VcpuIndex, VcpuStart, enable_kicks};

/// Everything that is known after a run.
#[derive(Debug)]
pub struct Run {
    /// Why the run did not come to its end, if it did not.
    pub stopped: Option<Stopped>,
    /// What each operation of each vCPU's program came to.
    pub results: Vec<Vec<OpResult>>,
    /// Page-table changes by kind.
    pub changes: BTreeMap<ChangeKind, u64>,
    /// What is mapped in the end, as far as the tracker knows.
    pub pages: Vec<(AddrRange<Gva>, Leaf)>,
    /// What the device did.
    pub dma: DmaCounts,
    /// What the address space sent.
    pub notifications: Notifications,
    /// What the SMMU did.
    pub smmu: smmu::Counts,
    /// What the KVM-like subscriber did.
    pub shadow: shadow::Counts,
    /// What finding page-table writes by scanning took; nothing under other trackers.
    pub scans: ScanCounts,
    /// What the oracle found.
    pub findings: Findings,
    /// The order of events.
    pub history: Vec<Record>,
    /// The same with times, and what took time outside the guest, if the machine
    /// [records](Machine::record).
    pub recorded: Option<Recorded>,
    /// The guest's last words.
    pub console: Vec<String>,
    /// From the first vCPU's start to the end.
    pub elapsed: Duration,
}

/// Why a run did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A vCPU ended as it should not.
    Vcpu(VcpuIndex, EndedAt),
    /// A scan found page tables that can't be followed; it does not tell which vCPU wrote them.
    Scan(MirrorError),
    /// Somebody stopped it.
    Asked {
        /// The vCPUs that had not ended, and where they were.
        at: Vec<(VcpuIndex, Option<Gva>)>,
    },
    /// Time was up.
    Limit {
        /// How much there was.
        limit: Duration,
        /// The vCPUs that had not ended, and where they were.
        at: Vec<(VcpuIndex, Option<Gva>)>,
    },
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcpu(index, at) => {
                write!(f, "{index}: {}", at.end)?;
                at.instruction
                    .map_or(Ok(()), |at| write!(f, "; instruction at {at}"))
            }
            Self::Scan(error) => write!(
                f,
                "a scan of the guest's page tables found what can't be followed: {error}"
            ),
            Self::Asked { at } => {
                f.write_str("the run was stopped")?;
                positions(f, at)
            }
            Self::Limit { limit, at } => {
                let seconds = limit.as_secs_f32();
                write!(
                    f,
                    "the guest did not finish within {seconds} s and was stopped"
                )?;
                positions(f, at)
            }
        }
    }
}

fn positions(f: &mut fmt::Formatter<'_>, at: &[(VcpuIndex, Option<Gva>)]) -> fmt::Result {
    for (index, at) in at {
        let at = at.map_or("somewhere".into(), |at| at.to_string());
        write!(f, "; {index} was at {at}")?;
    }
    Ok(())
}

impl Machine {
    /// Runs all vCPUs until each has ended, one fails, or time is up; nothing runs afterwards.
    ///
    /// # Errors
    /// [`MachineError`] if the host gives no vCPU, thread or event; what the guest does wrong is in
    /// [`Run::stopped`].
    pub fn run(mut self, kvm: &Kvm) -> Result<Run, MachineError> {
        enable_kicks().map_err(MachineError::resource("signal"))?;
        let dma = self.engine.counts();
        let began = Instant::now();
        let outcome = self.execute(kvm)?;
        Ok(Run {
            elapsed: began.elapsed(),
            stopped: self.unfollowed().or_else(|| stopped(outcome, self.limit)),
            results: self.results(),
            changes: self.mirror.counts(),
            pages: self.space.lock_page_table().pages(),
            dma: *lock(&dma),
            notifications: self.space.notifications().unwrap_or_default(),
            smmu: self.smmu.counts(),
            shadow: self.shadow.counts(),
            scans: self.scan().map(Scan::counts).unwrap_or_default(),
            findings: self.oracle.findings(),
            history: self.oracle.history(),
            recorded: self.recorded(),
            console: self.console.lines(),
        })
    }

    fn recorded(&self) -> Option<Recorded> {
        let recorder = self.recorder.as_ref()?;
        Some(recorder.recorded(self.oracle.timed_history()))
    }

    /// From the first thread's start to the last one's end.
    fn execute(&mut self, kvm: &Kvm) -> Result<Outcome, MachineError> {
        let bell =
            EventFd::new(EFD_NONBLOCK).map_err(MachineError::resource("event descriptor"))?;
        let (ends, heard) = channel();
        let starts = self.starts(kvm, &ends, &bell)?;
        let scanning = self.start_scanning(&ends, &bell)?;
        let mut vcpus = Vec::new();
        for start in starts {
            let vcpu = Vcpu::start(&self.vm, start);
            vcpus.push(vcpu.map_err(MachineError::resource("vCPU thread"))?);
        }
        let count = vcpus.len();
        let outcome = serve(
            &mut self.engine,
            count,
            (bell, &heard),
            &self.stop,
            self.limit,
        );
        self.engine.finish();
        // A vCPU or a scan may be waiting for an access that the device holds open.
        self.engine.release();
        let mut outcome = outcome?;
        // Once they are dropped the vCPUs are stopped, their threads over, and their ends told.
        drop(vcpus);
        drop(scanning);
        if let Some(Err(error)) = self.scan().map(Scan::now) {
            log::debug!("the last scan: {error}");
        }
        outcome
            .ended
            .extend(heard.try_iter().map(|ended| (ended.index, ended.at)));
        Ok(outcome)
    }

    /// The scanning thread, if the tracker has one. If it fails, it ends the run as a vCPU would.
    fn start_scanning(
        &self,
        ends: &Sender<Ended>,
        bell: &EventFd,
    ) -> Result<Option<Scanning>, MachineError> {
        let Some(scanner) = &self.scanner else {
            return Ok(None);
        };
        let ends = ends.clone();
        let bell = bell.try_clone();
        let bell = bell.map_err(MachineError::resource("event descriptor"))?;
        let failed = move || {
            let (index, end) = (VcpuIndex(0), VcpuEnd::Stopped);
            let instruction = None;
            let at = EndedAt { end, instruction };
            if ends.send(Ended { index, at }).is_err() || bell.write(1).is_err() {
                log::debug!("the run is over before the scanner ends it");
            }
        };
        let scanning = scanner.start(failed);
        scanning
            .map(Some)
            .map_err(MachineError::resource("scanning thread"))
    }

    fn scan(&self) -> Option<&Scan> {
        self.scanner.as_ref().map(|scanner| scanner.scan())
    }

    /// Why what the guest wrote can't be followed, if a scan found that.
    fn unfollowed(&self) -> Option<Stopped> {
        self.scan().and_then(Scan::failure).map(Stopped::Scan)
    }

    /// All vCPUs, configured.
    fn starts(
        &self,
        kvm: &Kvm,
        ends: &Sender<Ended>,
        bell: &EventFd,
    ) -> Result<Vec<VcpuStart>, MachineError> {
        (0..self.vcpus)
            .map(|index| {
                let vcpu = self.vm.create_vcpu(index);
                let vcpu = vcpu.map_err(MachineError::kvm("create a vCPU"))?;
                if let Some(scan) = self.scan() {
                    let added = scan.add(&vcpu);
                    added.map_err(MachineError::resource("dirty ring"))?;
                }
                let (entry, root) = (self.loaded.entry.raw(), self.built.root.raw());
                arch::configure_vcpu(kvm, &vcpu, index, GuestAddress(entry), GuestAddress(root))?;
                let bell = bell.try_clone();
                Ok(VcpuStart {
                    index: VcpuIndex(index),
                    vcpu,
                    buses: Arc::clone(&self.buses),
                    refusals: self.refusals.clone(),
                    scanner: self.scanner.clone(),
                    ends: ends.clone(),
                    bell: bell.map_err(MachineError::resource("event descriptor"))?,
                    recorder: self.recorder.clone(),
                })
            })
            .collect()
    }

    /// What the payload wrote down of each operation, as many as its program has.
    fn results(&self) -> Vec<Vec<OpResult>> {
        (0..self.vcpus)
            .map(|index| self.results_of(index))
            .collect()
    }

    fn results_of(&self, index: u64) -> Vec<OpResult> {
        let block = program::block(index);
        let mut control = [0; Control::SIZE];
        let read = self
            .ram
            .read(Gpa::new(block + program::CONTROL), &mut control);
        let count = Control::from_bytes(&control).count.min(program::CAPACITY);
        let count = read.map_or(0, |()| count);
        let result = |number: u64| {
            let mut bytes = [0; OpResult::SIZE];
            let at = block + program::RESULTS + number * OpResult::SIZE as u64;
            let read = self.ram.read(Gpa::new(at), &mut bytes);
            read.map_or_else(|_| OpResult::default(), |()| OpResult::from_bytes(&bytes))
        };
        (0..count).map(result).collect()
    }
}

/// The first vCPU that ended as it should not, or the limit.
fn stopped(outcome: Outcome, limit: Duration) -> Option<Stopped> {
    let at = |end: &VcpuEnd| {
        let ended = outcome.ended.iter().filter(|(_, ended)| ended.end == *end);
        ended
            .map(|(index, ended)| (*index, ended.instruction))
            .collect()
    };
    let asked = outcome.asked.then(|| Stopped::Asked {
        at: at(&VcpuEnd::Stopped),
    });
    let expired = outcome.expired.then(|| Stopped::Limit {
        limit,
        at: at(&VcpuEnd::Stopped),
    });
    let good = [VcpuEnd::Done, VcpuEnd::Stopped];
    let mut ended = outcome.ended.into_iter();
    let wrong = ended.find(|(_, at)| !good.contains(&at.end));
    wrong
        .map(|(index, at)| Stopped::Vcpu(index, at))
        .or(asked)
        .or(expired)
}
