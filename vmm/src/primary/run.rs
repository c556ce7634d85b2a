//! A run: a machine whose vCPUs count, a device that counts, and a host that takes and gives.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Duration;

use guest::abi::layout::FLAGS;
use guest::abi::op::{self, Op, OpResult};
use guest::images::PAYLOAD;
use kvm_ioctls::Kvm;
use notifier::addr::Gpa;
use notifier::secondary::smmu::Knobs;

use super::copy::{Copy, CopyCounts};
use super::course::{Course, Failures, PAUSE};
use super::dirty_log::DirtyLog;
use super::frames::Frames;
use super::mapping::Mapping;
use super::means::Means;
use super::rounds::{self, Rounds};
use super::space::{Answers, Primary};
use super::userfault::Userfault;
use super::{
    DeviceWork, Ended, PrimaryConfig, PrimaryError, PrimaryReport, Subject, VcpuStores, device,
};
use crate::driver::SmmuDriver;
use crate::machine::{Machine, MachineConfig, Run};
use crate::memory::{MemoryConfig, Ram};
use crate::policy::UpgradePolicy;
use crate::tracker::TrackerKind;

/// How much longer than the host the machine waits, which stops vCPUs wherever they are.
const GRACE: Duration = Duration::from_secs(10);
/// Where the vCPUs are told to stop.
const STOP: Gpa = Gpa::new(FLAGS);

/// What the host takes writes away by, with what else it needs of it.
enum Tool {
    Mapping,
    Log(Arc<DirtyLog>),
    Userfault(Arc<Userfault>),
}

/// Everything beside the machine.
struct Side {
    primary: Arc<Primary>,
    tool: Tool,
    /// Where the vCPUs are told to stop.
    ram: Ram,
}

/// What the threads beside the machine came to.
struct Beside {
    ended: Ended,
    rounds: Rounds,
    device: DeviceWork,
    copy: Option<CopyCounts>,
}

/// Runs it. What is wrong is in the report; `interrupted` ends it early.
///
/// # Errors
/// [`PrimaryError`] if the host can't, or a system call fails that it has.
pub fn run(
    kvm: &Kvm,
    config: &PrimaryConfig,
    interrupted: &AtomicBool,
) -> Result<PrimaryReport, PrimaryError> {
    let mut machine = Machine::new(kvm, &machine_config(config))?;
    let side = Side::new(&machine, config)?;
    let failures = Arc::new(Failures::default());
    let answers = Answers::new(&side.primary, &failures);
    machine.answer_refusals(Arc::new(answers));
    for index in 0..config.vcpus {
        machine.load_program(index, &[side.program(index)])?;
    }
    let course = Course::new(config, interrupted, &failures);
    let (run, beside) = side.carry_out(kvm, machine, &course)?;
    match failures.take() {
        Some(error) => Err(error),
        None => side.report(config, &run, beside),
    }
}

fn machine_config(config: &PrimaryConfig) -> MachineConfig<'static> {
    MachineConfig {
        vcpus: config.vcpus,
        memory: MemoryConfig::default(),
        tracker: TrackerKind::Announce,
        policy: UpgradePolicy::SecondaryTlb,
        smmu: Knobs::default(),
        driver: SmmuDriver::Vmm,
        image: PAYLOAD,
        limit: config.limit + GRACE,
    }
}

impl Side {
    fn new(machine: &Machine, config: &PrimaryConfig) -> Result<Self, PrimaryError> {
        let ram = machine.ram().clone();
        let frames = Arc::new(Frames::new(&ram, config.pages)?);
        let (means, tool): (Arc<dyn Means>, _) = match config.subject {
            Subject::Mprotect => (Arc::new(Mapping(Arc::clone(&frames))), Tool::Mapping),
            Subject::DirtyLog => {
                let log = Arc::new(DirtyLog::new(machine.vm(), &frames)?);
                (log.clone(), Tool::Log(log))
            }
            Subject::UffdWp => {
                let userfault = Arc::new(Userfault::new(&frames)?);
                (userfault.clone(), Tool::Userfault(userfault))
            }
        };
        let primary = Primary::new(&frames, means, config.omission)?;
        Ok(Self {
            primary: Arc::new(primary),
            tool,
            ram,
        })
    }

