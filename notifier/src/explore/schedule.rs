//! Who moves when: a way through the states as turns, and the same way gone again.

use std::fmt;

use thiserror::Error;

use super::machine::{Actor, Edge, Effects, Machine, State};
use super::mistake::Mistake;
use super::outcomes::Value;
use super::program::Program;
use super::search::shows;
use super::trace::{Difference, Way};
use super::turn::{Asked, Choices, Told, Until, Whole, Within};
use super::{Cell, Reductions, compile};
use crate::scenario::tree::{Demand, Scope};
use crate::scenario::{Checked, Diagnostic};

/// Ways through `initially` on which a beginning is looked for at most: a file may have any text.
pub const MOST_BEGINNINGS: usize = 1 << 18;

/// Who makes a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mover {
    /// The agent with this number.
    Agent(usize),
    /// A handler: of the agent with this number, the interrupt of this name.
    Interrupt(usize, String),
    /// The event of this name.
    Event(String),
}

impl fmt::Display for Mover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(agent) => write!(f, "agent {agent}"),
            Self::Interrupt(agent, name) => write!(f, "interrupt {name} of agent {agent}"),
            Self::Event(name) => write!(f, "event {name}"),
        }
    }
}

/// All that says which turn comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Who makes it.
    pub mover: Mover,
    /// The number of its first instruction in the mover's code: of its operation, if it begins one.
    pub stop: usize,
    /// Which branch is taken at each choice that it comes to.
    pub choices: Choices,
}

/// A step, or several of one operation of the hardware, which nobody comes between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose, and which.
    pub next: Move,
    /// The mover's name in a trace.
    pub name: String,
    /// What it does; the steps of an operation one after the other.
    pub words: String,
    /// What is different afterwards.
    pub differences: Vec<Difference>,
    /// What everything is afterwards.
    pub after: Vec<Value>,
    /// The names of the conditions that it breaks, or that the state afterwards breaks; in the order
    /// of the file. Of what is allowed, where it is.
    pub shows: Vec<String>,
    /// Whether all agents are done afterwards.
    pub ends: bool,
}

/// A beginning and turns from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What everything is before anybody does anything.
    pub initial: Vec<Value>,
    /// The turns.
    pub turns: Vec<Turn>,
    /// The number of the turn, from 0, before which everything was as it is in the end: from there on
    /// the same can repeat for ever. `None` if nothing repeats.
    pub again: Option<usize>,
    /// What the last turn shows; without turns, what the beginning does.
    pub shows: Vec<String>,
    /// Whether somebody waits for ever in the end: no step changes anything, and not all agents are
    /// done.
    pub stuck: bool,
}

impl Schedule {
    /// What everything is in the end.
    pub fn values(&self) -> &[Value] {
        let last = self.turns.last();
        last.map_or(&self.initial, |turn| &turn.after)
    }
}

/// Why turns can't be made as they are prescribed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Astray {
    /// The scenario itself, in this cell.
    #[error("{0}")]
    Scenario(Diagnostic),
    /// Of a variable there is no value, or it is none.
    #[error("{0}")]
    Value(String),
    /// It does not begin so, or not on the first [`MOST_BEGINNINGS`] ways.
    #[error("the scenario does not begin with these values")]
    Beginning,
    /// A turn can't be made; its number, from 0.
    #[error("turn {number}: {why}")]
    Turn {
        /// Which.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// What is to repeat does not lead back.
    #[error("what is to repeat from turn {0} on does not lead back there")]
    Again(usize),
}

impl From<Diagnostic> for Astray {
    fn from(error: Diagnostic) -> Self {
        Self::Scenario(error)
    }
}

impl From<Mistake> for Astray {
    fn from(mistake: Mistake) -> Self {
        Self::Scenario(mistake.into())
    }
}

/// Makes these turns, one after the other, from a beginning with these values (names and values of
/// all variables, in any order).
///
/// # Errors
/// A cell or scenario that can't be explored, a beginning that is none, a turn that can't be made, a
/// circle that is none.
pub fn follow(
    checked: &Checked,
    cell: &Cell,
    initial: &[(String, u64)],
    moves: &[Move],
    again: Option<usize>,
) -> Result<Schedule, Astray> {
    let program = compile::compile(checked, cell, Reductions::Off)?;
    match program.words {
        1 => go::<1>(&program, initial, moves, again),
        2 => go::<2>(&program, initial, moves, again),
        3 => go::<3>(&program, initial, moves, again),
        _ => go::<4>(&program, initial, moves, again),
    }
}

