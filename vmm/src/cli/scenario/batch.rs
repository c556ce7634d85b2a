//! Running scenarios, and the exit code of what came of it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kvm_ioctls::Kvm;
use notifier::explore::{Bound, Cell, Limits};
use notifier::scenario::Checked;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::super::args::Setup;
use super::super::exit::Exit;
use super::super::explore::{Loaded, Sink};
use super::super::outputs::Outputs;
use super::arguments::Running;
use super::{Refused, Told, files_written, found, json, loaded, open, page, text};
use crate::host::{self, KvmKind};
use crate::live::scenario::{
    Batch, Judgement, NoPlan, Plan, Ran, Refusal, allowed, judge, may_hang,
};
use crate::machine::MachineError;

/// As a shell tells of a command that a signal ended.
const KILLED: i32 = 130;

/// One cell, run or refused.
pub(super) struct Done {
    pub(super) cell: Cell,
    pub(super) came: Came,
}

/// What came of a cell.
pub(super) enum Came {
    /// It was run.
    Ran {
        plan: Box<Plan>,
        ran: Ran,
        judgement: Judgement,
    },
    /// No machine here can run it.
    Refused(Vec<Refusal>),
    /// The command was interrupted before.
    NotBegun,
}

/// One scenario with its cells.
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) cells: Vec<Done>,
}

/// Everything that is told.
pub(super) struct All {
    pub(super) kvm: KvmKind,
    pub(super) batch: Batch,
    pub(super) scenarios: Vec<Scenario>,
}

pub(super) fn run(setup: &Setup, arguments: &Running, outputs: &Outputs) -> Told {
    if outputs.is_traced() {
        let message = "--trace is of one run, and this makes many: `replay` makes one, of a file that \
                       --trace-out writes";
        return Err((message.into(), Exit::Usage));
    }
    let files = open(outputs)?;
    let loaded = loaded(&arguments.targets, arguments.chosen())?;
    let sink = arguments.trace_out.as_deref().map(Sink::new);
    let sink = sink.transpose().map_err(|message| (message, Exit::Usage))?;
    let kvm = host::open(&setup.kvm)
        .map_err(MachineError::from)
        .map_err(host_error)?;
    let runner = Runner {
        kvm,
        arguments,
        batch: arguments.batch(setup.asked_limit),
        interrupted: interrupts(),
    };
    let scenarios = loaded.iter().map(|one| runner.scenario(one));
    let all = All {
        kvm: KvmKind::detect(),
        batch: runner.batch,
        scenarios: scenarios.collect::<Result<_, _>>()?,
    };
    let exit = exit(&all);
    let unwritten = sink.and_then(|sink| found::write(sink, loaded, &all.scenarios).err());
    let told = match setup.json {
        true => json::batch(&all),
        false => text::batch(&all),
    };
    let exit = files_written(
        files,
        page::batch(&all),
        exit,
        "one cell that is run: choose it by --os and --hardware",
    );
    Ok(match unwritten {
        // What was seen is not lost with the file.
        Some((message, exit)) => {
            log::error!("{message}");
            (told, exit)
        }
        None => (told, exit),
    })
}

pub(super) fn host_error(error: MachineError) -> Refused {
    let exit = Exit::from(&error);
    match exit {
        Exit::Host => (format!("this host can't run a guest: {error}"), exit),
        _ => (error.to_string(), exit),
    }
}

/// The first Ctrl-C or SIGTERM ends the batch, and what was seen is told; a second ends the command.
pub(super) fn interrupts() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag not yet set.
        let second = flag::register_conditional_shutdown(signal, KILLED, Arc::clone(&stop));
        let first = second.and_then(|_| flag::register(signal, Arc::clone(&stop)));
        if let Err(error) = first {
            log::warn!("a signal will end this without a report: {error}");
        }
    }
    stop
}

/// For how long no run may come to its end where the explorer knows of one that need not.
const EXPECTED: Duration = Duration::from_secs(3);

struct Runner<'a> {
    kvm: Kvm,
    arguments: &'a Running,
    batch: Batch,
    interrupted: Arc<AtomicBool>,
}

impl Runner<'_> {
    fn scenario(&self, loaded: &Loaded) -> Result<Scenario, Refused> {
        let scenario = &loaded.checked.scenario;
        let cells = loaded.cells.iter();
        let cells = cells.map(|cell| {
            let came = match self.is_interrupted() {
                true => Came::NotBegun,
                false => self.cell(loaded, cell)?,
            };
            Ok(Done {
                cell: cell.clone(),
                came,
            })
        });
        Ok(Scenario {
            name: scenario.name.text.clone(),
            about: scenario.about.clone(),
            cells: cells.collect::<Result<_, Refused>>()?,
        })
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn cell(&self, loaded: &Loaded, cell: &Cell) -> Result<Came, Refused> {
        let checked = &loaded.checked;
        let located = |error: notifier::scenario::Diagnostic| {
            let located = error.locate(&loaded.file, &loaded.text);
            (located.to_string(), Exit::Usage)
        };
        let plan = match Plan::new(checked, cell, self.arguments.ordering()) {
            Ok(plan) => plan,
            Err(NoPlan::Refused(refusals)) => return Ok(Came::Refused(refusals)),
            Err(NoPlan::Scenario(error)) => return Err(located(error)),
        };
        let allowed = self.allowed(checked, cell, &plan).map_err(located)?;
        let patience = match &allowed {
            // It is known what it will come to.
            Ok(allowed) if may_hang(allowed) => EXPECTED,
            _ => self.batch.patience,
        };
        let batch = Batch {
            patience,
            ..self.batch
        };
        let ran = batch
            .run(&self.kvm, &plan, &self.interrupted)
            .map_err(host_error)?;
        let judgement = judge(&plan, &ran, allowed.as_ref().map_err(|bound| *bound));
        Ok(Came::Ran {
            plan: Box::new(plan),
            ran,
            judgement,
        })
    }

    fn allowed(
        &self,
        checked: &Checked,
        cell: &Cell,
        plan: &Plan,
    ) -> Result<Result<notifier::explore::Outcomes, Bound>, notifier::scenario::Diagnostic> {
        if self.arguments.unjudged {
            return Ok(Err(Bound::Interrupted));
        }
        let mut watch = |_| match self.is_interrupted() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        allowed(checked, cell, plan, &Limits::default(), &mut watch)
    }
}

impl All {
    pub(super) fn cells(&self) -> impl Iterator<Item = &Done> {
        self.scenarios.iter().flat_map(|scenario| &scenario.cells)
    }
}

/// 0 if everything was run to its end, and nothing was seen that is forbidden or not allowed; 3 if no
/// machine here can run any of it.
fn exit(all: &All) -> Exit {
    let refused = all
        .cells()
        .filter(|done| matches!(done.came, Came::Refused(_)))
        .count();
    if refused > 0 && refused == all.cells().count() {
        return Exit::Host;
    }
    match all.cells().all(is_good) {
        true => Exit::Good,
        false => Exit::Bad,
    }
}

fn is_good(done: &Done) -> bool {
    match &done.came {
        Came::Ran { ran, judgement, .. } => {
            let mut conditions = judgement.conditions.iter();
            let violated = conditions.any(|condition| condition.is_violated(ran.runs));
            ran.cut.is_none() && !violated && judgement.is_sound()
        }
        Came::Refused(_) => true,
        Came::NotBegun => false,
    }
}