    /// Pages in which the vCPUs count, the first ones. Where writes are logged the device has the last
    /// page for itself, so that only its own log can name that.
    fn vcpu_pages(&self) -> u64 {
        match (&self.tool, self.primary.frames().count()) {
            (Tool::Log(_), count @ 2..) => count - 1,
            (_, count) => count,
        }
    }

    /// A vCPU counts in its own word of each of its pages.
    fn program(&self, index: u64) -> Op {
        Op {
            code: op::COUNT,
            a: self.primary.frames().vcpu_word(index).raw(),
            b: self.vcpu_pages(),
            c: STOP.raw(),
        }
    }

    /// Runs the machine on this thread and everybody else beside it; all of them have ended on
    /// return.
    fn carry_out(
        &self,
        kvm: &Kvm,
        machine: Machine,
        course: &Course<'_>,
    ) -> Result<(Run, Beside), PrimaryError> {
        let mut copy = self.begin_copy()?;
        let mut rounds = Rounds::default();
        let (run, ended, device) = std::thread::scope(|scope| {
            let over = course.over_on_drop();
            if let Tool::Userfault(userfault) = &self.tool {
                let answer = || rounds::answer(&self.primary, userfault, course);
                start(scope, course, "monitor", answer)?;
            }
            let device = start(scope, course, "device", || {
                device::work(&self.primary, course)
            })?;
            let (copy, rounds) = (copy.as_mut(), &mut rounds);
            let host = start(scope, course, "host", move || {
                self.host(copy, course, rounds)
            })?;
            let run = machine.run(kvm)?;
            drop(over);
            let (ended, device) = (joined(host), joined(device));
            Ok::<_, PrimaryError>((run, ended, device))
        })?;
        let copy = copy.map(|copy| self.end_copy(copy)).transpose()?;
        let ended = ended.unwrap_or(Ended::Stopped("before the host was done".into()));
        let beside = Beside {
            ended: run
                .stopped
                .as_ref()
                .map_or(ended, |stopped| Ended::Stopped(stopped.to_string())),
            rounds,
            device: device.unwrap_or_default(),
            copy,
        };
        Ok((run, beside))
    }

    /// The host's part, at whose end nothing is taken and the vCPUs are told to stop, whatever came
    /// before. A device whose writes are logged goes on to be logged.
    fn host(
        &self,
        copy: Option<&mut Copy>,
        course: &Course<'_>,
        rounds: &mut Rounds,
    ) -> Result<Ended, PrimaryError> {
        let primary = &self.primary;
        let ended = self
            .started(course)
            .and_then(|()| match (&self.tool, copy) {
                (Tool::Log(log), Some(copy)) => {
                    rounds::dirty_log(primary, (log, copy), course, rounds)
                }
                (Tool::Userfault(userfault), _) => {
                    rounds::uffd_wp(primary, userfault, course, rounds)
                }
                (Tool::Mapping | Tool::Log(_), _) => rounds::mprotect(primary, course, rounds),
            });
        let given = match self.tool {
            Tool::Log(_) => Ok(()),
            Tool::Mapping | Tool::Userfault(_) => primary.give_all(),
        };
        self.ram.publish(STOP, 1)?;
        given.and(ended)
    }

    /// Waits until everybody counts, unless the run ends before.
    fn started(&self, course: &Course<'_>) -> Result<(), PrimaryError> {
        let vcpus = usize::try_from(course.config().vcpus).unwrap_or(0);
        while course.ends().is_none() && !self.all_count(vcpus)? {
            std::thread::sleep(PAUSE);
        }
        log::info!("everybody counts, and the host begins");
        Ok(())
    }

