//! Scenarios of the scenario language on real vCPUs.

mod faults;
mod flushes;
mod matrix;
mod refusals;
mod replays;
mod seeds;
mod soundness;

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use kvm_ioctls::Kvm;
use notifier::explore::{Bound, Cell, Limits, Outcomes, Progress, embedded};
use notifier::scenario::{Checked, check, parse};
use tests::host::is_emulated;
use vmm::host::KvmKind;
use vmm::live::scenario::{Batch, Judgement, NoPlan, Ordering, Plan, Ran, allowed, judge};

/// A scenario from its text.
fn checked(text: &str) -> Checked {
    let checked = parse(text).and_then(check);
    checked.unwrap_or_else(|error| panic!("{}", error.locate("text", text)))
}

/// One of those that come with the command.
fn scenario(name: &str) -> Checked {
    checked(embedded(name).expect("it comes with the command"))
}

fn cell(os: &str, hardware: Option<&str>) -> Cell {
    Cell {
        os: Some(os.to_owned()),
        hardware: hardware.map(str::to_owned),
    }
}

/// As a title.
fn told(name: &str, cell: &Cell) -> String {
    let part = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    format!("{name} {} {}", part(&cell.os), part(&cell.hardware))
}

/// The plan of the only cell of a scenario that can be run.
fn plan(checked: &Checked) -> Plan {
    Plan::new(checked, &Cell::all(checked)[0], Ordering::Sequential).expect("it can be run")
}

/// So many runs here: an emulated processor is 8 to 16 times slower.
fn runs(often: u64) -> u64 {
    match is_emulated() {
        true => often / 20,
        false => often,
    }
}

/// Whether the host has one shadow of the guest's page tables, and two vCPUs that run at once.
fn is_pvm() -> bool {
    KvmKind::detect() == KvmKind::Pvm
}

fn ran(kvm: &Kvm, plan: &Plan, batch: &Batch) -> Ran {
    let going_on = AtomicBool::new(false);
    batch.run(kvm, plan, &going_on).expect("there is a machine")
}

/// What the explorer allows; the search comes to its end.
fn permitted(checked: &Checked, cell: &Cell, plan: &Plan) -> Outcomes {
    let mut watch = |_: Progress| ControlFlow::Continue(());
    let found: Result<Outcomes, Bound> =
        allowed(checked, cell, plan, &Limits::default(), &mut watch).expect("it can be explored");
    found.expect("within the limits")
}

/// Runs a cell and judges it.
fn judged(kvm: &Kvm, (checked, cell): (&Checked, &Cell), batch: &Batch) -> (Ran, Judgement) {
    let plan = Plan::new(checked, cell, Ordering::Sequential).expect("it can be run");
    let ran = ran(kvm, &plan, batch);
    let judgement = judge(&plan, &ran, Ok(&permitted(checked, cell, &plan)));
    (ran, judgement)
}

/// In how many runs what the condition asks about was so.
fn met(judgement: &Judgement, name: &str) -> u64 {
    let mut conditions = judgement.conditions.iter();
    conditions
        .find(|one| one.name == name)
        .expect("the file has it")
        .met
}

/// The cells of a scenario that a machine can run.
fn runnable(checked: &Checked) -> Vec<(Cell, Plan)> {
    let cells = Cell::all(checked).into_iter();
    let plans = cells.filter_map(
        |cell| match Plan::new(checked, &cell, Ordering::Sequential) {
            Ok(plan) => Some((cell, plan)),
            Err(NoPlan::Refused(refusals)) => {
                assert!(!refusals.is_empty(), "a refusal without a reason");
                None
            }
            Err(NoPlan::Scenario(error)) => panic!("{cell:?}: {error}"),
        },
    );
    plans.collect()
}
