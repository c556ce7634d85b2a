//! The abstract machine: from a state to all that may come next.
//!
//! Memory is sequentially consistent: a step sees all that earlier steps did.

use super::code::{Ex, Instr};
use super::mistake::Mistake;
use super::program::{Context, Happening, Program};
use super::step::{Point, Reach, Run, Ways};
use super::turn::Whole;

/// A packed state.
pub(super) type State<const W: usize> = [u64; W];

/// Who makes a step: a context, or an event numbered after those.
pub(super) type Actor = usize;

/// What a step does beyond changing the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Effects {
    /// A bit for each condition that it breaks.
    pub(super) broken: u16,
    /// A bit for each counter that it counts.
    pub(super) counted: u16,
}

/// A step that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge<const W: usize> {
    pub(super) state: State<W>,
    pub(super) actor: Actor,
    pub(super) effects: Effects,
}

/// A program over states of `W` words.
pub(super) struct Machine<'a, const W: usize> {
    pub(super) program: &'a Program,
    /// The operations into which nobody comes.
    pub(super) whole: Whole,
}

impl<'a, const W: usize> Machine<'a, W> {
    /// One that makes single steps.
    pub(super) fn new(program: &'a Program) -> Self {
        let whole = Whole::default();
        Self { program, whole }
    }

    /// The ways in which the scenario may begin, none of them gone yet.
    pub(super) fn beginnings(&self) -> Ways<W> {
        let mut state = [0; W];
        for (field, value) in &self.program.defaults {
            field.set(&mut state, *value);
        }
        Ways::from(Point::new(0, state))
    }

