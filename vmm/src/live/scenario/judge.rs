//! What was seen, held against what the explorer allows.

use std::ops::ControlFlow;

use notifier::explore::program::{Ex, Field};
use notifier::explore::{self, Bound, Cell, Limits, Outcomes, Progress, Verdict};
use notifier::scenario::tree::{Demand, Scope};
use notifier::scenario::{Checked, Diagnostic};

use super::batch::{Ran, Seen};
use super::plan::Plan;

/// One outcome, for who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Name and value of each variable, as a trace shows them.
    pub values: Vec<(String, String)>,
    /// How often.
    pub seen: Seen,
    /// The conditions that steps of these runs broke.
    pub broken: Vec<String>,
    /// Whether the explorer allows it; `None` if it was not asked, or did not come to an end.
    pub allowed: Option<bool>,
}

/// A condition as the machine saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its name.
    pub name: String,
    /// What it means.
    pub about: String,
    /// What is asked for.
    pub demand: Demand,
    /// Of which states.
    pub scope: Scope,
    /// How the machine could see it.
    pub view: View,
    /// In how many runs what it asks about was so, at the end or by a step.
    pub met: u64,
    /// What the explorer says.
    pub verdict: Option<Verdict>,
}

impl Condition {
    /// Whether what was seen in so many runs breaks it. What is allowed, or to be reached, need not be
    /// seen.
    pub fn is_violated(&self, runs: u64) -> bool {
        match (self.demand, &self.view) {
            (_, View::Not(_)) | (Demand::Allowed | Demand::Progress, _) => false,
            (Demand::Forbidden, _) => self.met > 0,
            (Demand::Required, _) => self.met < runs,
        }
    }
}

/// How a machine can see a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// In the state at the end of each run; states before are not looked at.
    AtTheEnd,
    /// By the steps that break it.
    BySteps,
    /// Not at all, with the reason.
    Not(String),
}

/// A batch, judged.
#[derive(Debug)]
pub struct Judgement {
    /// Every outcome, the most frequent first.
    pub outcomes: Vec<Observed>,
    /// Every condition of the file.
    pub conditions: Vec<Condition>,
    /// How many outcomes the explorer allows; why that is not known.
    pub allowed: Result<usize, Bound>,
    /// How many of those were seen.
    pub covered: usize,
    /// Of a run that did not come to its end: whether the explorer knows of one that need not. `None` if
    /// every run did, or if that is not known.
    pub hang_is_allowed: Option<bool>,
}

impl Judgement {
    /// What was seen and is not allowed; nothing if it is not known what is.
    pub fn unsound(&self) -> impl Iterator<Item = &Observed> {
        let outcomes = self.outcomes.iter();
        outcomes.filter(|outcome| outcome.allowed == Some(false))
    }

    /// Whether everything that was seen is allowed, as far as that is known.
    pub fn is_sound(&self) -> bool {
        self.unsound().next().is_none() && self.hang_is_allowed != Some(false)
    }
}

/// What the explorer allows in a cell.
///
/// # Errors
/// As [`explore::outcomes`].
pub fn allowed(
    checked: &Checked,
    cell: &Cell,
    plan: &Plan,
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Result<Outcomes, Bound>, Diagnostic> {
    explore::outcomes(checked, cell, &plan.visible(), limits, watch)
}

/// Judges a batch.
pub fn judge(plan: &Plan, ran: &Ran, allowed: Result<&Outcomes, Bound>) -> Judgement {
    let mut outcomes: Vec<Observed> = ran
        .outcomes
        .iter()
        .map(|(key, seen)| observed(plan, key, *seen, allowed.ok()))
        .collect();
    outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.seen.count));
    let covered = allowed.map_or(0, |allowed| {
        let seen: std::collections::BTreeSet<Vec<u64>> = ran
            .outcomes
            .keys()
            .map(|key| plan.key.values(key))
            .collect();
        let seen = seen
            .iter()
            .filter(|seen| allowed.finals.contains(seen.as_slice()));
        seen.count()
    });
    Judgement {
        outcomes,
        conditions: conditions(plan, ran, allowed.ok()),
        allowed: allowed.map(|allowed| allowed.finals.len()),
        covered,
        hang_is_allowed: allowed
            .ok()
            .filter(|_| ran.hangs() && all_events_happen(plan))
            .map(may_hang),
    }
}

/// Whether machines make all of the scenario's events happen: somebody may wait for another one.
fn all_events_happen(plan: &Plan) -> bool {
    let mut events = 0..plan.program.events.len();
    events.all(|event| plan.agent_of_event(event).is_some())
}

