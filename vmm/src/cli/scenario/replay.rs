//! Forcing the interleavings of a trace file on a machine.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use notifier::explore::Breach;
use serde::Serialize;

use super::super::args::Setup;
use super::super::exit::Exit;
use super::super::explore::bytes_up_to;
use super::super::outputs::Outputs;
use super::super::visible::on_one_line;
use super::arguments::Replaying;
use super::batch::{host_error, interrupts};
use super::text::{title, why};
use super::{Refused, Told, files_written, open, page};
use crate::host::{self, KvmKind};
use crate::live::scenario::{Batch, NoPlan, NoReplay, Plan, Replayed, TurnSeen, replay};
use crate::live::trace::{self, TraceFile, TracedCell, TracedScenario, TracedViolation};
use crate::machine::MachineError;

/// One violation of a trace file, tried on a machine.
pub(super) struct Tried {
    pub(super) title: String,
    pub(super) condition: String,
    came: Came,
}

enum Came {
    /// All of it was made.
    Made(Made),
    /// It can't be made, and why.
    Not(Vec<String>),
}

/// A violation that was tried on a machine.
pub(super) struct Made {
    pub(super) replayed: Replayed,
    /// How often.
    pub(super) times: u32,
    /// Whether it was the same each time.
    same: bool,
}

impl Tried {
    /// Whether the machine did what the trace says, each time, and the condition was seen broken where
    /// it can be seen at all.
    pub(super) fn agrees(&self) -> bool {
        self.made()
            .is_none_or(|made| made.replayed.agrees() && made.same)
    }

    /// What was made, if something was.
    pub(super) fn made(&self) -> Option<&Made> {
        match &self.came {
            Came::Made(made) => Some(made),
            Came::Not(_) => None,
        }
    }

    /// In words.
    pub(super) fn verdict(&self, replayed: &Replayed) -> String {
        verdict(self, replayed)
    }
}

pub(super) fn replay_all(setup: &Setup, arguments: &Replaying, outputs: &Outputs) -> Told {
    let files = open(outputs)?;
    let shown = on_one_line(&arguments.file.display().to_string());
    let read = bytes_up_to(&arguments.file, trace::MAX_BYTES);
    let read = read.map_err(|error| (format!("{shown} can't be read: {error}"), Exit::Usage))?;
    let file = TraceFile::read(&read);
    let file = file.map_err(|error| (format!("{shown}: {error}"), Exit::Usage))?;
    let kvm = host::open(&setup.kvm)
        .map_err(MachineError::from)
        .map_err(host_error)?;
    let interrupted = interrupts();
    let usual = Batch::default();
    let batch = Batch {
        limit: setup.asked_limit.unwrap_or(usual.limit),
        ..usual
    };
    let mut all = Vec::new();
    for scenario in &file.scenarios {
        for cell in &scenario.cells {
            for violation in wanted(cell, arguments) {
                if interrupted.load(Ordering::Relaxed) {
                    break;
                }
                let one = Try {
                    kvm: &kvm,
                    batch: &batch,
                    interrupted: &interrupted,
                    times: arguments.times,
                };
                all.push(one.violation(scenario, cell, violation)?);
            }
        }
    }
    if all.is_empty() && !interrupted.load(Ordering::Relaxed) {
        let message = format!("{shown} has no violation to replay, or none of that name");
        return Err((message, Exit::Usage));
    }
    let made = all.iter().filter(|tried| tried.made().is_some()).count();
    let exit = match (made, all.iter().all(Tried::agrees)) {
        _ if interrupted.load(Ordering::Relaxed) => Exit::Bad,
        (0, _) => Exit::Host,
        (_, true) => Exit::Good,
        (_, false) => Exit::Bad,
    };
    let told = match setup.json {
        true => document(&all),
        false => text(&all),
    };
    let page = page::replayed(&all);
    Ok((
        told,
        files_written(
            files,
            page,
            exit,
            "one replayed violation: name it by --condition",
        ),
    ))
}

fn wanted<'a>(
    cell: &'a TracedCell,
    arguments: &'a Replaying,
) -> impl Iterator<Item = &'a TracedViolation> {
    cell.violations.iter().filter(|violation| {
        let wanted = arguments.condition.as_ref();
        wanted.is_none_or(|wanted| *wanted == name(&violation.breach))
    })
}