    /// Goes on one of the ways in which the scenario may begin; whether there was one. If it led to an
    /// initial state, that goes to `out`.
    pub(super) fn begin(
        &self,
        ways: &mut Ways<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<bool, Mistake> {
        let mut begun = Vec::new();
        let gone = self.set_up(ways, &mut begun)?;
        for edge in begun {
            out.extend(self.settle(edge)?);
        }
        Ok(gone)
    }

    /// The same, but only up to where the agents begin: none has done anything in what goes to `out`.
    pub(super) fn set_up(
        &self,
        ways: &mut Ways<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<bool, Mistake> {
        let run = Run {
            code: &self.program.initial,
            pc: None,
            actor: 0,
        };
        self.advance(run, ways, out)
    }

    /// Every agent does what it has to do before its first step; an initial state is the result.
    pub(super) fn settle(&self, begun: Edge<W>) -> Result<Option<Edge<W>>, Mistake> {
        let mut settled = Some(begun);
        for (actor, context) in self.program.contexts.iter().enumerate() {
            let Some(Edge { state, effects, .. }) = settled else {
                break;
            };
            let run = run_of(actor, context);
            let (at, mut next) = (0, Vec::new());
            let mut point = Point::new(at, state);
            point.effects = effects;
            match context.code.stop_of.first().copied().flatten() {
                Some(_) => next.push(self.stop(run, point)),
                None => {
                    self.run(run, point, &mut next)?;
                }
            }
            // No choice comes before a first step: a choice begins one.
            settled = next.first().copied();
        }
        Ok(settled)
    }

    /// All steps that may be made in `state`, in an order that depends on nothing else.
    pub(super) fn successors(
        &self,
        state: &State<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<(), Mistake> {
        (0..self.actors()).try_for_each(|actor| self.steps_of(actor, state, out).map(|_| ()))
    }

    /// How many there are who may make a step.
    pub(super) fn actors(&self) -> usize {
        self.program.contexts.len() + self.program.events.len()
    }

    /// All steps that one of them may make.
    pub(super) fn steps_of(
        &self,
        actor: Actor,
        state: &State<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<Reach, Mistake> {
        let Some((run, point)) = self.next_of(actor, state) else {
            return Ok(Reach::Alike);
        };
        let before = out.len();
        let reach = match self.whole.of(actor) {
            [] => self.run(run, point, out)?,
            _ => self.turns(run, point, out)?,
        };
        for edge in &mut out[before..] {
            self.clear_scratch(edge);
        }
        Ok(reach)
    }

    /// What one of them has to do next, if it may.
    pub(super) fn next_of(&self, actor: Actor, state: &State<W>) -> Option<(Run<'a>, Point<W>)> {
        let begins = |at| Point::new(at, *state);
        let Some(context) = self.program.contexts.get(actor) else {
            let event = self.event(actor)?;
            let run = Run {
                code: &event.code,
                pc: None,
                actor,
            };
            return (self.eval(&event.condition, state) != 0).then(|| (run, begins(0)));
        };
        let at = context.pc.get(state);
        if !self.may_step(actor, at, state) {
            return None;
        }
        let first = *context.code.stops.get(usize::try_from(at).ok()?)?;
        // Whoever is at the end has nothing more to do.
        let ended = matches!(context.code.instrs[first], Instr::End);
        (!ended).then(|| (run_of(actor, context), begins(first)))
    }

    /// The event that an actor is.
    pub(super) fn event(&self, actor: Actor) -> Option<&'a Happening> {
        let number = actor.checked_sub(self.program.contexts.len())?;
        self.program.events.get(number)
    }

    /// Nothing is left of an event's registers when it is over.
    pub(super) fn clear_scratch(&self, edge: &mut Edge<W>) {
        if let Some(event) = self.event(edge.actor) {
            let scratch = event.scratch.iter();
            scratch.for_each(|field| field.set(&mut edge.state, 0));
        }
    }

    fn is_idle(&self, context: usize, state: &State<W>) -> bool {
        self.program.contexts[context].pc.get(state) == 0
    }

    fn may_step(&self, actor: Actor, at: u64, state: &State<W>) -> bool {
        let context = &self.program.contexts[actor];
        if !context
            .above
            .iter()
            .all(|above| self.is_idle(*above, state))
        {
            return false;
        }
        match &context.condition {
            None => true,
            Some(_) if at != 0 => true,
            Some(condition) => {
                context
                    .below
                    .iter()
                    .all(|below| self.between(*below, state))
                    && self.eval(condition, state) != 0
            }
        }
    }

    /// Whether a context is between two instructions.
    fn between(&self, context: usize, state: &State<W>) -> bool {
        let context = &self.program.contexts[context];
        let at = usize::try_from(context.pc.get(state)).unwrap_or(0);
        context
            .code
            .stops
            .get(at)
            .is_none_or(|stop| !context.code.inside[*stop])
    }

    fn of_agent(&self, agent: usize) -> impl Iterator<Item = usize> {
        let contexts = self.program.contexts.iter().enumerate();
        contexts
            .filter(move |(_, context)| context.agent == agent)
            .map(|(at, _)| at)
    }

    /// Whether a context has nothing more to do.
    pub(super) fn is_over(&self, context: usize, state: &State<W>) -> bool {
        let context = &self.program.contexts[context];
        let at = context.pc.get(state);
        match context.condition {
            Some(_) => at == 0,
            None => at + 1 == context.code.stops.len() as u64,
        }
    }

    /// Whether all agents have nothing more to do.
    pub(super) fn is_final(&self, state: &State<W>) -> bool {
        (0..self.program.contexts.len()).all(|context| self.is_over(context, state))
    }

    /// Whether a step of `actor`, if it may be made, begins in `state` with these words.
    pub(super) fn words(&self, actor: Actor, state: &State<W>) -> (&str, &str) {
        match self.program.contexts.get(actor) {
            Some(context) => {
                let at = usize::try_from(context.pc.get(state)).unwrap_or(0);
                let first = context.code.stops.get(at).copied().unwrap_or_default();
                (&context.name, &context.code.words[first])
            }
            None => {
                let event = &self.program.events[actor - self.program.contexts.len()];
                (&event.name, &event.words)
            }
        }
    }

    /// The value of an expression; truth is 1 or 0.
    pub(super) fn eval(&self, ex: &Ex, state: &State<W>) -> i64 {
        let truth = |ex: &Ex| self.eval(ex, state) != 0;
        match ex {
            Ex::Const(number) => *number,
            Ex::Get(field) => field.get(state).cast_signed(),
            Ex::At(fields, index) => {
                let index = usize::try_from(self.eval(index, state)).ok();
                let field = index.and_then(|index| fields.get(index));
                field.map_or(0, |field| field.get(state).cast_signed())
            }
            Ex::Part(inner, shift, ones) => (self.eval(inner, state) >> shift) & ones.cast_signed(),
            Ex::With(inner, parts) => {
                let mut value = self.eval(inner, state).cast_unsigned();
                for (shift, ones, part) in parts {
                    let part = self.eval(part, state).cast_unsigned() & ones;
                    value = value & !(ones << shift) | part << shift;
                }
                value.cast_signed()
            }
            Ex::Not(inner) => i64::from(!truth(inner)),
            Ex::Or(one, other) => i64::from(truth(one) || truth(other)),
            Ex::And(one, other) => i64::from(truth(one) && truth(other)),
            Ex::Equal(one, other) => i64::from(self.eval(one, state) == self.eval(other, state)),
            Ex::Less(one, other) => i64::from(self.eval(one, state) < self.eval(other, state)),
            Ex::Add(one, other) => self.eval(one, state) + self.eval(other, state),
            Ex::Subtract(one, other) => self.eval(one, state) - self.eval(other, state),
            Ex::If(condition, then, otherwise) => {
                self.eval(if truth(condition) { then } else { otherwise }, state)
            }
            Ex::One(table, one) => look_up(table, self.eval(one, state)),
            Ex::Two(table, bits, one, other) => look_up(
                table,
                self.eval(one, state) << bits | self.eval(other, state),
            ),
            Ex::AtBoundary(agent) => i64::from(
                self.of_agent(*agent)
                    .all(|context| self.between(context, state)),
            ),
            Ex::Done(agent) => i64::from(
                self.of_agent(*agent)
                    .all(|context| self.is_over(context, state)),
            ),
        }
    }
}

fn run_of(actor: Actor, context: &Context) -> Run<'_> {
    Run {
        code: &context.code,
        pc: Some(context.pc),
        actor,
    }
}

fn look_up(table: &[u64], index: i64) -> i64 {
    let word = usize::try_from(index / 64)
        .ok()
        .and_then(|word| table.get(word));
    word.map_or(0, |word| (word >> (index % 64) & 1).cast_signed())
}
