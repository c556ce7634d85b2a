//! Turns: steps of one actor that nobody comes between, and how they were made.
//!
//! What real hardware does in one go takes several steps here. Where operations are made whole, whoever
//! has begun one goes on until it is over, and all that is one step of the machine.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::code::{Code, Instr};
use super::machine::{Actor, Edge, Machine, State};
use super::mistake::Mistake;
use super::program::Program;
use super::step::{Come, MOST_WAYS, Next, Point, Reach, Run, stops};

/// The operations of each actor, as ranges of its instructions.
#[derive(Clone, Debug, Default)]
pub(super) struct Whole {
    actors: Vec<Vec<Range<usize>>>,
}

impl Whole {
    /// Those of a program that knows them.
    pub(super) fn of_program(program: &Program) -> Self {
        let contexts = program.contexts.iter().map(|context| &context.code);
        let events = program.events.iter().map(|event| &event.code);
        let ranges = |code: &Code| {
            let all = code.operations.iter().map(|one| one.code.clone());
            all.filter(|range| !range.is_empty()).collect()
        };
        Self {
            actors: contexts.chain(events).map(ranges).collect(),
        }
    }

    /// Those of one actor.
    pub(super) fn of(&self, actor: Actor) -> &[Range<usize>] {
        self.actors.get(actor).map_or(&[], Vec::as_slice)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.actors.iter().all(Vec::is_empty)
    }
}

/// Whether an actor is within an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Within {
    operation: Option<usize>,
    /// Whether a step of it was begun: what others can't see may come before that.
    begun: bool,
}

impl Within {
    /// The same before the instruction `at` is made.
    fn before(self, at: usize, operations: &[Range<usize>], code: &Code) -> Self {
        let begins = code.starts[at];
        let stays = self.operation.filter(|one| operations[*one].contains(&at));
        match stays {
            Some(_) => Self {
                begun: self.begun || begins,
                ..self
            },
            None => {
                let operation = operations.iter().position(|one| one.contains(&at));
                let begun = operation.is_some() && begins;
                Self { operation, begun }
            }
        }
    }

    /// The operation that is still to be ended at a stop there.
    pub(super) fn unfinished(self, at: usize, operations: &[Range<usize>]) -> Option<usize> {
        let operation = self.operation.filter(|_| self.begun)?;
        operations[operation].contains(&at).then_some(operation)
    }
}

/// Which branches are taken at the choices of a turn, in the order in which it comes to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Those of the program.
    pub program: Vec<usize>,
    /// Those within an operation of the hardware.
    pub hardware: Vec<usize>,
}

/// A turn and how it was made.
#[derive(Debug)]
pub(super) struct Told<const W: usize> {
    pub(super) edge: Edge<W>,
    /// The instructions at which its steps began.
    pub(super) stops: Vec<usize>,
    pub(super) choices: Choices,
    /// In what operation it ends.
    pub(super) within: Within,
}

/// Something to remember of a way, and what came before it.
#[derive(Clone, Copy, Debug)]
enum Mark {
    Stop(usize),
    Program(usize),
    Hardware(usize),
}

/// One way of a turn.
#[derive(Clone, Copy, Debug)]
struct Path<const W: usize> {
    point: Point<W>,
    within: Within,
    /// Its last mark.
    mark: Option<usize>,
    /// How many of the branches that are prescribed were taken.
    taken: [usize; 2],
}

/// All that what follows on a way depends on.
type Key<const W: usize> = (Come<W>, Within, [usize; 2]);

/// Where a way can come to twice.
#[derive(Clone, Copy)]
enum Place {
    Choice,
    Stop,
}

/// How a turn goes on from where it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// It does not: a turn is one step.
    Step,
    /// It does within an operation.
    Whole,
}

/// What a turn is to be.
pub(super) struct Asked<'a> {
    pub(super) until: Until,
    /// In what operation it begins.
    pub(super) within: Within,
    /// Which branches it is to take, if that is prescribed.
    pub(super) choices: Option<&'a Choices>,
}