fn go<const W: usize>(
    program: &Program,
    initial: &[(String, u64)],
    moves: &[Move],
    again: Option<usize>,
) -> Result<Schedule, Astray> {
    let machine = Machine::<W>::whole(program);
    let (begun, mut state) = beginning(&machine, initial)?;
    let mut states = vec![state];
    let mut turns = Vec::new();
    for (number, next) in moves.iter().enumerate() {
        let astray = |why: String| Astray::Turn { number, why };
        let actor = actor(program, &next.mover)
            .ok_or_else(|| astray(format!("there is no {} in this cell", next.mover)))?;
        let asked = Asked {
            choices: Some(&next.choices),
            ..Asked::ALL
        };
        let told = machine.told(actor, &state, &asked)?;
        let told = told.into_iter().next();
        let told = told.ok_or_else(|| astray(format!("{} can't move so there", next.mover)))?;
        let turn = machine.turn(&state, &told);
        if turn.next.stop != next.stop {
            let (is, said) = (turn.next.stop, next.stop);
            let mover = &next.mover;
            return Err(astray(format!(
                "{mover} is at instruction {is}, not at {said}"
            )));
        }
        state = told.edge.state;
        states.push(state);
        turns.push(turn);
    }
    if again.is_some_and(|again| again >= turns.len() || states[again] != state) {
        return Err(Astray::Again(again.unwrap_or_default()));
    }
    Ok(machine.finished(&begun, &state, turns, again)?)
}

/// The beginning with these values, before anybody does anything, and the state after that.
fn beginning<const W: usize>(
    machine: &Machine<'_, W>,
    initial: &[(String, u64)],
) -> Result<(State<W>, State<W>), Astray> {
    let program = machine.program;
    let mut values = Vec::new();
    for shown in &program.shown {
        let mut given = initial.iter().filter(|(name, _)| *name == shown.name);
        match (given.next(), given.next()) {
            (Some((_, value)), None) => values.push((shown.field, *value)),
            (None, _) => return Err(Astray::Value(format!("there is no `{}`", shown.name))),
            _ => return Err(Astray::Value(format!("`{}` is there twice", shown.name))),
        }
    }
    let known = |name: &str| program.shown.iter().any(|shown| shown.name == name);
    if let Some((name, _)) = initial.iter().find(|(name, _)| !known(name)) {
        return Err(Astray::Value(format!("no variable is called `{name}`")));
    }
    let is_it = |state: &State<W>| {
        values
            .iter()
            .all(|(field, value)| field.get(state) == *value)
    };
    let found = machine.beginning(MOST_BEGINNINGS, |begun, _| is_it(begun))?;
    found.ok_or(Astray::Beginning)
}

/// The number of who moves.
fn actor(program: &Program, mover: &Mover) -> Option<Actor> {
    let mut contexts = program.contexts.iter();
    match mover {
        Mover::Agent(agent) => {
            contexts.position(|context| context.agent == *agent && context.condition.is_none())
        }
        Mover::Interrupt(agent, name) => contexts.position(|context| {
            let own = context.name.rsplit_once('.').map(|(_, own)| own);
            context.agent == *agent && context.condition.is_some() && own == Some(name)
        }),
        Mover::Event(name) => {
            let at = program
                .events
                .iter()
                .position(|event| event.name == *name)?;
            Some(program.contexts.len() + at)
        }
    }
}

fn mover(program: &Program, actor: Actor) -> Mover {
    let Some(context) = program.contexts.get(actor) else {
        let event = program.events.get(actor - program.contexts.len());
        return Mover::Event(event.map(|event| event.name.clone()).unwrap_or_default());
    };
    let own = context.name.rsplit_once('.').map(|(_, own)| own.to_owned());
    match (&context.condition, own) {
        (Some(_), Some(own)) => Mover::Interrupt(context.agent, own),
        _ => Mover::Agent(context.agent),
    }
}

impl<'a, const W: usize> Machine<'a, W> {
    /// One that makes operations of the hardware whole.
    pub(super) fn whole(program: &'a Program) -> Self {
        let whole = Whole::of_program(program);
        Self { program, whole }
    }

    /// The first beginning of which this is so: before anybody does anything, and after what agents do
    /// before their first step. It is looked for on so many ways at most.
    fn beginning(
        &self,
        most: usize,
        is_it: impl Fn(&State<W>, &State<W>) -> bool,
    ) -> Result<Option<(State<W>, State<W>)>, Mistake> {
        let (mut ways, mut found) = (self.beginnings(), Vec::new());
        for _ in 0..most {
            if !self.set_up(&mut ways, &mut found)? {
                return Ok(None);
            }
            for begun in found.drain(..) {
                if let Some(Edge { state, .. }) = self.settle(begun)?
                    && is_it(&begun.state, &state)
                {
                    return Ok(Some((begun.state, state)));
                }
            }
        }
        Ok(None)
    }

    /// The beginning of a way that was found, which a search has had within its limits.
    fn begun(&self, first: &State<W>) -> Result<Option<(State<W>, State<W>)>, Mistake> {
        self.beginning(usize::MAX, |_, settled| settled == first)
    }

