//! What came of a scenario, as a page and a trace.

use super::batch::{All, Came, Done, Scenario};
use super::replay::{Made, Tried};
use super::text::{asked, counted, outcome, soundness, title, why};
use crate::live::scenario::{Condition, Judgement, Replayed, TurnSeen, View};
use crate::report::page::{
    self, Bar, Configuration, Histogram, Page, Standing, Table, Verdict, command_line,
};
use crate::report::timeline::{Slice, Timeline, Tone, Track};

/// Outcomes that a page shows at most.
const BARS: usize = 200;

/// Nanoseconds that a turn is drawn as long as: turns have an order and no time.
const TURN: u64 = 1000;

/// The page of a batch of one cell; `None` if there are several, or it was not run.
pub(super) fn batch(all: &All) -> Option<Page> {
    let [scenario] = &all.scenarios[..] else {
        return None;
    };
    let [done] = &scenario.cells[..] else {
        return None;
    };
    ran(all, scenario, done)
}

fn ran(all: &All, scenario: &Scenario, done: &Done) -> Option<Page> {
    let Came::Ran {
        plan,
        ran,
        judgement,
    } = &done.came
    else {
        return None;
    };
    let violated = |one: &&Condition| one.is_violated(ran.runs);
    let violated: Vec<&Condition> = judgement.conditions.iter().filter(violated).collect();
    let mut sentences = vec![scenario.about.clone()];
    sentences.extend(ran.cut.iter().map(|cut| format!("Partial: {}.", why(cut))));
    let broken = violated.iter().map(|one| {
        let (name, about) = (&one.name, &one.about);
        format!(
            "Seen broken in {}: {name} ({about}).",
            counted(one.met, "run")
        )
    });
    sentences.extend(broken);
    sentences.push(soundness(judgement));
    let good = ran.cut.is_none() && violated.is_empty() && judgement.is_sound();
    let word = match (judgement.is_sound(), violated.is_empty(), &ran.cut) {
        (false, ..) => "not as the explorer allows",
        (true, false, _) => "a violation was seen",
        (true, true, Some(_)) => "partial",
        (true, true, None) => "nothing forbidden was seen",
    };
    Some(Page {
        title: title(&scenario.name, &done.cell),
        verdict: Verdict {
            word: word.into(),
            standing: Standing::good_if(good),
            sentences,
        },
        configuration: configuration(vec![
            ("KVM".into(), all.kvm.to_string()),
            ("seed".into(), all.batch.seed.to_string()),
            ("vCPUs".into(), plan.vcpus().to_string()),
            ("runs".into(), ran.runs.to_string()),
        ]),
        histogram: Some(histogram(judgement, ran.runs)),
        conditions: judgement
            .conditions
            .iter()
            .map(|one| condition(one, ran.runs))
            .collect(),
        tables: vec![coverage(judgement)],
        timeline: None,
    })
}

fn configuration(mut entries: Vec<(String, String)>) -> Configuration {
    entries.push(("version".into(), env!("CARGO_PKG_VERSION").into()));
    Configuration {
        command: command_line(std::env::args_os()),
        entries,
    }
}

fn histogram(judgement: &Judgement, runs: u64) -> Histogram {
    let bars = judgement.outcomes.iter().take(BARS).map(|one| Bar {
        outcome: outcome(one),
        count: one.seen.count,
        allowed: one.allowed.map_or(Standing::Unknown, Standing::good_if),
    });
    Histogram {
        of: "what everything is in the end".into(),
        runs,
        bars: bars.collect(),
    }
}

