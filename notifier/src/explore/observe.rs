//! What can be seen of the states that are reached, whatever the program looks like inside.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::code::Ex;
use super::machine::{Machine, State};
use super::program::Program;
use super::search::{Goal, Search};
use super::{Bound, Cell, Limits, Progress, Reductions, compile};
use crate::scenario::tree::Kind;
use crate::scenario::{Checked, Diagnostic};

/// The states of one cell as a condition can see them.
///
/// Kept of a state are the shared and ghost variables, which frames are freed, and which agents are
/// done or between two instructions. Locks are kept only where all agents are done: one that is left
/// held then is worth knowing, and on the way they are how a protocol does what it does. Two scenarios
/// of which this is equal satisfy the same conditions on states, whatever those are, if they don't ask
/// for a lock before the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    states: HashSet<Box<[u64]>>,
}

impl Observed {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.states.len()
    }
}

/// Collects what can be seen of all states of one cell; of the variables, those named in `names`.
/// Instead of them, the limit that was reached, or that `watch` stopped it.
///
/// # Errors
/// As [`explore`](super::explore()).
pub fn observe(
    checked: &Checked,
    cell: &Cell,
    names: &[&str],
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Result<Observed, Bound>, Diagnostic> {
    let mut program = compile::compile(checked, cell, Reductions::On)?;
    program.properties = Vec::new();
    match program.words {
        1 => collect::<1>(&program, names, limits, watch),
        2 => collect::<2>(&program, names, limits, watch),
        3 => collect::<3>(&program, names, limits, watch),
        _ => collect::<4>(&program, names, limits, watch),
    }
}

fn collect<const W: usize>(
    program: &Program,
    names: &[&str],
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Result<Observed, Bound>, Diagnostic> {
    let machine = Machine::<W>::new(program);
    let search = Search::run_for(Goal::States, &machine, limits, watch)?;
    if let Some(bound) = search.cut {
        return Ok(Err(bound));
    }
    let states = (0..search.store.len()).map(|id| seen(&machine, names, &search.store.get(id)));
    Ok(Ok(Observed {
        states: states.collect(),
    }))
}

/// What can be seen of a state, one thing after the other.
fn seen<const W: usize>(machine: &Machine<'_, W>, names: &[&str], state: &State<W>) -> Box<[u64]> {
    let program = machine.program;
    let mut packed = Packed::default();
    let ended = machine.is_final(state);
    for shown in &program.shown {
        // `freed(frame)` and the elements of an array are not registers.
        let name = shown.name.split(['[', '(']).next().unwrap_or_default();
        let lock = matches!(shown.kind, Kind::Lock | Kind::RwLock);
        if name == "freed" || names.contains(&name) {
            let hidden = lock && !ended;
            let value = if hidden { 0 } else { shown.field.get(state) };
            packed.add(value, shown.field.bits());
        }
    }
    for agent in 0..program.agents.len() {
        for asked in [Ex::Done(agent), Ex::AtBoundary(agent)] {
            packed.add(machine.eval(&asked, state).cast_unsigned(), 1);
        }
    }
    packed.words.into()
}

/// Values side by side, as many words as they take.
#[derive(Default)]
struct Packed {
    words: Vec<u64>,
    /// Bits in use of the last word.
    used: u32,
}

impl Packed {
    fn add(&mut self, value: u64, bits: u32) {
        if self.words.is_empty() || self.used + bits > u64::BITS {
            self.words.push(0);
            self.used = 0;
        }
        if let Some(last) = self.words.last_mut().filter(|_| bits > 0) {
            *last |= value << self.used;
            self.used += bits;
        }
    }
}
