//! Steps that need not be worked out again.
//!
//! What a step does depends on few bits of the state: those that its instructions, and the question
//! whether it may be made, look at. All others stay as they are. So a step is run once for each value
//! of the bits that are looked at, and what it does (bits that stay, bits that are set) is kept.
//!
//! Which bits it leaves alone is not analysed but observed: the step is run with all bits that it
//! does not look at 0, and again with all of them 1; where the results differ it passes them on. Where
//! ways of a step came to the same only because of bits that it does not look at, nothing is kept.

use std::ops::Range;

use super::code::{Code, Ex, Instr};
use super::layout::{Field, bits_of};
use super::machine::{Actor, Edge, Effects, Machine, State};
use super::mistake::Mistake;
use super::program::Context;
use super::step::Reach;
use super::store::hash;

/// Values that are kept at most, some 5 MiB; what is beyond is worked out each time.
const MOST: usize = 1 << 16;
/// Changes that are kept for them at most; where steps have many ways these are what takes room.
const MOST_CHANGES: usize = 4 * MOST;
/// Places for them at first.
const FIRST: usize = 1 << 10;

/// What a step does to a state.
#[derive(Clone, Copy, Debug)]
struct Change<const W: usize> {
    stays: State<W>,
    set: State<W>,
    effects: Effects,
}

/// The steps that an actor may make wherever the bits it looks at have this value.
#[derive(Clone, Copy, Debug)]
struct Known<const W: usize> {
    value: State<W>,
    /// `u32::MAX` where nothing is kept.
    actor: u32,
    /// Where its changes are, from and up to.
    changes: (u32, u32),
}

/// A machine that remembers steps. It makes the same ones in the same order.
pub(super) struct Memo<'a, const W: usize> {
    machine: &'a Machine<'a, W>,
    actors: Vec<Looks<W>>,
    known: Vec<Known<W>>,
    len: usize,
    changes: Vec<Change<W>>,
    edges: [Vec<Edge<W>>; 2],
}

/// In place of changes: what is not looked at decides which ways are the same, so that the steps are
/// worked out each time.
const EACH_ITS_OWN: (u32, u32) = (u32::MAX, u32::MAX);

/// Which bits an actor looks at.
struct Looks<const W: usize> {
    /// Where its program counter is.
    pc: Field,
    /// For each value of that.
    at: Vec<State<W>>,
}

impl<'a, const W: usize> Memo<'a, W> {
    pub(super) fn new(machine: &'a Machine<'a, W>) -> Self {
        let program = machine.program;
        let contexts = program.contexts.iter().enumerate();
        let contexts = contexts.map(|(actor, context)| Looks {
            pc: context.pc,
            at: looks(machine, actor, context),
        });
        let events = program.events.iter().map(|event| Looks {
            pc: Field::default(),
            at: vec![seen(machine, (&event.code, &[]), 0, [&event.condition], [])],
        });
        Self {
            machine,
            actors: contexts.chain(events).collect(),
            known: vec![Known::NONE; FIRST],
            len: 0,
            changes: Vec::new(),
            edges: Default::default(),
        }
    }