/// Whether somebody can wait for ever, or never succeed.
pub fn may_hang(allowed: &Outcomes) -> bool {
    let mut conditions = allowed.conditions.iter();
    allowed.deadlock || conditions.any(|one| one.verdict == Verdict::Livelock)
}

fn observed(
    plan: &Plan,
    key: &super::outcome::Packed,
    seen: Seen,
    allowed: Option<&Outcomes>,
) -> Observed {
    let values = plan.key.values(key);
    let broken = plan.key.broken_in(key);
    let holds = |property: usize| {
        let judged = allowed.and_then(|allowed| allowed.conditions.get(property));
        judged.is_some_and(|judged| judged.verdict == Verdict::Holds)
    };
    let allowed = allowed.map(|allowed| {
        let value = allowed.finals.contains(values.as_slice());
        value && !broken.iter().any(|property| holds(*property))
    });
    let shown = plan.key.fields().into_iter().zip(values);
    let shown = shown.filter_map(|(field, value)| {
        let mut all = plan.program.shown.iter();
        let one = all.find(|one| one.field == field)?;
        let shown = plan.program.show(one.kind, one.most, value);
        Some((one.name.clone(), shown))
    });
    let name = |property: &usize| plan.program.properties[*property].name.clone();
    Observed {
        values: shown.collect(),
        seen,
        broken: broken.iter().map(name).collect(),
        allowed,
    }
}

fn conditions(plan: &Plan, ran: &Ran, allowed: Option<&Outcomes>) -> Vec<Condition> {
    let properties = plan.program.properties.iter().enumerate();
    let conditions = properties.map(|(number, property)| {
        let view = view(plan, number);
        let met = ran.outcomes.iter().filter(|(key, _)| match &view {
            View::AtTheEnd => {
                let values: Vec<(Field, u64)> = plan
                    .key
                    .fields()
                    .into_iter()
                    .zip(plan.key.values(key))
                    .collect();
                let asked = property.condition.as_ref();
                asked.is_some_and(|asked| plan.program.evaluate(asked, &values) != 0)
            }
            View::BySteps => plan.key.broken_in(key).contains(&number),
            View::Not(_) => false,
        });
        Condition {
            name: property.name.clone(),
            about: property.about.clone(),
            demand: property.demand,
            scope: property.scope,
            met: met.map(|(_, seen)| seen.count).sum(),
            verdict: allowed
                .and_then(|allowed| allowed.conditions.get(number))
                .map(|judged| judged.verdict),
            view,
        }
    });
    conditions.collect()
}

/// The conditions on states that are not as they should be where the visible variables have these
/// values; `ends` where all agents are done.
pub(super) fn broken_states(plan: &Plan, values: &[u64], ends: bool) -> Vec<String> {
    let values: Vec<(Field, u64)> = plan
        .key
        .fields()
        .into_iter()
        .zip(values.iter().copied())
        .collect();
    let properties = plan.program.properties.iter().enumerate();
    let broken = properties.filter(|(number, property)| {
        let asked = property.scope == Scope::Ever || ends;
        let seen = view(plan, *number) == View::AtTheEnd;
        let Some(condition) = property.condition.as_ref().filter(|_| asked && seen) else {
            return false;
        };
        let met = plan.program.evaluate(condition, &values) != 0;
        match property.demand {
            Demand::Forbidden => met,
            Demand::Required => !met,
            Demand::Allowed | Demand::Progress => false,
        }
    });
    broken.map(|(_, property)| property.name.clone()).collect()
}

pub(super) fn view(plan: &Plan, number: usize) -> View {
    let property = &plan.program.properties[number];
    let Some(condition) = &property.condition else {
        let mut unwatched = plan.unwatched.iter();
        let why = unwatched.find(|(name, _)| *name == property.name);
        return why.map_or(View::BySteps, |(_, why)| View::Not(why.clone()));
    };
    let known = plan.key.fields();
    let mut hidden = None;
    condition.reads(&mut |field| {
        if !known.contains(&field) {
            hidden = hidden.or(Some(field));
        }
    });
    let mut of_agents = false;
    condition.visit(&mut |part| of_agents |= matches!(part, Ex::AtBoundary(_)));
    match hidden {
        Some(field) => {
            let name = super::lowering::name_of(&plan.program, field);
            View::Not(format!("it looks at `{name}`, which can't be looked at"))
        }
        None if of_agents => View::Not("it asks whether a CPU is between two instructions".into()),
        None => View::AtTheEnd,
    }
}
