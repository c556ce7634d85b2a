//! Many runs of a plan.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::thread;
use std::time::{Duration, Instant};

use guest::abi::op::{STATUS_DONE, STATUS_NOT_RUN};
use kvm_ioctls::Kvm;

use super::load::{self, Dice};
use super::outcome::Packed;
use super::plan::Plan;
use crate::driver::SmmuDriver;
use crate::machine::{Machine, MachineConfig, MachineError, Run, Stopped, Stopper};
use crate::memory::{MemoryConfig, Ram};
use crate::policy::UpgradePolicy;
use crate::tracker::TrackerKind;

/// How a plan is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How often.
    pub runs: u64,
    /// What is random depends on this and on a run's number.
    pub seed: u64,
    /// Of so many steps one is delayed; 0 for none.
    pub delay_one_in: u64,
    /// When it is stopped, finished or not.
    pub limit: Duration,
    /// For how long no run may come to its end.
    pub patience: Duration,
}

impl Default for Batch {
    /// 10,000 runs in a minute at most, a pause at one step in four, half a minute for a run: what comes to
    /// its end does so in far less, but not on a host that has no time for it.
    fn default() -> Self {
        Self {
            runs: 10_000,
            seed: 1,
            delay_one_in: 4,
            limit: Duration::from_secs(60),
            patience: Duration::from_secs(30),
        }
    }
}

/// How often an outcome was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// In so many runs.
    pub count: u64,
    /// The number of the first of them.
    pub first: u64,
}

/// What came of a batch.
#[derive(Debug)]
pub struct Ran {
    /// Runs that came to their end.
    pub runs: u64,
    /// The outcomes.
    pub(super) outcomes: BTreeMap<Packed, Seen>,
    /// Why it did not make all runs, if it did not.
    pub cut: Option<Cut>,
    /// From the first vCPU's start to the last one's end; the machines' making is not in it.
    pub elapsed: Duration,
}

impl Ran {
    /// Whether a run did not come to its end.
    pub fn hangs(&self) -> bool {
        matches!(self.cut, Some(Cut::Hangs { .. }))
    }
}

/// Why a batch did not make all its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Whoever asked for it stopped it.
    Interrupted,
    /// Time was up.
    Limit(Duration),
    /// A run did not come to its end: which, and where each agent was.
    Hangs {
        /// Its number.
        run: u64,
        /// Agent and step.
        at: Vec<(String, String)>,
    },
    /// A vCPU was lost.
    Lost(Stopped),
    /// In a replay, a vCPU that was elsewhere than at its turn.
    Astray {
        /// Which.
        vcpu: u64,
        /// Where it was.
        step: String,
    },
    /// The payload found something wrong with the code that it was given.
    Refused(String),
}

/// The most pauses between two steps, in each quarter of a batch: what happens within some instructions
/// of each other is missed by longer ones, and what is far apart by shorter.
const DELAYS: [u64; 4] = [0, 8, 40, 200];

/// How long a batch that is told to end may take to do so.
const GRACE: Duration = Duration::from_millis(500);

/// Between two looks at how far a batch has come.
const LOOK: Duration = Duration::from_millis(20);

impl Batch {
    /// Runs `plan`. `interrupted` ends it, and what was seen until then is the result.
    ///
    /// # Errors
    /// [`MachineError`] if there is no machine.
    pub fn run(
        &self,
        kvm: &Kvm,
        plan: &Plan,
        interrupted: &AtomicBool,
    ) -> Result<Ran, MachineError> {
        let began = Instant::now();
        let mut ran = Ran {
            runs: 0,
            outcomes: BTreeMap::new(),
            cut: None,
            elapsed: Duration::ZERO,
        };
        // A histogram that is full ends a machine's part of the batch, and the next one goes on.
        while ran.runs < self.runs && ran.cut.is_none() {
            let left = self.limit.saturating_sub(began.elapsed());
            if left.is_zero() {
                ran.cut = Some(Cut::Limit(self.limit));
            } else {
                self.part(kvm, (plan, left), interrupted, &mut ran)?;
            }
        }
        Ok(ran)
    }

    /// The most pauses between two steps of this run, and the first run with another number of them.
    fn delay(&self, run: u64) -> (u64, u64) {
        let quarters = (1..).zip(DELAYS);
        let mut quarters = quarters.map(|(number, delay)| (delay, self.runs * number / 4));
        let quarter = quarters.find(|(_, end)| run < *end);
        quarter.unwrap_or((0, self.runs))
    }

    fn part(
        &self,
        kvm: &Kvm,
        (plan, left): (&Plan, Duration),
        interrupted: &AtomicBool,
        ran: &mut Ran,
    ) -> Result<(), MachineError> {
        let machine = Machine::unwatched(kvm, &self.config(plan, left))?;
        let (delay, end) = self.delay(ran.runs);
        let dice = Dice {
            seed: self.seed,
            first: ran.runs,
            runs: end - ran.runs,
            delay,
            delay_one_in: self.delay_one_in,
            patience: load::PATIENCE,
        };
        load::load(&machine, plan, load::control(&machine, plan, &dice))?;
        let ram = machine.ram().clone();
        let (run, cut) = self.watched(kvm, machine, (plan, left), interrupted)?;
        let control = load::control_of(&ram);
        for (key, count, first) in load::histogram(&ram, control.outcomes) {
            let new = Seen { count: 0, first };
            ran.outcomes.entry(key).or_insert(new).count += count;
        }
        ran.runs += control.done;
        ran.elapsed += run.elapsed;
        ran.cut = cut;
        if ran.cut.is_none() && control.done == 0 {
            let why = "the payload made no run, and does not say why";
            ran.cut = Some(Cut::Refused(why.into()));
        }
        Ok(())
    }
}