fn name(breach: &Breach) -> String {
    match breach {
        Breach::Condition(name) => name.clone(),
        Breach::Deadlock => "deadlock".into(),
    }
}

struct Try<'a> {
    kvm: &'a kvm_ioctls::Kvm,
    batch: &'a Batch,
    interrupted: &'a std::sync::atomic::AtomicBool,
    times: u32,
}

impl Try<'_> {
    fn violation(
        &self,
        scenario: &TracedScenario,
        cell: &TracedCell,
        violation: &TracedViolation,
    ) -> Result<Tried, Refused> {
        let came = match &violation.way {
            Err(why) => Came::Not(vec![why.clone()]),
            Ok(schedule) => match Plan::new(&scenario.checked, &cell.cell, Default::default()) {
                Err(NoPlan::Refused(refusals)) => {
                    Came::Not(refusals.iter().map(ToString::to_string).collect())
                }
                Err(NoPlan::Scenario(error)) => {
                    return Err((
                        error.locate("the trace", &scenario.text).to_string(),
                        Exit::Usage,
                    ));
                }
                Ok(plan) => self.made(&plan, schedule)?,
            },
        };
        Ok(Tried {
            title: title(&scenario.checked.scenario.name.text, &cell.cell),
            condition: name(&violation.breach),
            came,
        })
    }

    /// As often as was asked for; the first time is told, unless a later one differs.
    fn made(&self, plan: &Plan, schedule: &notifier::explore::Schedule) -> Result<Came, Refused> {
        let mut first: Option<Replayed> = None;
        let (mut same, mut times) = (true, 0);
        for _ in 0..self.times {
            if first.is_some() && self.interrupted.load(Ordering::Relaxed) {
                break;
            }
            times += 1;
            let once = match replay(self.kvm, plan, schedule, self.batch, self.interrupted) {
                Ok(once) => once,
                Err(NoReplay::Machine(error)) => return Err(host_error(error)),
                Err(error) => return Ok(Came::Not(vec![error.to_string()])),
            };
            match &first {
                Some(first) => {
                    same &= first.turns == once.turns && first.broken == once.broken;
                }
                None => first = Some(once),
            }
        }
        Ok(match first {
            Some(replayed) => Came::Made(Made {
                replayed,
                times,
                same,
            }),
            None => Came::Not(vec!["it was to be replayed 0 times".into()]),
        })
    }
}

fn text(all: &[Tried]) -> String {
    let mut text = String::new();
    for tried in all {
        let _ = writeln!(text, "{}; {}", tried.title, tried.condition);
        match &tried.came {
            Came::Not(reasons) => {
                text.push_str("  not replayed:\n");
                for reason in reasons {
                    let _ = writeln!(text, "    {reason}");
                }
            }
            Came::Made(Made {
                replayed,
                times,
                same,
            }) => {
                made(&mut text, replayed);
                let _ = writeln!(text, "  {}", verdict(tried, replayed));
                if *times > 1 {
                    let same = if *same {
                        "the same each time"
                    } else {
                        "NOT the same each time"
                    };
                    let _ = writeln!(text, "  replayed {times} times: {same}");
                }
            }
        }
        text.push('\n');
    }
    let made = all.iter().filter(|tried| tried.made().is_some()).count();
    let _ = write!(
        text,
        "{made} of {} replayed on KVM ({})",
        all.len(),
        KvmKind::detect()
    );
    text
}

/// The turns up to the end of a circle's first round; if the machine went its own way, up to the first
/// turn after which it was not as it should be.
fn told(replayed: &Replayed) -> &[TurnSeen] {
    let all = &replayed.turns[..];
    let wrong = all.iter().position(|turn| !turn.differs.is_empty());
    match (wrong, replayed.circle) {
        (Some(wrong), _) => &all[..=wrong],
        (None, Some((first, rounds))) if replayed.agrees() => {
            let round = all.len().saturating_sub(first) / rounds as usize;
            &all[..first + round]
        }
        _ => all,
    }
}