    /// Whether every vCPU has counted, and the device in every page, for which it needs an answer where
    /// its writes are logged.
    fn all_count(&self, vcpus: usize) -> Result<bool, PrimaryError> {
        let frames = self.primary.frames();
        let first = frames.words(0)?;
        let last = frames.words(frames.count() - 1)?;
        let device = matches!(self.tool, Tool::Log(_)) || Frames::device(&last) > 0;
        Ok(device && first.iter().take(vcpus).all(|word| *word > 0))
    }

    /// Logging is on from here: the device may write nothing without being written down.
    fn begin_copy(&self) -> Result<Option<Copy>, PrimaryError> {
        let Tool::Log(_) = self.tool else {
            return Ok(None);
        };
        let frames = self.primary.frames();
        self.primary.take(frames.all(), || Ok(()))?;
        Ok(Some(Copy::new(frames)?))
    }

    /// Nobody writes any more: the last of the log, then logging ends.
    fn end_copy(&self, mut copy: Copy) -> Result<CopyCounts, PrimaryError> {
        if let Tool::Log(log) = &self.tool {
            copy.update(&self.primary, log)?;
        }
        self.primary.give_all()?;
        copy.compare(self.primary.frames())
    }

    fn report(
        &self,
        config: &PrimaryConfig,
        run: &Run,
        beside: Beside,
    ) -> Result<PrimaryReport, PrimaryError> {
        let (primary, rounds) = (&self.primary, beside.rounds);
        Ok(PrimaryReport {
            config: *config,
            ended: beside.ended,
            elapsed: run.elapsed,
            tries: rounds.made,
            counts: primary.counts(),
            changed_while_taken: rounds.changed,
            replaced: rounds.replaced,
            intruded: rounds.intruded,
            copy: beside.copy,
            vcpus: self.vcpus(run)?,
            device_lost: self.device_lost(&beside.device)?,
            device: beside.device,
            notifications: primary.stage2().notifications(),
            smmu: primary.stage2().counts(),
            findings: primary.stage2().findings(),
        })
    }

    fn vcpus(&self, run: &Run) -> Result<Vec<VcpuStores>, PrimaryError> {
        let vcpus = run.results.iter().enumerate();
        let vcpus = vcpus.map(|(index, results)| self.vcpu(index, results.first()));
        vcpus.collect()
    }

    /// A vCPU counts in one page after the other, so its number says what each of them must hold.
    fn vcpu(&self, index: usize, result: Option<&OpResult>) -> Result<VcpuStores, PrimaryError> {
        let done = result.filter(|result| result.status == op::STATUS_DONE);
        let Some(made) = done.map(|result| result.value) else {
            return Ok(VcpuStores {
                made: None,
                lost: 0,
            });
        };
        let (frames, mut lost) = (self.primary.frames(), 0);
        let pages = self.vcpu_pages();
        let (each, rest) = (made / pages, made % pages);
        for page in 0..pages {
            let words = frames.words(page)?;
            let found = words.get(index).copied().unwrap_or(0);
            lost += (each + u64::from(page < rest)).abs_diff(found);
        }
        Ok(VcpuStores {
            made: Some(made),
            lost,
        })
    }

    fn device_lost(&self, device: &DeviceWork) -> Result<u64, PrimaryError> {
        let (frames, mut lost) = (self.primary.frames(), 0);
        for (page, made) in frames.all().zip(&device.writes) {
            lost += made.abs_diff(Frames::device(&frames.words(page)?));
        }
        Ok(lost)
    }
}

/// Starts a thread whose failure ends the run.
fn start<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    course: &'scope Course<'_>,
    name: &str,
    body: impl FnOnce() -> Result<R, PrimaryError> + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, Option<R>>, PrimaryError> {
    let body = || match body() {
        Ok(done) => Some(done),
        Err(error) => {
            course.failed(error);
            None
        }
    };
    let thread = Builder::new().name(name.into()).spawn_scoped(scope, body);
    thread.map_err(PrimaryError::system("a thread's start"))
}

/// What a thread came to; a panic in it goes on here.
fn joined<R>(thread: ScopedJoinHandle<'_, Option<R>>) -> Option<R> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
