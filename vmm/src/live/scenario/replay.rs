//! One interleaving, forced: everybody waits for their turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use guest::abi::litmus::{self as code, Control};
use kvm_ioctls::Kvm;
use notifier::explore::program::Field;
use notifier::explore::{Mover, Schedule, Turn};

use super::batch::{Batch, Cut};
use super::judge::{View, view};
use super::load;
use super::outcome::Part;
use super::plan::Plan;
use super::shared_shadow::first_mixed;
use crate::host::KvmKind;
use crate::machine::{Machine, MachineError};
use crate::probe::Paging;

/// What a machine made of a schedule.
#[derive(Debug)]
pub struct Replayed {
    /// What was seen after each turn that was made.
    pub turns: Vec<TurnSeen>,
    /// How often it was tried: see [`replay`].
    pub attempts: u32,
    /// Turns of the schedule that were not made.
    pub missing: usize,
    /// The turn, from 0, from which on the same repeats, and how often the machine went round.
    pub circle: Option<(usize, u32)>,
    /// Conditions that steps have broken.
    pub broken: Vec<String>,
    /// Conditions that steps of the schedule break, and those of the machine did not, though it would
    /// have been seen.
    pub unbroken: Vec<String>,
    /// Why it was not carried to its end.
    pub cut: Option<Cut>,
    /// From the first vCPU's start to the end.
    pub elapsed: Duration,
}

/// A turn on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnSeen {
    /// Whose vCPU made it.
    pub vcpu: u64,
    /// Whose.
    pub name: String,
    /// What it does.
    pub words: String,
    /// What changed with it, of all that can be looked at: name, value before, value after.
    pub changes: Vec<(String, String, String)>,
    /// Where the machine is not as the explorer says: name, what was seen, what the explorer says.
    pub differs: Vec<(String, String, String)>,
    /// Conditions on states that are not as they should be after it.
    pub shows: Vec<String>,
}

impl Replayed {
    /// Whether all turns were made, and the machine was what the explorer says after each.
    pub fn agrees(&self) -> bool {
        let mut turns = self.turns.iter();
        let whole = self.cut.is_none() && self.missing == 0 && self.unbroken.is_empty();
        whole && turns.all(|turn| turn.differs.is_empty())
    }

    /// Whether it went another way than the schedule, and not for any other reason.
    fn may_be_tried_again(&self) -> bool {
        let astray = matches!(self.cut, None | Some(Cut::Astray { .. }));
        astray && self.attempts < ATTEMPTS
    }

    /// Whether the condition of this name was seen broken.
    pub fn shows(&self, condition: &str) -> bool {
        let mut states = self.turns.iter().flat_map(|turn| &turn.shows);
        let mut steps = self.broken.iter();
        steps.any(|name| name == condition) || states.any(|name| name == condition)
    }
}

