//! Ways to what is broken on which every operation of the hardware is made whole, so that they can be
//! forced on real hardware: who has begun one goes on until it is over before anybody else moves.

use std::ops::ControlFlow;

use super::machine::Machine;
use super::mistake::Mistake;
use super::program::{Program, Wanted};
use super::report::Verdict;
use super::schedule::Schedule;
use super::search::{Goal, Search};
use super::trace::{Trace, Way};
use super::{Bound, Cell, Limits, Progress, Reductions, compile};
use crate::scenario::tree::Demand;
use crate::scenario::{Checked, Diagnostic};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The condition of this name does not hold.
    Condition(String),
    /// Somebody waits for ever: no step changes anything, and not all agents are done.
    Deadlock,
}

/// What was found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forced {
    /// There is a way to it: a shortest one, by the number of turns.
    Way(Verdict, Box<Schedule>),
    /// There are ways to it, but somebody comes into the midst of an operation on all of them.
    Unforceable(Verdict, Box<Unforceable>),
    /// There is no way to it.
    Nowhere,
    /// The search was stopped before that was known.
    Undecided(Bound),
}

/// Why there is no way with all operations whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unforceable {
    /// A shortest way to it, in single steps.
    pub trace: Trace,
    /// The steps on it that come into the midst of somebody else's operation. There are none where it
    /// is within an operation that it is seen, and nowhere between two.
    pub conflicts: Vec<Conflict>,
}

/// A step that comes between two of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The number of the step, from 0.
    pub step: usize,
    /// Who makes it.
    pub name: String,
    /// Whose operation is not over.
    pub owner: String,
    /// The step of it that is still to be made.
    pub words: String,
}

impl Unforceable {
    /// In a sentence.
    pub fn reason(&self) -> String {
        match self.conflicts.first() {
            None => {
                "it is seen only in the midst of an operation of the hardware, or by a condition \
                     within one"
                    .into()
            }
            Some(conflict) => format!(
                "step {} ({}) comes into the midst of an operation of {}, which hardware makes at once: \
                 before `{}`",
                conflict.step + 1,
                conflict.name,
                conflict.owner,
                conflict.words
            ),
        }
    }
}