fn condition(one: &Condition, runs: u64) -> page::Condition {
    let observed = match &one.view {
        View::Not(why) => format!("not seen here: {why}"),
        View::AtTheEnd => format!("met at the end of {} of {}", one.met, counted(runs, "run")),
        View::BySteps => format!("met by a step of {} of {}", one.met, counted(runs, "run")),
    };
    let verdict = one
        .verdict
        .map(|verdict| format!("; the explorer: {verdict}"));
    page::Condition {
        name: one.name.clone(),
        expected: format!("{}{}", asked(one), verdict.unwrap_or_default()),
        observed,
        holds: match one.view {
            View::Not(_) => Standing::Unknown,
            _ => Standing::good_if(!one.is_violated(runs)),
        },
    }
}

fn coverage(judgement: &Judgement) -> Table {
    let allowed = match &judgement.allowed {
        Ok(allowed) => allowed.to_string(),
        Err(_) => "not known".into(),
    };
    Table {
        title: "Held against the explorer".into(),
        rows: vec![
            ("outcomes that it allows".into(), allowed),
            ("of these seen".into(), judgement.covered.to_string()),
            (
                "seen and not allowed".into(),
                judgement.unsound().count().to_string(),
            ),
        ],
    }
}

/// The page of a replay of one violation; `None` if there are several, or it was not made.
pub(super) fn replayed(all: &[Tried]) -> Option<Page> {
    let [tried] = all else {
        return None;
    };
    let Made {
        replayed, times, ..
    } = tried.made()?;
    let agrees = tried.agrees();
    let word = match (agrees, replayed.shows(&tried.condition)) {
        (true, true) => "seen broken on the machine",
        (true, false) => "as the trace says",
        (false, _) => "not as the trace says",
    };
    let mut sentences = vec![tried.verdict(replayed)];
    sentences.extend(
        replayed
            .cut
            .iter()
            .map(|cut| format!("Partial: {}.", why(cut))),
    );
    Some(Page {
        title: format!("{}; {}", tried.title, tried.condition),
        verdict: Verdict {
            word: word.into(),
            standing: Standing::good_if(agrees && !replayed.shows(&tried.condition)),
            sentences,
        },
        configuration: configuration(vec![
            ("KVM".into(), crate::host::KvmKind::detect().to_string()),
            ("turns".into(), replayed.turns.len().to_string()),
            ("replayed".into(), counted((*times).into(), "time")),
        ]),
        histogram: None,
        conditions: Vec::new(),
        tables: vec![Table {
            title: "Time in the drawing".into(),
            rows: vec![(
                "one turn".into(),
                "1 microsecond: turns have an order, not a time".into(),
            )],
        }],
        timeline: Some(timeline(replayed, &tried.condition)),
    })
}

/// One slice for each turn, in the track of its agent's vCPU. A condition that a step breaks is broken by
/// the last.
fn timeline(replayed: &Replayed, condition: &str) -> Timeline {
    let mut timeline = Timeline::default();
    let by_step = replayed.broken.iter().any(|name| name == condition);
    let last = by_step.then_some(replayed.turns.len() as u64);
    for (number, turn) in (0..).zip(&replayed.turns) {
        timeline.slice(Slice {
            track: Track::Vcpu(turn.vcpu),
            start: TURN * number,
            duration: TURN,
            name: format!("{}: {}", turn.name, turn.words),
            arguments: arguments(turn),
            tone: match (turn.differs.is_empty(), turn.shows.is_empty()) {
                (true, true) if last != Some(number + 1) => Tone::Usual,
                _ => Tone::Wrong,
            },
        });
    }
    timeline
}

fn arguments(turn: &TurnSeen) -> Vec<(&'static str, String)> {
    let changed = |(name, before, after): &(String, String, String)| {
        ("changes", format!("{name}: {before} -> {after}"))
    };
    let differs = |(name, seen, expected): &(String, String, String)| {
        (
            "differs",
            format!("{name} is {seen}; the explorer says {expected}"),
        )
    };
    let changes = turn.changes.iter().map(changed);
    let shows = turn.shows.iter().map(|name| ("breaks", name.clone()));
    changes
        .chain(turn.differs.iter().map(differs))
        .chain(shows)
        .collect()
}
