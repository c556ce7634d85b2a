//! Ways to what was seen broken, for replays.

use std::ops::ControlFlow;

use notifier::explore::{self, Breach, Limits, Progress, Verdict};

use super::super::exit::Exit;
use super::super::explore::{Loaded, Sink, way};
use super::Refused;
use super::batch::{Came, Done, Scenario};
use crate::live::trace::{TraceFile, TracedCell, TracedScenario, TracedVerdict, TracedViolation};

/// Finds the ways, and writes them.
pub(super) fn write(
    sink: Sink,
    loaded: Vec<Loaded>,
    scenarios: &[Scenario],
) -> Result<(), Refused> {
    let traced = loaded.into_iter().zip(scenarios).map(|(loaded, scenario)| {
        let cells = scenario.cells.iter().map(|done| cell(&loaded, done));
        let cells = cells.collect::<Result<Vec<_>, Refused>>()?;
        Ok(TracedScenario {
            text: loaded.text,
            checked: loaded.checked,
            cells: cells
                .into_iter()
                .filter(|cell| !cell.violations.is_empty())
                .collect(),
        })
    });
    let scenarios = traced.collect::<Result<Vec<_>, Refused>>()?;
    let saved = sink.save(&TraceFile { scenarios });
    saved.map_err(|message| (message, Exit::Usage))
}

fn cell(loaded: &Loaded, done: &Done) -> Result<TracedCell, Refused> {
    let broken = broken(done);
    let breaches: Vec<Breach> = broken.iter().map(|(breach, _)| breach.clone()).collect();
    let mut watch = |_: Progress| ControlFlow::Continue(());
    let found = match breaches.is_empty() {
        true => Ok(Vec::new()),
        false => explore::forced(
            &loaded.checked,
            &done.cell,
            &breaches,
            &Limits::default(),
            &mut watch,
        ),
    };
    let found = found.map_err(|error| {
        let located = error.locate(&loaded.file, &loaded.text);
        (located.to_string(), Exit::Usage)
    })?;
    let violations = broken.into_iter().zip(found);
    let violations = violations.map(|((breach, verdict), forced)| TracedViolation {
        breach,
        verdict,
        way: way(forced, None),
    });
    Ok(TracedCell {
        cell: done.cell.clone(),
        violations: violations.collect(),
    })
}

/// What was seen broken; of a run that did not end, the conditions that say why it need not.
fn broken(done: &Done) -> Vec<(Breach, TracedVerdict)> {
    let Came::Ran { ran, judgement, .. } = &done.came else {
        return Vec::new();
    };
    let conditions = judgement.conditions.iter().filter_map(|condition| {
        let verdict = match condition.verdict {
            Some(Verdict::Livelock) if ran.hangs() => TracedVerdict::Livelock,
            _ if condition.is_violated(ran.runs) => TracedVerdict::Violated,
            _ => return None,
        };
        Some((Breach::Condition(condition.name.clone()), verdict))
    });
    conditions.collect()
}