impl Batch {
    /// The machine that a plan takes.
    pub(super) fn config(&self, plan: &Plan, limit: Duration) -> MachineConfig<'static> {
        MachineConfig {
            vcpus: plan.vcpus(),
            memory: MemoryConfig::default(),
            tracker: TrackerKind::Announce,
            // Its driver is told of events and of calls for secondary TLBs; the scenario says which.
            policy: UpgradePolicy::Range,
            smmu: plan.knobs,
            driver: SmmuDriver::Vmm,
            image: guest::images::PAYLOAD,
            limit: limit + 2 * GRACE,
        }
    }

    /// Why a run of a machine was not carried to its end, if it was not.
    fn cut(&self, plan: &Plan, (run, ram): (&Run, &Ram), ended: Option<Ended>) -> Option<Cut> {
        let lost = run
            .stopped
            .iter()
            .find(|stopped| matches!(stopped, Stopped::Vcpu(..)));
        if let Some(lost) = lost {
            return Some(Cut::Lost(lost.clone()));
        }
        match ended {
            Some(Ended::Interrupted) => Some(Cut::Interrupted),
            Some(Ended::Limit) => Some(Cut::Limit(self.limit)),
            Some(Ended::Hangs) => Some(Cut::Hangs {
                run: load::standing(ram, 0).run,
                at: standings(plan, ram),
            }),
            None => refused(plan, run),
        }
    }

    /// Runs a machine that is loaded, under the eyes of a guard; why it was cut, if it was.
    pub(super) fn watched(
        &self,
        kvm: &Kvm,
        machine: Machine,
        (plan, left): (&Plan, Duration),
        interrupted: &AtomicBool,
    ) -> Result<(Run, Option<Cut>), MachineError> {
        let (ram, stopper) = (machine.ram().clone(), machine.stopper()?);
        let over = AtomicBool::new(false);
        let (run, ended) = thread::scope(|scope| {
            let guard = Guard {
                batch: self,
                left,
                ram: &ram,
                stopper,
                over: &over,
                interrupted,
            };
            let guard = scope.spawn(move || guard.watch());
            let run = machine.run(kvm);
            over.store(true, Atomic::Release);
            (run, guard.join().unwrap_or(None))
        });
        let run = run?;
        if let Some(stopped) = &run.stopped {
            log::info!("{stopped}");
        }
        let cut = self.cut(plan, (&run, &ram), ended);
        Ok((run, cut))
    }
}

/// Watches a batch from a thread of its own.
struct Guard<'a> {
    batch: &'a Batch,
    left: Duration,
    ram: &'a Ram,
    stopper: Stopper,
    over: &'a AtomicBool,
    interrupted: &'a AtomicBool,
}

/// Why the guard ended a batch.
enum Ended {
    Interrupted,
    Limit,
    Hangs,
}

impl Guard<'_> {
    fn watch(&self) -> Option<Ended> {
        let began = Instant::now();
        let (mut done, mut since) = (0, began);
        while !self.over.load(Atomic::Acquire) {
            let control = load::control_of(self.ram);
            let now = control.done + control.turn;
            if now != done {
                (done, since) = (now, Instant::now());
            }
            let ended = if self.interrupted.load(Atomic::Relaxed) {
                Some(Ended::Interrupted)
            } else if began.elapsed() >= self.left {
                Some(Ended::Limit)
            } else {
                let hangs = since.elapsed() >= self.batch.patience;
                hangs.then_some(Ended::Hangs)
            };
            if ended.is_some() {
                self.end();
                return ended;
            }
            thread::sleep(LOOK);
        }
        None
    }

    /// Has the payload end the batch; if it does not, the vCPUs are stopped where they are.
    fn end(&self) {
        load::stop(self.ram);
        let told = Instant::now();
        while !self.over.load(Atomic::Acquire) {
            if told.elapsed() >= GRACE {
                self.stopper.stop();
                return;
            }
            thread::sleep(LOOK);
        }
    }
}

/// What a vCPU would not carry out: a mistake of the lowering, told so that it can be found.
fn refused(plan: &Plan, run: &Run) -> Option<Cut> {
    let first = run
        .results
        .iter()
        .map(|results| results.first().copied().unwrap_or_default());
    let mut wrong = (0..).zip(first);
    let good = [STATUS_DONE, STATUS_NOT_RUN];
    let (vcpu, result) = wrong.find(|(_, result)| !good.contains(&result.status))?;
    let (status, at) = (result.status, result.instruction);
    let code: Option<&Vec<u64>> = plan.code.get(vcpu);
    let word = code
        .zip(usize::try_from(at).ok())
        .and_then(|(code, at)| code.get(at));
    let word = word.copied().unwrap_or_default();
    Some(Cut::Refused(format!(
        "vCPU {vcpu}, status {status}, word {at} of its code: {word:#x}"
    )))
}

/// Where each agent is, as a trace would tell it.
fn standings(plan: &Plan, ram: &Ram) -> Vec<(String, String)> {
    let agents = (0..).zip(&plan.program.agents);
    let standings = agents.map(|(vcpu, agent)| {
        let step = load::standing(ram, vcpu).step;
        (agent.clone(), plan.step_words(step).to_owned())
    });
    standings.collect()
}