/// Looks for ways to these breaches of one cell; one result for each, in their order. Of a condition
/// that allows something nothing is broken, so there is no way. `limits.memory` is for two searches.
///
/// # Errors
/// As [`explore`](super::explore()); a condition that the file does not have.
pub fn forced(
    checked: &Checked,
    cell: &Cell,
    breaches: &[Breach],
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Forced>, Diagnostic> {
    let mut program = compile::compile(checked, cell, Reductions::Off)?;
    program.tables.clear();
    match program.words {
        1 => force::<1>(&program, breaches, limits, watch),
        2 => force::<2>(&program, breaches, limits, watch),
        3 => force::<3>(&program, breaches, limits, watch),
        _ => force::<4>(&program, breaches, limits, watch),
    }
}

/// What a breach is for a search.
#[derive(Clone, Copy)]
enum Wish {
    Broken(usize),
    Lost(usize),
    Stuck,
    Nothing,
}

fn wish(program: &Program, breach: &Breach) -> Result<Wish, Diagnostic> {
    let Breach::Condition(name) = breach else {
        return Ok(Wish::Stuck);
    };
    let mut properties = program.properties.iter().enumerate();
    let found = properties.find(|(_, wanted)| wanted.name == *name);
    let unknown = || Diagnostic::whole(format!("no condition is called `{name}`"));
    let (number, wanted) = found.ok_or_else(unknown)?;
    Ok(match wanted.demand {
        Demand::Progress => Wish::Lost(number),
        Demand::Allowed => Wish::Nothing,
        Demand::Forbidden | Demand::Required => Wish::Broken(number),
    })
}

/// When a search has all that these ask for.
fn goal(wishes: &[Wish]) -> Goal {
    let (mut conditions, mut stuck) = (0, false);
    for wish in wishes {
        match wish {
            Wish::Broken(number) => conditions |= 1 << number,
            Wish::Stuck => stuck = true,
            Wish::Lost(_) => return Goal::States,
            Wish::Nothing => {}
        }
    }
    Goal::Broken { conditions, stuck }
}

fn force<const W: usize>(
    program: &Program,
    breaches: &[Breach],
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Forced>, Diagnostic> {
    let wishes: Result<Vec<_>, _> = breaches.iter().map(|one| wish(program, one)).collect();
    let wishes = wishes?;
    let limits = Limits {
        memory: limits.memory / 2,
        ..*limits
    };
    let machine = Machine::<W>::whole(program);
    let whole = Search::run_for(goal(&wishes), &machine, &limits, watch)?;
    let mut found = Vec::new();
    for wish in &wishes {
        found.push(whole.forced(*wish)?);
    }
    let open = wishes.iter().zip(&found);
    let open = open
        .filter(|(_, found)| found.is_none())
        .map(|(wish, _)| *wish);
    let open: Vec<Wish> = open.collect();
    if open.is_empty() {
        return Ok(found.into_iter().flatten().collect());
    }
    let single = Machine::<W>::new(program);
    let steps = Search::run_for(goal(&open), &single, &limits, watch)?;
    let told = wishes.iter().zip(found).map(|(wish, found)| match found {
        Some(found) => Ok(found),
        None => whole.beside(&steps, *wish),
    });
    let told: Result<_, Mistake> = told.collect();
    Ok(told?)
}

impl<const W: usize> Search<'_, W> {
    /// The way to what was found with operations whole.
    fn forced(&self, wish: Wish) -> Result<Option<Forced>, Mistake> {
        let way = match wish {
            Wish::Nothing => return Ok(Some(Forced::Nowhere)),
            Wish::Lost(_) => return Ok(None),
            Wish::Broken(number) => match &self.found[number] {
                Some(found) => self.way_to_place(&found.place)?,
                None => return Ok(None),
            },
            Wish::Stuck => match self.stuck {
                Some(id) => self.way_to(id)?,
                None => return Ok(None),
            },
        };
        self.as_turns(&way, None, Verdict::Violated)
    }

    fn as_turns(
        &self,
        way: &Way<W>,
        again: Option<usize>,
        verdict: Verdict,
    ) -> Result<Option<Forced>, Mistake> {
        let schedule = self.machine.schedule(way, again)?;
        Ok(schedule.map(|schedule| Forced::Way(verdict, Box::new(schedule))))
    }

    /// What a search in single steps has found that this one, with operations whole, has not.
    fn beside(&self, steps: &Self, wish: Wish) -> Result<Forced, Mistake> {
        let (way, again, verdict) = match wish {
            Wish::Nothing => return Ok(Forced::Nowhere),
            Wish::Lost(number) => return self.livelock(steps, number),
            Wish::Broken(number) => match &steps.found[number] {
                Some(found) => (steps.way_to_place(&found.place)?, None, Verdict::Violated),
                None => return Ok(steps.nowhere()),
            },
            Wish::Stuck => match steps.stuck {
                Some(id) => (steps.way_to(id)?, None, Verdict::Violated),
                None => return Ok(steps.nowhere()),
            },
        };
        self.unforceable(steps, &way, again, verdict)
    }

    fn nowhere(&self) -> Forced {
        self.cut.map_or(Forced::Nowhere, Forced::Undecided)
    }

    fn unforceable(
        &self,
        steps: &Self,
        way: &Way<W>,
        again: Option<usize>,
        verdict: Verdict,
    ) -> Result<Forced, Mistake> {
        if let Some(bound) = self.cut {
            return Ok(Forced::Undecided(bound));
        }
        let told = Unforceable {
            trace: steps.tell(way, again),
            conflicts: self.machine.conflicts(way)?,
        };
        Ok(Forced::Unforceable(verdict, Box::new(told)))
    }

    /// The states from which success can't be reached are those of the search in single steps; the way
    /// into them, and round in a circle there, is this one's.
    fn livelock(&self, steps: &Self, number: usize) -> Result<Forced, Mistake> {
        let wanted: &Wanted = &self.machine.program.properties[number];
        let (Some(success), None) = (&wanted.condition, steps.cut) else {
            return Ok(steps.nowhere());
        };
        let lost = steps.lost(|state| steps.machine.eval(success, state) != 0)?;
        let Some(first) = lost.first() else {
            return Ok(Forced::Nowhere);
        };
        let is_lost = |id: &usize| {
            let of_steps = steps.store.find(&self.store.get(*id));
            of_steps.is_some_and(|id| lost.contains(id))
        };
        if let Some(id) = (0..self.store.len()).find(is_lost) {
            let (way, again) = self.way_around(id, wanted.counter)?;
            if let Some(found) = self.as_turns(&way, again, Verdict::Livelock)? {
                return Ok(found);
            }
        }
        let (way, again) = steps.way_around(first, wanted.counter)?;
        self.unforceable(steps, &way, again, Verdict::Livelock)
    }
}

impl<const W: usize> Machine<'_, W> {
    fn conflicts(&self, way: &Way<W>) -> Result<Vec<Conflict>, Mistake> {
        let contexts = &self.program.contexts;
        let conflict = |(step, actor, at): (usize, usize, usize)| {
            let by = way.edges.get(step).map(|edge| edge.actor)?;
            let of = contexts.get(actor)?;
            let event = || self.event(by).map(|event| event.name.clone());
            let name = contexts.get(by).map(|context| context.name.clone());
            Some(Conflict {
                step,
                name: name.or_else(event)?,
                owner: of.name.clone(),
                words: of.code.words.get(at)?.clone(),
            })
        };
        let all = self.interruptions(way)?;
        Ok(all.into_iter().filter_map(conflict).collect())
    }
}

#[cfg(test)]
mod tests;
