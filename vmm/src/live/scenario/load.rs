//! A plan, put into a machine's memory; and what the payload left there.

use guest::abi::litmus::{self as code, Control, Outcome, Standing};
use guest::abi::op::{self, Op};
use guest::abi::{layout, litmus};
use notifier::addr::Gpa;

use super::outcome::Packed;
use super::plan::Plan;
use crate::machine::{Machine, MachineError};
use crate::memory::{OutsideMemory, Ram};

/// How often what is random is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dice {
    pub(super) seed: u64,
    /// The first run's number.
    pub(super) first: u64,
    /// Runs.
    pub(super) runs: u64,
    pub(super) delay: u64,
    pub(super) delay_one_in: u64,
    /// Pauses before a vCPU gives the host's CPU away; 0 for never.
    pub(super) patience: u64,
}

impl Dice {
    /// Nothing is random, and there is one run.
    ///
    /// Giving the host's CPU away is an exit, and may cost a CPU what it has cached: nobody does where
    /// there is a CPU for each.
    pub(super) fn none(vcpus: u64) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
        Self {
            seed: 0,
            first: 0,
            runs: 1,
            delay: 0,
            delay_one_in: 0,
            patience: if vcpus <= cpus { 0 } else { PATIENCE },
        }
    }
}

/// Pauses in a spin before a vCPU gives the host's CPU away: a host that has one for each vCPU loses
/// next to nothing by it, and one that has not gains most of its time.
pub(super) const PATIENCE: u64 = 1000;

/// Puts everything into memory that the payload needs, and gives each vCPU its one operation.
pub(super) fn load(machine: &Machine, plan: &Plan, control: Control) -> Result<(), MachineError> {
    let ram = machine.ram();
    let put = |offset: u64, words: &[u64]| write(ram, offset, words);
    put(code::INITIAL, &plan.initial.words())?;
    put(code::TABLES, &plan.tables)?;
    for (index, words) in (0..).zip(&plan.code) {
        put(code::CODE + index * code::CODE_STRIDE, words)?;
    }
    let maps = plan.entry.fields.iter().flat_map(|map| map.to_bytes());
    let maps: Vec<u8> = maps.collect();
    ram.write(at(code::FIELD_MAPS), &maps)?;
    ram.write(at(code::CONTROL), &control.to_bytes())?;
    let litmus = Op {
        code: op::LITMUS,
        ..Op::default()
    };
    (0..plan.vcpus()).try_for_each(|index| machine.load_program(index, &[litmus]))
}

/// The control words of a batch.
pub(super) fn control(machine: &Machine, plan: &Plan, dice: &Dice) -> Control {
    Control {
        mode: code::MODE_BATCH,
        vcpus: plan.vcpus(),
        first: dice.first,
        runs: dice.runs,
        seed: dice.seed,
        delay: dice.delay,
        delay_one_in: dice.delay_one_in,
        alignment: code::MOST_ALIGNMENT + 1,
        initial_states: plan.initial.count() as u64,
        initial_width: plan.initial.width() as u64,
        pages: plan.places.pages(),
        entries: machine.window_slot(0).map_or(0, Gpa::raw),
        window: layout::WINDOW,
        present: plan.entry.present,
        frames: layout::FRAMES,
        frame_count: plan.program.frames.len() as u64,
        fields: plan.entry.fields.len() as u64,
        patience: dice.patience,
        ..Control::default()
    }
}

pub(super) fn at(offset: u64) -> Gpa {
    Gpa::new(litmus::LITMUS + offset)
}

pub(super) fn write(ram: &Ram, offset: u64, words: &[u64]) -> Result<(), OutsideMemory> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    ram.write(at(offset), &bytes)
}

pub(super) fn words(ram: &Ram, offset: u64, count: usize) -> Vec<u64> {
    let mut bytes = vec![0; 8 * count];
    if ram.read(at(offset), &mut bytes).is_err() {
        return Vec::new();
    }
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

/// The control words as they are now.
pub(super) fn control_of(ram: &Ram) -> Control {
    let mut bytes = [0; Control::SIZE];
    let read = ram.read(at(code::CONTROL), &mut bytes);
    read.map_or_else(|_| Control::default(), |()| Control::from_bytes(&bytes))
}

/// Has the payload end the batch.
pub(super) fn stop(ram: &Ram) {
    let stop = std::mem::offset_of!(Control, stop) as u64;
    if let Err(error) = write(ram, code::CONTROL + stop, &[1]) {
        log::error!("a batch can't be stopped: {error}");
    }
}

/// Where a vCPU stands.
pub(super) fn standing(ram: &Ram, vcpu: u64) -> Standing {
    let mut bytes = [0; Standing::SIZE];
    let place = at(code::STANDINGS + vcpu * code::STANDING_STRIDE);
    let read = ram.read(place, &mut bytes);
    read.map_or_else(|_| Standing::default(), |()| Standing::from_bytes(&bytes))
}

/// How often each outcome was seen, and in which run first.
pub(super) fn histogram(ram: &Ram, outcomes: u64) -> Vec<(Packed, u64, u64)> {
    let outcomes = (0..outcomes.min(code::OUTCOMES)).map(|number| {
        let mut bytes = [0; Outcome::SIZE];
        let place = at(code::HISTOGRAM + number * Outcome::SIZE as u64);
        let read = ram.read(place, &mut bytes);
        let seen = read.map_or_else(|_| Outcome::default(), |()| Outcome::from_bytes(&bytes));
        let key = [seen.key0, seen.key1, seen.key2, seen.key3];
        (key, seen.count, seen.first)
    });
    outcomes.filter(|(_, count, _)| *count > 0).collect()
}

/// Whether a step of a replay has broken a condition.
pub(super) fn broken(ram: &Ram, plan: &Plan, property: usize) -> bool {
    let slot = plan.places.broken(property);
    words(ram, code::WORDS + (slot << (3 + REPLAY_ALIGNMENT)), 1).first() == Some(&1)
}

/// How words are aligned in a replay.
pub(super) const REPLAY_ALIGNMENT: u64 = 3;