    /// All steps that may be made in `state`: those that [`Machine::successors`] gives.
    pub(super) fn successors(
        &mut self,
        state: &State<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<(), Mistake> {
        for actor in 0..self.actors.len() {
            let looks = &self.actors[actor];
            let at = usize::try_from(looks.pc.get(state)).ok();
            let Some(mask) = at.and_then(|at| looks.at.get(at)) else {
                continue;
            };
            let value = both(state, mask);
            let slot = self.slot(actor, &value);
            let known = self.known[slot];
            let is_known = known.is(actor, &value);
            if is_known && known.changes != EACH_ITS_OWN {
                self.repeat(known.changes, actor, state, out);
                continue;
            }
            if !is_known {
                let mask = *mask;
                self.learn(actor, &value, &mask)?;
            }
            self.machine.steps_of(actor, state, out)?;
        }
        Ok(())
    }

    fn repeat(
        &self,
        (from, to): (u32, u32),
        actor: Actor,
        state: &State<W>,
        out: &mut Vec<Edge<W>>,
    ) {
        let changes = &self.changes[from as usize..to as usize];
        out.extend(changes.iter().map(|change| Edge {
            state: std::array::from_fn(|at| state[at] & change.stays[at] | change.set[at]),
            actor,
            effects: change.effects,
        }));
    }

    /// Where what is known of this is, or where it belongs.
    fn slot(&self, actor: Actor, value: &State<W>) -> usize {
        let ones = self.known.len() - 1;
        let mut slot = (usize::try_from(hash(value) >> 32).unwrap_or(0) + actor) & ones;
        while !self.known[slot].is_free() && !self.known[slot].is(actor, value) {
            slot = (slot + 1) & ones;
        }
        slot
    }

    fn learn(&mut self, actor: Actor, value: &State<W>, mask: &State<W>) -> Result<(), Mistake> {
        if self.len == MOST || self.changes.len() > MOST_CHANGES {
            return Ok(());
        }
        let others = std::array::from_fn(|at| value[at] | !mask[at]);
        let [low, high] = &mut self.edges;
        low.clear();
        high.clear();
        let reaches = [
            self.machine.steps_of(actor, value, low)?,
            self.machine.steps_of(actor, &others, high)?,
        ];
        let actor = u32::try_from(actor).unwrap_or(u32::MAX);
        if reaches.contains(&Reach::Here) {
            self.keep(Known {
                value: *value,
                actor,
                changes: EACH_ITS_OWN,
            });
            return Ok(());
        }
        let before = u32::try_from(self.changes.len()).unwrap_or(u32::MAX);
        self.changes.extend(low.iter().zip(high).map(|(low, high)| {
            let stays = std::array::from_fn(|at| low.state[at] ^ high.state[at]);
            Change {
                stays,
                set: low.state,
                effects: low.effects,
            }
        }));
        let after = u32::try_from(self.changes.len()).unwrap_or(u32::MAX);
        self.keep(Known {
            value: *value,
            actor,
            changes: (before, after),
        });
        Ok(())
    }

    fn keep(&mut self, known: Known<W>) {
        if self.len * 4 >= self.known.len() {
            let size = self.known.len() * 4;
            let old = std::mem::replace(&mut self.known, vec![Known::NONE; size]);
            let old = old.into_iter().filter(|known| !known.is_free());
            old.for_each(|known| self.put(known));
        }
        self.put(known);
        self.len += 1;
    }

    fn put(&mut self, known: Known<W>) {
        let slot = self.slot(known.actor as usize, &known.value);
        self.known[slot] = known;
    }
}

impl<const W: usize> Known<W> {
    const NONE: Self = Self {
        value: [0; W],
        actor: u32::MAX,
        changes: (0, 0),
    };

    fn is_free(&self) -> bool {
        self.actor == u32::MAX
    }

    fn is(&self, actor: Actor, value: &State<W>) -> bool {
        self.actor as usize == actor && self.value == *value
    }
}

fn both<const W: usize>(one: &State<W>, other: &State<W>) -> State<W> {
    std::array::from_fn(|at| one[at] & other[at])
}

/// For each stop of a context, the bits that decide about its step there.
fn looks<const W: usize>(
    machine: &Machine<'_, W>,
    actor: Actor,
    context: &Context,
) -> Vec<State<W>> {
    let program = machine.program;
    let counters = |contexts: &[usize]| -> Vec<Field> {
        contexts.iter().map(|at| program.contexts[*at].pc).collect()
    };
    let (above, below) = (counters(&context.above), counters(&context.below));
    let stops = context.code.stops.iter();
    let look = |stop: &usize| {
        let others = above.iter().chain(&below).copied();
        let fields = others.chain([context.pc]);
        let code = (&context.code, machine.whole.of(actor));
        seen(machine, code, *stop, &context.condition, fields)
    };
    stops.map(look).collect()
}

/// The bits of these fields and of all that these expressions and the step from `first` look at.
fn seen<'a, const W: usize>(
    machine: &Machine<'_, W>,
    (code, whole): (&'a Code, &[Range<usize>]),
    first: usize,
    expressions: impl IntoIterator<Item = &'a Ex>,
    fields: impl IntoIterator<Item = Field>,
) -> State<W> {
    let mut all: Vec<Field> = fields.into_iter().collect();
    let program = machine.program;
    let of_step = step_from(code, whole, first).into_iter();
    let of_step = of_step.flat_map(|at| code.instrs[at].expressions());
    for expression in expressions.into_iter().chain(of_step) {
        expression.reads(&mut |field| all.push(field));
        expression.visit(&mut |part| {
            if let Ex::AtBoundary(agent) | Ex::Done(agent) = part {
                let contexts = program.contexts.iter();
                let of_agent = contexts.filter(|context| context.agent == *agent);
                all.extend(of_agent.map(|context| context.pc));
            }
        });
    }
    bits_of(all)
}

/// The instructions that may belong to the step that begins at `first`, or to the rest of an operation
/// that is made whole.
fn step_from(code: &Code, whole: &[Range<usize>], first: usize) -> Vec<usize> {
    let (mut all, mut waiting) = (vec![first], vec![first]);
    while let Some(at) = waiting.pop() {
        for next in code.after(at) {
            let within = |range: &Range<usize>| range.contains(&at) && range.contains(&next);
            let goes_on = whole.iter().any(within);
            let is_next_step = code.starts[next] && !code.stops.is_empty() && !goes_on;
            let ends = is_next_step || matches!(code.instrs[next], Instr::End);
            if !ends && !all.contains(&next) {
                all.push(next);
                waiting.push(next);
            }
        }
    }
    all
}
