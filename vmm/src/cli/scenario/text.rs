//! What came of running scenarios, as text.

use std::fmt::Write;

use notifier::explore::{Bound, Cell};
use notifier::scenario::tree::{Demand, Scope};

use super::batch::{All, Came, Done, Scenario};
use crate::live::scenario::{Batch, Condition, Cut, Judgement, Observed, Plan, Ran, View};

/// Outcomes that are told of a cell; more would not be read.
const OUTCOMES: usize = 24;

pub(super) fn batch(all: &All) -> String {
    let mut text = String::new();
    for scenario in &all.scenarios {
        for done in &scenario.cells {
            let _ = writeln!(text, "{}", cell(scenario, done, &all.batch));
        }
    }
    let _ = write!(text, "{}", summary(all));
    text
}

/// `upgrade: os none, hardware smmu`
pub(super) fn title(scenario: &str, cell: &Cell) -> String {
    let name = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let (os, hardware) = (name(&cell.os), name(&cell.hardware));
    format!("{scenario}: os {os}, hardware {hardware}")
}

fn cell(scenario: &Scenario, done: &Done, batch: &Batch) -> String {
    let mut text = format!("{}\n", title(&scenario.name, &done.cell));
    match &done.came {
        Came::NotBegun => text.push_str("not begun: interrupted\n"),
        Came::Refused(refusals) => {
            text.push_str("no machine here can run this:\n");
            for refusal in refusals {
                let _ = writeln!(text, "  {refusal}");
            }
        }
        Came::Ran {
            plan,
            ran,
            judgement,
        } => {
            let _ = writeln!(text, "{}", runs(plan, ran, batch));
            if let Some(cut) = &ran.cut {
                let _ = writeln!(text, "PARTIAL: {}", why(cut));
            }
            histogram(&mut text, judgement);
            for condition in &judgement.conditions {
                let _ = writeln!(text, "{}", seen(condition, ran.runs));
            }
            let _ = writeln!(text, "{}", soundness(judgement));
        }
    }
    text
}

fn runs(plan: &Plan, ran: &Ran, batch: &Batch) -> String {
    let seconds = ran.elapsed.as_secs_f64();
    let rate = if seconds > 0.0 {
        ran.runs as f64 / seconds
    } else {
        0.0
    };
    let (vcpus, seed) = (plan.vcpus(), batch.seed);
    let runs = counted(ran.runs, "run");
    let vcpus = counted(vcpus, "vCPU");
    format!("{runs} on {vcpus} in {seconds:.2} s, {rate:.0} a second; seed {seed}")
}

pub(super) fn counted(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Why not all runs were made.
pub(super) fn why(cut: &Cut) -> String {
    match cut {
        Cut::Interrupted => "interrupted".into(),
        Cut::Limit(limit) => format!("stopped after {:.1} s, the limit", limit.as_secs_f64()),
        Cut::Hangs { run, at } => {
            let at = at
                .iter()
                .map(|(agent, step)| format!("\n  {agent}: {step}"));
            let at: String = at.collect();
            format!("run {run} did not come to its end; everybody was stopped here:{at}")
        }
        Cut::Lost(stopped) => format!("a vCPU was lost: {stopped}"),
        Cut::Astray { vcpu, step } => {
            format!("vCPU {vcpu} went another way than the trace says: it is at \"{step}\"")
        }
        Cut::Refused(what) => format!("the payload refused: {what}"),
    }
}

fn histogram(text: &mut String, judgement: &Judgement) {
    let outcomes = &judgement.outcomes;
    let width = outcomes
        .iter()
        .map(|one| one.seen.count.to_string().len())
        .max();
    let width = width.unwrap_or(0).max("times".len());
    let _ = writeln!(text, "  {:>width$}  outcome", "times");
    for one in outcomes.iter().take(OUTCOMES) {
        let _ = writeln!(text, "  {:>width$}  {}", one.seen.count, outcome(one));
    }
    let more = outcomes.len().saturating_sub(OUTCOMES);
    if more > 0 {
        let runs: u64 = outcomes[OUTCOMES..].iter().map(|one| one.seen.count).sum();
        let _ = writeln!(text, "  {runs:>width$}  in {more} other outcomes");
    }
}

pub(super) fn outcome(one: &Observed) -> String {
    let values = one.values.iter();
    let values: Vec<String> = values
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let mut text = values.join(", ");
    if !one.broken.is_empty() {
        let _ = write!(text, "; breaks {}", one.broken.join(", "));
    }
    if one.allowed == Some(false) {
        let _ = write!(text, "  <- NOT ALLOWED, first in run {}", one.seen.first);
    }
    text
}

/// `no-lost-dirty, forbidden in the end: not met in 10000 runs; the explorer: holds`
fn seen(condition: &Condition, runs: u64) -> String {
    let demand = asked(condition);
    let met = match (&condition.view, condition.met) {
        (View::Not(why), _) => format!("not seen here: {why}"),
        (View::AtTheEnd, met) => format!("met at the end of {met} of {}", counted(runs, "run")),
        (View::BySteps, met) => format!("met by a step of {met} of {}", counted(runs, "run")),
    };
    let verdict = condition
        .verdict
        .map(|verdict| format!("; the explorer: {verdict}"));
    let name = &condition.name;
    format!("{name}, {demand}: {met}{}", verdict.unwrap_or_default())
}

/// What a condition asks: `forbidden in the end`.
pub(super) fn asked(condition: &Condition) -> String {
    let demand = match condition.demand {
        Demand::Forbidden => "forbidden",
        Demand::Allowed => "allowed",
        Demand::Required => "required",
        Demand::Progress => "progress",
    };
    let when = match (condition.demand, condition.scope) {
        (Demand::Progress, _) => "",
        (_, Scope::Finally) => " in the end",
        (_, Scope::Ever) => " ever",
    };
    format!("{demand}{when}")
}

pub(super) fn soundness(judgement: &Judgement) -> String {
    let allowed = match &judgement.allowed {
        Err(Bound::Interrupted) => return "not held against the explorer".into(),
        Err(_) => return "not held against the explorer, which did not come to an end".into(),
        Ok(allowed) => allowed,
    };
    let outcomes = match judgement.unsound().count() {
        _ if judgement.outcomes.is_empty() => {
            "no run came to its end: there is nothing to judge".into()
        }
        0 => format!(
            "sound: every outcome is one that the explorer allows; {} of its {allowed} were seen",
            judgement.covered
        ),
        unsound => format!(
            "UNSOUND: {} that the explorer does not allow: the model is wrong, or the hardware",
            counted(unsound as u64, "outcome")
        ),
    };
    let hang = match judgement.hang_is_allowed {
        None => "",
        Some(true) => "\nthe explorer knows of runs that need not end: this is one",
        Some(false) => {
            "\nUNSOUND: by the explorer every run can come to its end, and this one did not: a mistake, \
             or a host that had no time for it"
        }
    };
    format!("{outcomes}{hang}")
}

fn summary(all: &All) -> String {
    let (mut ran, mut refused, mut unsound) = (0, 0, 0);
    for done in all.cells() {
        match &done.came {
            Came::Ran { judgement, .. } => {
                ran += 1;
                unsound += u64::from(!judgement.is_sound());
            }
            Came::Refused(_) => refused += 1,
            Came::NotBegun => {}
        }
    }
    let of = all.cells().count();
    format!(
        "{ran} of {} run on KVM ({}), {refused} refused, {unsound} not as the explorer allows",
        counted(of as u64, "cell"),
        all.kvm
    )
}
