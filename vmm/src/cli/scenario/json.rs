//! What came of running scenarios, as JSON.

use notifier::scenario::tree::{Demand, Scope};
use serde::Serialize;

use super::batch::{All, Came, Done};
use super::text::why;
use crate::live::scenario::{Condition, Observed, View};

#[derive(Serialize)]
struct Document<'a> {
    kvm: String,
    runs: u64,
    seed: u64,
    scenarios: Vec<ScenarioDocument<'a>>,
}

#[derive(Serialize)]
struct ScenarioDocument<'a> {
    scenario: &'a str,
    about: &'a str,
    cells: Vec<CellDocument<'a>>,
}

#[derive(Serialize)]
struct CellDocument<'a> {
    os: Option<&'a str>,
    hardware: Option<&'a str>,
    /// `ran`, `refused` or `not begun`.
    state: &'static str,
    refusals: Vec<RefusalDocument<'a>>,
    #[serde(flatten)]
    ran: Option<RanDocument<'a>>,
}

#[derive(Serialize)]
struct RefusalDocument<'a> {
    agent: Option<&'a str>,
    step: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct RanDocument<'a> {
    vcpus: u64,
    runs: u64,
    seconds: f64,
    /// Why not all runs were made, or null.
    partial: Option<String>,
    outcomes: Vec<OutcomeDocument<'a>>,
    conditions: Vec<ConditionDocument<'a>>,
    /// Whether every outcome is allowed; null if that is not known.
    sound: Option<bool>,
    /// Whether the explorer knows of runs that need not end; null if all did, or if it was not asked.
    hang_is_allowed: Option<bool>,
    /// How many outcomes the explorer allows, or null.
    allowed: Option<usize>,
    /// How many of those were seen.
    covered: usize,
}

#[derive(Serialize)]
struct OutcomeDocument<'a> {
    count: u64,
    first: u64,
    values: Vec<(&'a str, &'a str)>,
    breaks: &'a [String],
    allowed: Option<bool>,
}

#[derive(Serialize)]
struct ConditionDocument<'a> {
    condition: &'a str,
    demand: &'static str,
    scope: &'static str,
    /// `end`, `steps`, or null if it can't be seen.
    seen: Option<&'static str>,
    /// Why it can't, or null.
    reason: Option<&'a str>,
    met: u64,
    explorer: Option<String>,
}

pub(super) fn batch(all: &All) -> String {
    let scenarios = all.scenarios.iter().map(|scenario| ScenarioDocument {
        scenario: &scenario.name,
        about: &scenario.about,
        cells: scenario.cells.iter().map(cell).collect(),
    });
    crate::report::json::print(&Document {
        kvm: all.kvm.to_string(),
        runs: all.batch.runs,
        seed: all.batch.seed,
        scenarios: scenarios.collect(),
    })
}

fn cell(done: &Done) -> CellDocument<'_> {
    let (state, refusals) = match &done.came {
        Came::Ran { .. } => ("ran", &[][..]),
        Came::Refused(refusals) => ("refused", &refusals[..]),
        Came::NotBegun => ("not begun", &[][..]),
    };
    let refusals = refusals.iter().map(|refusal| RefusalDocument {
        agent: refusal.agent.as_deref(),
        step: &refusal.step,
        why: &refusal.why,
    });
    CellDocument {
        os: done.cell.os.as_deref(),
        hardware: done.cell.hardware.as_deref(),
        state,
        refusals: refusals.collect(),
        ran: ran(&done.came),
    }
}

fn ran(came: &Came) -> Option<RanDocument<'_>> {
    let Came::Ran {
        plan,
        ran,
        judgement,
    } = came
    else {
        return None;
    };
    let allowed = judgement.allowed.as_ref().ok().copied();
    Some(RanDocument {
        vcpus: plan.vcpus(),
        runs: ran.runs,
        seconds: ran.elapsed.as_secs_f64(),
        partial: ran.cut.as_ref().map(why),
        outcomes: judgement.outcomes.iter().map(outcome).collect(),
        conditions: judgement.conditions.iter().map(condition).collect(),
        sound: allowed.map(|_| judgement.is_sound()),
        hang_is_allowed: judgement.hang_is_allowed,
        allowed,
        covered: judgement.covered,
    })
}

fn outcome(one: &Observed) -> OutcomeDocument<'_> {
    let values = one.values.iter();
    OutcomeDocument {
        count: one.seen.count,
        first: one.seen.first,
        values: values
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
        breaks: &one.broken,
        allowed: one.allowed,
    }
}

fn condition(one: &Condition) -> ConditionDocument<'_> {
    let (seen, reason) = match &one.view {
        View::AtTheEnd => (Some("end"), None),
        View::BySteps => (Some("steps"), None),
        View::Not(why) => (None, Some(why.as_str())),
    };
    ConditionDocument {
        condition: &one.name,
        demand: match one.demand {
            Demand::Forbidden => "forbidden",
            Demand::Allowed => "allowed",
            Demand::Required => "required",
            Demand::Progress => "progress",
        },
        scope: match one.scope {
            Scope::Ever => "ever",
            Scope::Finally => "finally",
        },
        seen,
        reason,
        met: one.met,
        explorer: one.verdict.map(|verdict| verdict.to_string()),
    }
}
