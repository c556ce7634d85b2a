//! The abstract machine: from a state to all that may come next.
//!
//! Memory is sequentially consistent: a step sees all that earlier steps did.

use super::code::{Code, Ex, Instr, Target};
use super::layout::Field;
use super::program::Program;
use crate::scenario::Span;

/// A packed state.
pub(super) type State<const W: usize> = [u64; W];

/// Who makes a step: a context, or an event numbered after those.
pub(super) type Actor = usize;

/// What a step does beyond changing the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// A value that does not fit where the step at this place puts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misfit {
    pub(super) span: Span,
    pub(super) value: i64,
    pub(super) most: u64,
}

/// A program over states of `W` words.
pub(super) struct Machine<'a, const W: usize> {
    pub(super) program: &'a Program,
}

/// A step that is being made.
struct Run<'a, const W: usize> {
    code: &'a Code,
    /// The program counter to store at the next stop; an event has none.
    pc: Option<Field>,
    actor: Actor,
    out: &'a mut Vec<Edge<W>>,
}

impl<const W: usize> Machine<'_, W> {
    /// All states in which the scenario may begin.
    pub(super) fn initial(&self) -> Result<Vec<Edge<W>>, Misfit> {
        let mut state = [0; W];
        for (field, value) in &self.program.defaults {
            field.set(&mut state, *value);
        }
        let mut begun = Vec::new();
        let code = &self.program.initial;
        let mut run = Run {
            code,
            pc: None,
            actor: 0,
            out: &mut begun,
        };
        self.run(&mut run, state, 0, Effects::default())?;
        for (actor, context) in self.program.contexts.iter().enumerate() {
            let code = &context.code;
            let mut next = Vec::new();
            for edge in begun {
                let mut run = Run {
                    code,
                    pc: Some(context.pc),
                    actor,
                    out: &mut next,
                };
                match code.stop_of.first().copied().flatten() {
                    Some(_) => self.stop(&mut run, edge.state, 0, edge.effects),
                    None => self.run(&mut run, edge.state, 0, edge.effects)?,
                }
            }
            begun = next;
        }
        Ok(begun)
    }

    /// All steps that may be made in `state`, in an order that depends on nothing else.
    pub(super) fn successors(
        &self,
        state: &State<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<(), Misfit> {
        (0..self.actors()).try_for_each(|actor| self.steps_of(actor, state, out))
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
    ) -> Result<(), Misfit> {
        let Some(context) = self.program.contexts.get(actor) else {
            return self.happen(actor, state, out);
        };
        let at = context.pc.get(state);
        if !self.may_step(actor, at, state) {
            return Ok(());
        }
        let code = &context.code;
        let Some(first) = usize::try_from(at).ok().and_then(|at| code.stops.get(at)) else {
            return Ok(());
        };
        // Whoever is at the end has nothing more to do.
        if matches!(code.instrs[*first], Instr::End) {
            return Ok(());
        }
        let mut run = Run {
            code,
            pc: Some(context.pc),
            actor,
            out,
        };
        self.run(&mut run, *state, *first, Effects::default())
    }

    fn happen(&self, actor: Actor, state: &State<W>, out: &mut Vec<Edge<W>>) -> Result<(), Misfit> {
        let event = &self.program.events[actor - self.program.contexts.len()];
        if self.eval(&event.condition, state) == 0 {
            return Ok(());
        }
        let before = out.len();
        let mut run = Run {
            code: &event.code,
            pc: None,
            actor,
            out,
        };
        self.run(&mut run, *state, 0, Effects::default())?;
        for edge in &mut out[before..] {
            let scratch = event.scratch.iter();
            scratch.for_each(|field| field.set(&mut edge.state, 0));
        }
        Ok(())
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

    fn is_over(&self, context: usize, state: &State<W>) -> bool {
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

    fn run(
        &self,
        run: &mut Run<'_, W>,
        mut state: State<W>,
        mut at: usize,
        mut effects: Effects,
    ) -> Result<(), Misfit> {
        loop {
            let mut next = at + 1;
            match &run.code.instrs[at] {
                Instr::Assign(target, value, span) => {
                    let value = self.eval(value, &state);
                    self.put(target, value, *span, &mut state)?;
                }
                Instr::Cmpxchg(target, now, old, new, success, span) => {
                    let same = self.eval(now, &state) == self.eval(old, &state);
                    if same {
                        let new = self.eval(new, &state);
                        self.put(target, new, *span, &mut state)?;
                    }
                    self.put(success, same.into(), *span, &mut state)?;
                }
                Instr::Await(condition) if self.eval(condition, &state) == 0 => return Ok(()),
                Instr::Unless(condition, to) if self.eval(condition, &state) == 0 => next = *to,
                Instr::Jump(to) => next = *to,
                Instr::Choose(branches) => {
                    for branch in branches {
                        self.go_on(run, state, *branch, effects)?;
                    }
                    return Ok(());
                }
                Instr::Forbid(property, condition) => {
                    effects.broken |= u16::from(self.eval(condition, &state) != 0) << property;
                }
                Instr::Count(counter) => effects.counted |= 1 << counter,
                Instr::Await(_) | Instr::Unless(..) | Instr::Enter => {}
                Instr::End => next = at,
            }
            if self.stops(run, next) {
                self.stop(run, state, next, effects);
                return Ok(());
            }
            at = next;
        }
    }

    fn go_on(
        &self,
        run: &mut Run<'_, W>,
        state: State<W>,
        at: usize,
        effects: Effects,
    ) -> Result<(), Misfit> {
        if self.stops(run, at) {
            self.stop(run, state, at, effects);
            return Ok(());
        }
        self.run(run, state, at, effects)
    }

    #[expect(clippy::unused_self, reason = "belongs with `stop`")]
    fn stops(&self, run: &Run<'_, W>, at: usize) -> bool {
        run.code.starts[at] && run.pc.is_some() || matches!(run.code.instrs[at], Instr::End)
    }

    /// The step is over, and the next one of this actor begins at `at`.
    fn stop(&self, run: &mut Run<'_, W>, mut state: State<W>, at: usize, effects: Effects) {
        if let (Some(pc), Some(stop)) = (run.pc, run.code.stop_of.get(at).copied().flatten()) {
            let keep = &run.code.keep[stop as usize];
            state
                .iter_mut()
                .zip(keep)
                .for_each(|(word, keep)| *word &= keep);
            let handler = self.program.contexts[run.actor].condition.is_some();
            let ended = handler && matches!(run.code.instrs[at], Instr::End);
            pc.set(&mut state, if ended { 0 } else { stop.into() });
        }
        run.out.push(Edge {
            state,
            actor: run.actor,
            effects,
        });
    }

    fn put(
        &self,
        target: &Target,
        value: i64,
        span: Span,
        state: &mut State<W>,
    ) -> Result<(), Misfit> {
        let Some(value) = u64::try_from(value)
            .ok()
            .filter(|value| *value <= target.most)
        else {
            return Err(Misfit {
                span,
                value,
                most: target.most,
            });
        };
        let index = target
            .index
            .as_ref()
            .map_or(0, |index| self.eval(index, state));
        let Some(field) = usize::try_from(index)
            .ok()
            .and_then(|index| target.fields.get(index))
        else {
            return Ok(());
        };
        let value = match target.part {
            None => value,
            Some((shift, ones)) => field.get(state) & !(ones << shift) | value << shift,
        };
        field.set(state, value);
        Ok(())
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

fn look_up(table: &[u64], index: i64) -> i64 {
    let word = usize::try_from(index / 64)
        .ok()
        .and_then(|word| table.get(word));
    word.map_or(0, |word| (word >> (index % 64) & 1).cast_signed())
}