    /// A way that was found, as turns. `None` only if it is no way of this machine.
    pub(super) fn schedule(
        &self,
        way: &Way<W>,
        again: Option<usize>,
    ) -> Result<Option<Schedule>, Mistake> {
        let Some((begun, mut state)) = self.begun(&way.first)? else {
            return Ok(None);
        };
        let mut turns = Vec::new();
        for edge in &way.edges {
            let told = self.told(edge.actor, &state, &Asked::ALL)?;
            let Some(told) = told.into_iter().find(|told| told.edge == *edge) else {
                return Ok(None);
            };
            turns.push(self.turn(&state, &told));
            state = edge.state;
        }
        let schedule = self.finished(&begun, &state, turns, again)?;
        Ok(Some(schedule))
    }

    fn finished(
        &self,
        begun: &State<W>,
        end: &State<W>,
        turns: Vec<Turn>,
        again: Option<usize>,
    ) -> Result<Schedule, Mistake> {
        let mut edges = Vec::new();
        Machine::new(self.program).successors(end, &mut edges)?;
        let rests = edges.iter().all(|edge| edge.state == *end);
        let shows = match turns.last() {
            Some(turn) => turn.shows.clone(),
            None => self.shown_by(end, Effects::default()),
        };
        Ok(Schedule {
            initial: Value::all(self.program, begun),
            turns,
            again,
            shows,
            stuck: rests && !self.is_final(end),
        })
    }

    fn turn(&self, before: &State<W>, told: &Told<W>) -> Turn {
        let Edge { state, actor, .. } = told.edge;
        let program = self.program;
        let (old, after) = (Value::all(program, before), Value::all(program, &state));
        let pairs = old.into_iter().zip(&after);
        let different = pairs.filter(|(old, new)| old.value != new.value);
        let differences = different.map(|(old, new)| Difference {
            name: old.name,
            before: old.shown,
            after: new.shown.clone(),
        });
        let first = told.stops.first().copied().unwrap_or_default();
        Turn {
            next: Move {
                mover: mover(program, actor),
                stop: self.entry(actor, first),
                choices: told.choices.clone(),
            },
            name: self.words(actor, before).0.into(),
            words: self.words_of(told),
            differences: differences.collect(),
            after,
            shows: self.shown_by(&state, told.edge.effects),
            ends: self.is_final(&state),
        }
    }

    fn words_of(&self, told: &Told<W>) -> String {
        let Some(context) = self.program.contexts.get(told.edge.actor) else {
            let event = self.event(told.edge.actor);
            return event.map(|event| event.words.clone()).unwrap_or_default();
        };
        let mut words: Vec<&str> = Vec::new();
        let stops = told.stops.iter();
        words.extend(stops.map(|stop| context.code.words[*stop].as_str()));
        words.dedup();
        words.join("; ")
    }

    /// The conditions that a step or what it leads to breaks, or that allow it.
    fn shown_by(&self, state: &State<W>, effects: Effects) -> Vec<String> {
        let ended = self.is_final(state);
        let properties = self.program.properties.iter().enumerate();
        let shown = properties.filter(|(number, wanted)| {
            let asked = wanted.demand != Demand::Progress && (wanted.scope == Scope::Ever || ended);
            effects.broken >> number & 1 == 1 || asked && shows(self, wanted, state)
        });
        shown.map(|(_, wanted)| wanted.name.clone()).collect()
    }

    /// A way of single steps, with what each of them comes into the midst of: the number of the
    /// step, the actor whose operation is not over yet, and the instruction at which it stands.
    pub(super) fn interruptions(
        &self,
        way: &Way<W>,
    ) -> Result<Vec<(usize, Actor, usize)>, Mistake> {
        let mut within: Vec<Option<(Within, usize)>> = vec![None; self.actors()];
        let mut state = way.first;
        let mut all = Vec::new();
        for (number, edge) in way.edges.iter().enumerate() {
            let begun = within.iter().enumerate();
            let others = begun.filter(|(actor, _)| *actor != edge.actor);
            all.extend(others.filter_map(|(actor, at)| Some((number, actor, (*at)?.1))));
            let asked = Asked {
                until: Until::Step,
                within: within[edge.actor]
                    .map(|(within, _)| within)
                    .unwrap_or_default(),
                choices: None,
            };
            let told = self.told(edge.actor, &state, &asked)?;
            let told = told.into_iter().find(|told| told.edge == *edge);
            within[edge.actor] = told.and_then(|told| {
                let at = self.stop_at(edge.actor, &edge.state)?;
                let operations = self.whole.of(edge.actor);
                told.within.unfinished(at, operations)?;
                Some((told.within, at))
            });
            state = edge.state;
        }
        Ok(all)
    }

    /// The instruction at which a context stands.
    fn stop_at(&self, actor: Actor, state: &State<W>) -> Option<usize> {
        let context = self.program.contexts.get(actor)?;
        let stop = usize::try_from(context.pc.get(state)).ok()?;
        context.code.stops.get(stop).copied()
    }
}
