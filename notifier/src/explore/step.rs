//! Making one step: straight on, and in every way where there is a choice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::code::{Code, Instr, Target};
use super::layout::Field;
use super::machine::{Actor, Edge, Effects, Machine, State};
use super::mistake::Mistake;
use crate::scenario::Span;

/// The most ways in which one step of an agent may come to its choices.
pub(super) const MOST_WAYS: usize = 1 << 12;

/// Whose step is made.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) code: &'a Code,
    /// The program counter to store at the next stop; an event has none.
    pub(super) pc: Option<Field>,
    pub(super) actor: Actor,
}

/// How far a step has come on one way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<const W: usize> {
    pub(super) at: usize,
    pub(super) state: State<W>,
    pub(super) effects: Effects,
    /// The bits that were put there, whatever they were before.
    pub(super) written: State<W>,
}

impl<const W: usize> Point<W> {
    /// Where a step begins.
    pub(super) fn new(at: usize, state: State<W>) -> Self {
        Self {
            at,
            state,
            effects: Effects::default(),
            written: [0; W],
        }
    }

    /// All that what follows depends on.
    pub(super) fn come(&self) -> Come<W> {
        (self.at, self.state, self.effects)
    }
}

/// Where a way has come to, and with what.
pub(super) type Come<const W: usize> = (usize, State<W>, Effects);

/// Of which states it is known that a step does what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Of all in which the bits that it looks at are the same.
    Alike,
    /// Only of this one: a way was left out that came to the same as another one, but has put other
    /// bits there, so that in another state it would not come to the same.
    Here,
}

/// What an instruction leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next one.
    On,
    /// Several: it is a choice, and none is made yet.
    Choice,
    /// None: the step can't be made.
    Never,
}

/// The ways of a step that are still to be gone.
///
/// Where two come to the same choice with the same state and effects, only the first goes on:
/// what follows would be the same, and choices that come together again would double the work each.
#[derive(Debug)]
pub(super) struct Ways<const W: usize> {
    waiting: Vec<Point<W>>,
    /// The choices that were come to, with the bits that were put there.
    seen: HashMap<Come<W>, State<W>>,
    /// The choice that was come to last.
    last: usize,
    reach: Reach,
}

impl<const W: usize> Ways<W> {
    /// The way from this point, which may be the end.
    pub(super) fn from(point: Point<W>) -> Self {
        Self {
            waiting: vec![point],
            seen: HashMap::new(),
            last: point.at,
            reach: Reach::Alike,
        }
    }

    /// Goes on from a choice, if nobody was there before.
    fn choose(&mut self, choice: Point<W>, code: &Code) {
        let Instr::Choose(branches) = &code.instrs[choice.at] else {
            return;
        };
        match self.seen.entry(choice.come()) {
            Entry::Occupied(seen) if *seen.get() != choice.written => self.reach = Reach::Here,
            Entry::Occupied(_) => {}
            Entry::Vacant(new) => {
                new.insert(choice.written);
                self.last = choice.at;
                let branches = branches.iter().rev();
                self.waiting
                    .extend(branches.map(|at| Point { at: *at, ..choice }));
            }
        }
    }

    /// Bytes in use if one more choice came.
    pub(super) fn bytes_with_one_more(&self) -> usize {
        let full = self.seen.len() == self.seen.capacity();
        // While a table grows, the old one is there beside the new one, which is twice as large.
        let places = self.seen.capacity().max(4) * if full { 3 } else { 1 };
        (places + self.waiting.capacity()) * (size_of::<Point<W>>() + 1)
    }
}