/// Why a schedule can't be forced.
#[derive(Debug, thiserror::Error)]
pub enum NoReplay {
    /// A turn that no vCPU can be made to take.
    #[error("turn {turn} ({name}) can't be forced: {why}")]
    Turn {
        /// Its number, from 1.
        turn: usize,
        /// Whose.
        name: String,
        /// Why.
        why: String,
    },
    /// There are too many.
    #[error("{0} turns are more than a machine has room for")]
    Long(usize),
    /// It begins as the scenario does not.
    #[error("it begins with values that no initial state of the scenario has")]
    Beginning,
    /// There is no machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// How often a schedule is tried.
const ATTEMPTS: u32 = 50;

/// Forces `schedule` on a new machine. The same schedule gives the same, every time.
///
/// A CPU may lose what it has cached: an interrupt of the host's is enough where that drops
/// translations. A schedule that needs it is then not made, and tried again, on another machine and a
/// few times at most; [`Replayed::attempts`] says how often.
///
/// # Errors
/// [`NoReplay`].
pub fn replay(
    kvm: &Kvm,
    plan: &Plan,
    schedule: &Schedule,
    batch: &Batch,
    interrupted: &AtomicBool,
) -> Result<Replayed, NoReplay> {
    let mut replayed = once(kvm, plan, schedule, batch, interrupted)?;
    while !replayed.agrees() && replayed.may_be_tried_again() {
        let attempts = replayed.attempts + 1;
        replayed = once(kvm, plan, schedule, batch, interrupted)?;
        replayed.attempts = attempts;
    }
    Ok(replayed)
}

fn once(
    kvm: &Kvm,
    plan: &Plan,
    schedule: &Schedule,
    batch: &Batch,
    interrupted: &AtomicBool,
) -> Result<Replayed, NoReplay> {
    let (schedule, rounds) = &repeated(schedule);
    let turns = turns(plan, schedule)?;
    if Paging::detect(KvmKind::detect()) == Paging::Shadow {
        fits_shadow(plan, schedule)?;
    }
    let row = plan
        .initial
        .row(&beginning(plan, schedule))
        .ok_or(NoReplay::Beginning)?;
    let machine = Machine::unwatched(kvm, &batch.config(plan, batch.limit))?;
    let parts = plan.key.parts();
    let control = Control {
        mode: code::MODE_REPLAY,
        runs: 1,
        initial_states: 1,
        turns: turns.len() as u64,
        log_width: parts.len() as u64,
        alignment: load::REPLAY_ALIGNMENT,
        ..load::control(&machine, plan, &load::Dice::none(plan.vcpus()))
    };
    load::load(&machine, plan, control)?;
    let words: Vec<u64> = turns.iter().flat_map(|turn| words_of(*turn)).collect();
    load::write(machine.ram(), code::SCHEDULE, &words).map_err(MachineError::from)?;
    load::write(machine.ram(), code::INITIAL, &row).map_err(MachineError::from)?;
    let ram = machine.ram().clone();
    let (run, cut) = batch.watched(kvm, machine, (plan, batch.limit), interrupted)?;
    let made = usize::try_from(load::control_of(&ram).turn)
        .unwrap_or(0)
        .min(turns.len());
    let log = load::words(&ram, code::REPLAY_LOG, made * parts.len());
    let keys = load::histogram(&ram, load::control_of(&ram).outcomes);
    let broken = (0..plan.program.properties.len()).filter(|number| {
        load::broken(&ram, plan, *number)
            || keys
                .iter()
                .any(|(key, ..)| plan.key.broken_in(key).contains(number))
    });
    let name = |number: usize| plan.program.properties[number].name.clone();
    let broken: Vec<String> = broken.map(name).collect();
    let unbroken = expected(plan, schedule).into_iter();
    let unbroken = unbroken.filter(|name| !broken.contains(name)).collect();
    Ok(Replayed {
        unbroken,
        turns: seen(plan, schedule, &log, made),
        missing: turns.len() - made,
        attempts: 1,
        circle: schedule.again.map(|first| (first, *rounds)),
        broken,
        cut: cut.or_else(|| diverged(plan, &ram)),
        elapsed: run.elapsed,
    })
}

/// Whether vCPUs that share one shadow page table can do it.
fn fits_shadow(plan: &Plan, schedule: &Schedule) -> Result<(), NoReplay> {
    let mixed = first_mixed(plan, schedule);
    mixed.map_or(Ok(()), |(turn, own, other)| {
        let name = schedule.turns.get(turn).map(|turn| turn.name.clone());
        let why = format!(
            "this host pages by shadow, so that all vCPUs have the same cached, and `{own}` would have to \
             differ from `{other}`"
        );
        Err(NoReplay::Turn {
            turn: turn + 1,
            name: name.unwrap_or_default(),
            why,
        })
    })
}

/// How often a circle is gone round: often enough that whoever gets out of it by himself does.
const ROUNDS: u32 = 10;

/// The schedule with its circle, if it has one, made several times; and how often.
fn repeated(schedule: &Schedule) -> (Schedule, u32) {
    let mut all = schedule.clone();
    let Some(first) = schedule.again else {
        return (all, 1);
    };
    let circle = schedule.turns.get(first..).unwrap_or_default();
    (1..ROUNDS).for_each(|_| all.turns.extend_from_slice(circle));
    (all, ROUNDS)
}

/// The conditions that steps of the schedule break, of those that are watched.
fn expected(plan: &Plan, schedule: &Schedule) -> BTreeSet<String> {
    let properties = plan.program.properties.iter().enumerate();
    let watched = properties.filter(|(number, _)| view(plan, *number) == View::BySteps);
    let watched = watched.map(|(_, property)| &property.name);
    let broken: BTreeSet<&String> = schedule.turns.iter().flat_map(|turn| &turn.shows).collect();
    watched
        .filter(|name| broken.contains(name))
        .cloned()
        .collect()
}

fn words_of(turn: code::Turn) -> Vec<u64> {
    let bytes = turn.to_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

/// A vCPU that was elsewhere than at its turn.
fn diverged(plan: &Plan, ram: &crate::memory::Ram) -> Option<Cut> {
    let vcpu = load::control_of(ram).diverged.checked_sub(1)?;
    let step = plan.step_words(load::standing(ram, vcpu).step).to_owned();
    Some(Cut::Astray { vcpu, step })
}

fn beginning(plan: &Plan, schedule: &Schedule) -> BTreeMap<Field, u64> {
    let values = schedule.initial.iter().filter_map(|value| {
        let mut shown = plan.program.shown.iter();
        let shown = shown.find(|shown| shown.name == value.name)?;
        Some((shown.field, value.value))
    });
    values.collect()
}

fn turns(plan: &Plan, schedule: &Schedule) -> Result<Vec<code::Turn>, NoReplay> {
    let width = plan.key.parts().len().max(1) as u64;
    let room = (code::SCHEDULE_END - code::SCHEDULE) / code::Turn::SIZE as u64;
    let log = (code::REPLAY_LOG_END - code::REPLAY_LOG) / 8 / width;
    if schedule.turns.len() as u64 > room.min(log) {
        return Err(NoReplay::Long(schedule.turns.len()));
    }
    let turns = (1..).zip(&schedule.turns);
    let turns = turns.map(|(number, turn)| {
        guest_turn(plan, turn).map_err(|why| NoReplay::Turn {
            turn: number,
            name: turn.name.clone(),
            why,
        })
    });
    turns.collect()
}

fn guest_turn(plan: &Plan, turn: &Turn) -> Result<code::Turn, String> {
    let context = |agent: usize, name: Option<&str>| {
        let mut contexts = plan.program.contexts.iter().enumerate();
        let found = contexts.find(|(_, one)| {
            let handler = one.name.split_once('.').map(|(_, handler)| handler);
            one.agent == agent && handler.filter(|_| one.condition.is_some()) == name
        });
        found
            .map(|(number, _)| number)
            .ok_or("there is no such code".to_owned())
    };
    let step = |number| super::context::step_number(number, turn.next.stop);
    let (vcpu, kind, at) = match &turn.next.mover {
        Mover::Agent(agent) => (*agent, code::TURN_STEP, step(context(*agent, None)?)),
        Mover::Interrupt(agent, name) => {
            let number = context(*agent, Some(name))?;
            match turn.next.stop {
                0 => (*agent, code::TURN_HANDLER, number as u64),
                _ => (*agent, code::TURN_STEP, step(number)),
            }
        }
        Mover::Event(name) => {
            let mut events = plan.program.events.iter();
            let number = events.position(|event| event.name == *name);
            let number = number.ok_or("there is no such event")?;
            let agent = plan.agent_of_event(number);
            let agent = agent.ok_or("hardware does this by itself, and nobody can make it")?;
            (agent, code::TURN_EVENT, number as u64)
        }
    };
    Ok(code::Turn {
        vcpu: vcpu as u64,
        kind,
        at,
        choices: choices(&turn.next.choices.program)?,
    })
}

/// Four bits each.
fn choices(chosen: &[usize]) -> Result<u64, String> {
    let mut word = 0;
    for (place, way) in chosen.iter().enumerate() {
        if place == 16 || *way > 15 {
            return Err("it makes more than 16 choices, or one of more than 16 ways".into());
        }
        word |= (*way as u64) << (4 * place);
    }
    Ok(word)
}

fn seen(plan: &Plan, schedule: &Schedule, log: &[u64], made: usize) -> Vec<TurnSeen> {
    let parts = plan.key.parts();
    let shown = |part: &Part, value: u64| {
        let mut shown = plan.program.shown.iter();
        let one = shown.find(|one| one.field == part.field);
        one.map(|one| {
            (
                one.name.clone(),
                plan.program.show(one.kind, one.most, value),
            )
        })
    };
    let initial = beginning(plan, schedule);
    let first = parts
        .iter()
        .map(|part| initial.get(&part.field).copied().unwrap_or(0));
    let mut before: Vec<u64> = first.collect();
    let mut turns = Vec::new();
    for (number, turn) in schedule.turns.iter().take(made).enumerate() {
        let now: Vec<u64> = parts
            .iter()
            .enumerate()
            .map(|(at, part)| log.get(number * parts.len() + at).copied().unwrap_or(0) & part.ones)
            .collect();
        let (mut changes, mut differs) = (Vec::new(), Vec::new());
        for ((part, before), now) in parts.iter().zip(&before).zip(&now) {
            let (Some((name, new)), Some((_, old))) = (shown(part, *now), shown(part, *before))
            else {
                continue;
            };
            let expected = turn.after.iter().find(|value| value.name == name);
            if let Some(expected) = expected.filter(|expected| expected.value != *now) {
                differs.push((name.clone(), new.clone(), expected.shown.clone()));
            }
            if now != before {
                changes.push((name, old, new));
            }
        }
        turns.push(TurnSeen {
            vcpu: guest_turn(plan, turn).map_or(0, |turn| turn.vcpu),
            name: turn.name.clone(),
            words: turn.words.clone(),
            changes,
            differs,
            shows: super::judge::broken_states(plan, &now, turn.ends),
        });
        before = now;
    }
    turns
}