fn made(text: &mut String, replayed: &Replayed) {
    let width = replayed
        .turns
        .iter()
        .map(|turn| turn.name.chars().count())
        .max()
        .unwrap_or(0);
    for (number, turn) in (1..).zip(told(replayed)) {
        let _ = writeln!(text, "  {number:3}  {:width$}  {}", turn.name, turn.words);
        for (name, before, after) in &turn.changes {
            let _ = writeln!(text, "       {:width$}    {name}: {before} -> {after}", "");
        }
        for (name, seen, expected) in &turn.differs {
            let line = format!("{name} is {seen}; the explorer says {expected}");
            let _ = writeln!(text, "       {:width$}    DIFFERS: {line}", "");
        }
    }
    if let Some((first, rounds)) = replayed.circle.filter(|_| replayed.agrees()) {
        let first = first + 1;
        let _ = writeln!(
            text,
            "  and so on from {first}; the machine went round {rounds} times"
        );
    }
    if let Some(cut) = &replayed.cut {
        let _ = writeln!(text, "  PARTIAL: {}", why(cut));
    }
    let (told, of) = (told(replayed).len(), replayed.turns.len());
    if told < of && !replayed.agrees() {
        let _ = writeln!(text, "  {} turns behind that are left out", of - told);
    }
    for name in &replayed.unbroken {
        let _ = writeln!(
            text,
            "  DIFFERS: {name} was not broken by the last steps, as it is in the trace"
        );
    }
    if replayed.attempts > 1 {
        let _ = writeln!(
            text,
            "  tried {} times: a CPU that loses what it has cached can't go the way of the trace",
            replayed.attempts
        );
    }
    if replayed.missing > 0 {
        let _ = writeln!(text, "  {} turns were not made", replayed.missing);
    }
}

fn verdict(tried: &Tried, replayed: &Replayed) -> String {
    let condition = &tried.condition;
    if replayed.circle.is_some() && replayed.agrees() {
        return format!(
            "as the trace says: without {condition} for ever, in a circle on the machine"
        );
    }
    match (replayed.agrees(), replayed.shows(condition)) {
        (true, true) => format!("as the trace says, and {condition} is seen broken on the machine"),
        (true, false) => format!(
            "as the trace says in all that can be looked at; {condition} itself can't be looked at"
        ),
        (false, true) => format!("{condition} is seen broken, but the machine went its own way"),
        (false, false) => "the machine did not do what the trace says".into(),
    }
}

#[derive(Serialize)]
struct TriedDocument<'a> {
    cell: &'a str,
    condition: &'a str,
    replayed: bool,
    /// Why it was not.
    reasons: &'a [String],
    /// Whether the machine was what the explorer says after each turn; null if it was not replayed.
    agrees: Option<bool>,
    /// Whether the condition was seen broken; null likewise.
    seen: Option<bool>,
    times: Option<u32>,
    turns: Vec<TurnDocument<'a>>,
}

#[derive(Serialize)]
struct TurnDocument<'a> {
    actor: &'a str,
    step: &'a str,
    changes: &'a [(String, String, String)],
    differs: &'a [(String, String, String)],
}

fn document(all: &[Tried]) -> String {
    let all: Vec<TriedDocument<'_>> = all.iter().map(tried).collect();
    crate::report::json::print(&all)
}

fn tried(tried: &Tried) -> TriedDocument<'_> {
    let reasons = match &tried.came {
        Came::Not(reasons) => &reasons[..],
        Came::Made(_) => &[],
    };
    let replayed = tried.made().map(|made| &made.replayed);
    let times = tried.made().map(|made| made.times);
    let turns = replayed.into_iter().flat_map(|replayed| &replayed.turns);
    TriedDocument {
        cell: &tried.title,
        condition: &tried.condition,
        replayed: replayed.is_some(),
        reasons,
        agrees: replayed.map(|_| tried.agrees()),
        seen: replayed.map(|replayed| replayed.shows(&tried.condition)),
        times,
        turns: turns.map(turn).collect(),
    }
}

fn turn(turn: &TurnSeen) -> TurnDocument<'_> {
    TurnDocument {
        actor: &turn.name,
        step: &turn.words,
        changes: &turn.changes,
        differs: &turn.differs,
    }
}