impl<const W: usize> Machine<'_, W> {
    /// Makes the step that begins at `begin`; what may come of it goes to `out`.
    pub(super) fn run(
        &self,
        run: Run<'_>,
        begin: Point<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<Reach, Mistake> {
        // Few steps have a choice; nothing is allocated for the others.
        let Some(choice) = self.straight(run, begin, out)? else {
            return Ok(Reach::Alike);
        };
        let mut ways = Ways::from(choice);
        ways.waiting.clear();
        ways.choose(choice, run.code);
        while self.advance(run, &mut ways, out)? {
            if ways.seen.len() > MOST_WAYS {
                let (span, most) = (run.code.spans[ways.last], MOST_WAYS);
                return Err(Mistake::Ways { span, most });
            }
        }
        Ok(ways.reach)
    }

    /// Goes one way, up to the next choice or to the end of the step; whether there was one to go.
    pub(super) fn advance(
        &self,
        run: Run<'_>,
        ways: &mut Ways<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<bool, Mistake> {
        let Some(point) = ways.waiting.pop() else {
            return Ok(false);
        };
        if stops(run, point.at) {
            out.push(self.stop(run, point));
        } else if let Some(choice) = self.straight(run, point, out)? {
            ways.choose(choice, run.code);
        }
        Ok(true)
    }

    /// Goes on to the end of the step, or up to a choice.
    fn straight(
        &self,
        run: Run<'_>,
        mut point: Point<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<Option<Point<W>>, Mistake> {
        loop {
            match self.instruct(run.code, &mut point)? {
                Next::On => {}
                Next::Choice => return Ok(Some(point)),
                Next::Never => return Ok(None),
            }
            if stops(run, point.at) {
                out.push(self.stop(run, point));
                return Ok(None);
            }
        }
    }

    /// Makes one instruction, and moves on to the next one unless it is a choice.
    #[inline]
    pub(super) fn instruct(&self, code: &Code, point: &mut Point<W>) -> Result<Next, Mistake> {
        let (at, state) = (point.at, point.state);
        let mut next = at + 1;
        match &code.instrs[at] {
            Instr::Assign(target, value, span) => {
                let value = self.eval(value, &state);
                self.put(target, value, *span, point)?;
            }
            Instr::Cmpxchg(target, now, old, new, success, span) => {
                let same = self.eval(now, &state) == self.eval(old, &state);
                if same {
                    let new = self.eval(new, &state);
                    self.put(target, new, *span, point)?;
                }
                self.put(success, same.into(), *span, point)?;
            }
            Instr::Await(condition) if self.eval(condition, &state) == 0 => return Ok(Next::Never),
            Instr::Unless(condition, to) if self.eval(condition, &state) == 0 => next = *to,
            Instr::Jump(to) => next = *to,
            Instr::Choose(_) => return Ok(Next::Choice),
            Instr::Forbid(property, condition) => {
                let broken = u16::from(self.eval(condition, &state) != 0) << property;
                point.effects.broken |= broken;
            }
            Instr::Count(counter) => point.effects.counted |= 1 << counter,
            Instr::Await(_) | Instr::Unless(..) | Instr::Enter => {}
            Instr::End => next = at,
        }
        point.at = next;
        Ok(Next::On)
    }

    /// The step is over, and the next one of this actor begins where it is now.
    pub(super) fn stop(&self, run: Run<'_>, point: Point<W>) -> Edge<W> {
        let Point {
            at,
            mut state,
            effects,
            ..
        } = point;
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
        Edge {
            state,
            actor: run.actor,
            effects,
        }
    }

    fn put(
        &self,
        target: &Target,
        value: i64,
        span: Span,
        point: &mut Point<W>,
    ) -> Result<(), Mistake> {
        let most = target.most;
        let Some(value) = u64::try_from(value).ok().filter(|value| *value <= most) else {
            return Err(Mistake::Misfit { span, value, most });
        };
        let index = target
            .index
            .as_ref()
            .map_or(0, |index| self.eval(index, &point.state));
        let Some(field) = usize::try_from(index)
            .ok()
            .and_then(|index| target.fields.get(index))
        else {
            return Ok(());
        };
        let (value, bits) = match target.part {
            None => (value, u64::MAX),
            Some((shift, ones)) => {
                let rest = field.get(&point.state) & !(ones << shift);
                (rest | value << shift, ones << shift)
            }
        };
        field.set(&mut point.state, value);
        let written = field.get(&point.written) | bits;
        field.set(&mut point.written, written);
        Ok(())
    }
}

/// Whether a step that has come to `at` is over.
pub(super) fn stops(run: Run<'_>, at: usize) -> bool {
    run.code.starts[at] && run.pc.is_some() || matches!(run.code.instrs[at], Instr::End)
}