impl Asked<'_> {
    /// All ways of an actor that has no operation begun.
    pub(super) const ALL: Asked<'static> = Asked {
        until: Until::Whole,
        within: Within {
            operation: None,
            begun: false,
        },
        choices: None,
    };
}

/// The ways of a turn that are still to be gone.
struct Walk<'a, const W: usize> {
    run: Run<'a>,
    operations: &'a [Range<usize>],
    asked: &'a Asked<'a>,
    waiting: Vec<Path<W>>,
    /// The choices and the stops that were come to.
    seen: [HashMap<Key<W>, State<W>>; 2],
    reach: Reach,
    /// Each with the one before it.
    marks: Vec<(Mark, Option<usize>)>,
}

impl<const W: usize> Machine<'_, W> {
    /// Makes the turns that begin at `begin`, each with its operation to the end.
    pub(super) fn turns(
        &self,
        run: Run<'_>,
        begin: Point<W>,
        out: &mut Vec<Edge<W>>,
    ) -> Result<Reach, Mistake> {
        self.walk(run, begin, &Asked::ALL, &mut |_, _, edge| out.push(edge))
    }

    /// The turns that an actor may make, and how.
    pub(super) fn told(
        &self,
        actor: Actor,
        state: &State<W>,
        asked: &Asked<'_>,
    ) -> Result<Vec<Told<W>>, Mistake> {
        let mut all = Vec::new();
        let Some((run, point)) = self.next_of(actor, state) else {
            return Ok(all);
        };
        self.walk(run, point, asked, &mut |walk, path, mut edge| {
            self.clear_scratch(&mut edge);
            all.extend(walk.tell(path, edge));
        })?;
        Ok(all)
    }

    fn walk(
        &self,
        run: Run<'_>,
        begin: Point<W>,
        asked: &Asked<'_>,
        found: &mut dyn FnMut(&Walk<'_, W>, &Path<W>, Edge<W>),
    ) -> Result<Reach, Mistake> {
        let mut walk = Walk {
            run,
            operations: self.whole.of(run.actor),
            asked,
            waiting: Vec::new(),
            seen: Default::default(),
            reach: Reach::Alike,
            marks: vec![(Mark::Stop(begin.at), None)],
        };
        let begin = Path {
            point: begin,
            within: asked.within,
            mark: Some(0),
            taken: [0; 2],
        };
        self.follow(&mut walk, begin, found)?;
        while let Some(path) = walk.waiting.pop() {
            let at = path.point.at;
            if let Some(path) = self.arrive(&mut walk, path, found) {
                self.follow(&mut walk, path, found)?;
            }
            if walk.seen.iter().any(|seen| seen.len() > MOST_WAYS) {
                let (span, most) = (run.code.spans[at], MOST_WAYS);
                return Err(Mistake::Ways { span, most });
            }
        }
        Ok(walk.reach)
    }

    /// Goes one way up to the next choice or to the end of the turn.
    fn follow(
        &self,
        walk: &mut Walk<'_, W>,
        mut path: Path<W>,
        found: &mut dyn FnMut(&Walk<'_, W>, &Path<W>, Edge<W>),
    ) -> Result<(), Mistake> {
        loop {
            let at = path.point.at;
            path.within = path.within.before(at, walk.operations, walk.run.code);
            let broken = path.point.effects.broken;
            match self.instruct(walk.run.code, &mut path.point)? {
                Next::Never => return Ok(()),
                Next::Choice => {
                    walk.choose(path);
                    return Ok(());
                }
                Next::On => {}
            }
            if path.within.operation.is_some() && walk.asked.until == Until::Whole {
                // Only the model sees what it does: hardware has no conditions in its midst.
                path.point.effects.broken = broken;
            }
            match self.arrive(walk, path, found) {
                Some(on) => path = on,
                None => return Ok(()),
            }
        }
    }

    /// Where a way has come to: it goes on from there, or the turn is over.
    fn arrive(
        &self,
        walk: &mut Walk<'_, W>,
        mut path: Path<W>,
        found: &mut dyn FnMut(&Walk<'_, W>, &Path<W>, Edge<W>),
    ) -> Option<Path<W>> {
        let at = path.point.at;
        if !stops(walk.run, at) {
            return Some(path);
        }
        let edge = self.stop(walk.run, path.point);
        let unfinished = path.within.unfinished(at, walk.operations).is_some();
        if walk.asked.until == Until::Step || !unfinished {
            found(walk, &path, edge);
            return None;
        }
        path.point.state = edge.state;
        path.mark = walk.mark(Mark::Stop(at), path.mark);
        // Who comes back to the same place goes round for ever.
        walk.is_new(Place::Stop, &path).then_some(path)
    }
}

impl<const W: usize> Walk<'_, W> {
    fn is_new(&mut self, place: Place, path: &Path<W>) -> bool {
        let taken = match self.asked.choices {
            Some(_) => path.taken,
            None => [0; 2],
        };
        let (come, written) = (path.point.come(), path.point.written);
        match self.seen[place as usize].entry((come, path.within, taken)) {
            Entry::Vacant(new) => {
                new.insert(written);
                true
            }
            Entry::Occupied(seen) => {
                if *seen.get() != written {
                    self.reach = Reach::Here;
                }
                false
            }
        }
    }

    fn mark(&mut self, mark: Mark, before: Option<usize>) -> Option<usize> {
        self.marks.push((mark, before));
        Some(self.marks.len() - 1)
    }

    fn choose(&mut self, path: Path<W>) {
        let Instr::Choose(branches) = &self.run.code.instrs[path.point.at] else {
            return;
        };
        if !self.is_new(Place::Choice, &path) {
            return;
        }
        let kind = usize::from(path.within.operation.is_some());
        let prescribed = self.asked.choices.map(|choices| {
            let all = [&choices.program, &choices.hardware];
            all[kind].get(path.taken[kind])
        });
        for (branch, at) in branches.iter().enumerate().rev() {
            if prescribed.is_some_and(|one| one != Some(&branch)) {
                continue;
            }
            let mark = match kind {
                0 => Mark::Program(branch),
                _ => Mark::Hardware(branch),
            };
            let mut next = path;
            next.point.at = *at;
            next.taken[kind] += 1;
            next.mark = self.mark(mark, path.mark);
            self.waiting.push(next);
        }
    }

    /// How this way was gone; nothing if it does not take all the branches that are prescribed.
    fn tell(&self, path: &Path<W>, edge: Edge<W>) -> Option<Told<W>> {
        let mut told = Told {
            edge,
            stops: Vec::new(),
            choices: Choices::default(),
            within: path.within,
        };
        let mut last = path.mark;
        while let Some((mark, before)) = last.and_then(|at| self.marks.get(at)) {
            match mark {
                Mark::Stop(at) => told.stops.push(*at),
                Mark::Program(branch) => told.choices.program.push(*branch),
                Mark::Hardware(branch) => told.choices.hardware.push(*branch),
            }
            last = *before;
        }
        told.stops.reverse();
        told.choices.program.reverse();
        told.choices.hardware.reverse();
        let asked = self.asked.choices;
        asked
            .is_none_or(|asked| *asked == told.choices)
            .then_some(told)
    }
}

impl<const W: usize> Machine<'_, W> {
    /// Whether somebody could move on from a state if operations need not be made whole.
    pub(super) fn is_held_up(&self, state: &State<W>) -> Result<bool, Mistake> {
        if self.whole.is_empty() {
            return Ok(false);
        }
        let mut edges = Vec::new();
        Machine::new(self.program).successors(state, &mut edges)?;
        Ok(edges.iter().any(|edge| edge.state != *state))
    }

    /// The first instruction of what an actor does next: of its operation, if it begins one.
    pub(super) fn entry(&self, actor: Actor, stop: usize) -> usize {
        let operations = self.whole.of(actor).iter();
        let mut of_it = operations.filter(|one| one.contains(&stop));
        of_it.next().map_or(stop, |one| one.start)
    }
}
