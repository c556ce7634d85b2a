//! Breadth-first search over all states.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::machine::{Edge, Machine, Misfit, State};
use super::program::Wanted;
use super::store::{Store, hash};
use super::{Bound, Limits, Progress};
use crate::scenario::tree::{Demand, Scope};

/// Steps that are looked up together, so that the processor waits for memory once for many.
const BATCH: usize = 512;
/// Steps between two looks at whether to go on.
const REPORT: usize = 1 << 16;

/// Where something was first found, in as few steps as possible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<const W: usize> {
    /// How many states were known then.
    pub(super) states: usize,
    pub(super) place: Place<W>,
}

/// A state, or a step from one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<const W: usize> {
    At(usize),
    Step(usize, Edge<W>),
}

/// All that was found.
pub(super) struct Search<'a, const W: usize> {
    pub(super) machine: &'a Machine<'a, W>,
    pub(super) store: Store<W>,
    /// The first state of each distance from the beginning.
    pub(super) levels: Vec<usize>,
    /// For each condition, where it was broken (or, if it asks for something, where that was).
    pub(super) found: Vec<Option<Found<W>>>,
    /// For each table, the rows.
    pub(super) rows: Vec<BTreeSet<Vec<i64>>>,
    /// Where somebody waits for ever: no step can be made, and not all are done.
    pub(super) stuck: Option<usize>,
    /// Whether all agents are done somewhere.
    pub(super) ended: bool,
    pub(super) steps: u64,
    /// Why it was not carried to its end.
    pub(super) cut: Option<Bound>,
}

/// Steps that wait to be looked up, each with the state that it is from.
struct Batch<const W: usize> {
    edges: Vec<Edge<W>>,
    from: Vec<usize>,
    hashes: Vec<u64>,
}

impl<'a, const W: usize> Search<'a, W> {
    /// Searches until all is known or a limit is hit.
    pub(super) fn run(
        machine: &'a Machine<'a, W>,
        limits: &Limits,
        report: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Self, Misfit> {
        let program = machine.program;
        let mut search = Self {
            machine,
            store: Store::new(program.bits),
            levels: vec![0],
            found: program.properties.iter().map(|_| None).collect(),
            rows: program.tables.iter().map(|_| BTreeSet::new()).collect(),
            stuck: None,
            ended: false,
            steps: 0,
            cut: None,
        };
        for edge in machine.initial()? {
            if search.store.insert(&edge.state, hash(&edge.state)) {
                search.see(&edge.state);
            }
        }
        search.all(limits, report)?;
        Ok(search)
    }

    fn all(
        &mut self,
        limits: &Limits,
        report: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), Misfit> {
        let mut batch = Batch {
            edges: Vec::new(),
            from: Vec::new(),
            hashes: Vec::new(),
        };
        let mut at = 0;
        let mut reported = 0;
        while at < self.store.len() {
            let end = self.store.len();
            self.levels.push(end);
            while at < end {
                at = self.expand(at, end, &mut batch)?;
                self.settle(&mut batch, limits);
                if self.cut.is_some() || self.is_decided() {
                    return Ok(());
                }
                if self.steps >= reported + REPORT as u64 {
                    reported = self.steps;
                    let progress = Progress {
                        states: self.store.len(),
                        depth: self.levels.len() - 1,
                    };
                    if report(progress).is_break() {
                        self.cut = Some(Bound::Interrupted);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes the steps from states, beginning with `at`, until there are enough; where to go on.
    fn expand(&mut self, mut at: usize, end: usize, batch: &mut Batch<W>) -> Result<usize, Misfit> {
        while at < end && batch.edges.len() < BATCH {
            let state = self.store.get(at);
            let before = batch.edges.len();
            self.machine.successors(&state, &mut batch.edges)?;
            if batch.edges.len() == before && self.stuck.is_none() && !self.machine.is_final(&state)
            {
                self.stuck = Some(at);
            }
            batch.from.resize(batch.edges.len(), at);
            at += 1;
        }
        Ok(at)
    }

    fn settle(&mut self, batch: &mut Batch<W>, limits: &Limits) {
        batch
            .hashes
            .extend(batch.edges.iter().map(|edge| hash(&edge.state)));
        let touched: u32 = batch
            .hashes
            .iter()
            .map(|hash| self.store.touch(*hash))
            .fold(0, |all, one| all ^ one);
        std::hint::black_box(touched);
        for (at, edge) in batch.edges.iter().enumerate() {
            self.steps += 1;
            if edge.effects.broken != 0 {
                self.broken(batch.from[at], edge);
            }
            if !self.store.insert(&edge.state, batch.hashes[at]) {
                continue;
            }
            self.see(&edge.state);
            if self.store.len() >= limits.states {
                self.cut = Some(Bound::States(limits.states));
            } else if self.store.bytes_with_one_more() > limits.memory {
                self.cut = Some(Bound::Memory(limits.memory));
            }
            if self.cut.is_some() {
                break;
            }
        }
        batch.edges.clear();
        batch.from.clear();
        batch.hashes.clear();
    }

    fn broken(&mut self, from: usize, edge: &Edge<W>) {
        for property in 0..self.found.len() {
            if edge.effects.broken >> property & 1 == 1 {
                self.find(property, Place::Step(from, *edge));
            }
        }
    }

    fn find(&mut self, property: usize, place: Place<W>) {
        let states = self.store.len();
        self.found[property].get_or_insert(Found { states, place });
    }

    /// Looks at the state that was added last.
    fn see(&mut self, state: &State<W>) {
        let machine = self.machine;
        let id = self.store.len() - 1;
        let ended = machine.is_final(state);
        self.ended |= ended;
        for (number, wanted) in machine.program.properties.iter().enumerate() {
            let asked = wanted.scope == Scope::Ever || ended;
            if asked && self.found[number].is_none() && shows(machine, wanted, state) {
                self.find(number, Place::At(id));
            }
        }
        for (rows, table) in self.rows.iter_mut().zip(&machine.program.tables) {
            rows.insert(
                table
                    .columns
                    .iter()
                    .map(|(_, ex, _)| machine.eval(ex, state))
                    .collect(),
            );
        }
    }

    /// Whether going on can change nothing that is asked.
    fn is_decided(&self) -> bool {
        let program = self.machine.program;
        let mut wanted = program.properties.iter().zip(&self.found);
        program.tables.is_empty()
            && wanted.all(|(wanted, found)| wanted.demand != Demand::Progress && found.is_some())
    }
}

/// Whether a state shows what a condition forbids, or is what it allows.
fn shows<const W: usize>(machine: &Machine<'_, W>, wanted: &Wanted, state: &State<W>) -> bool {
    let Some(condition) = &wanted.condition else {
        return false;
    };
    match wanted.demand {
        Demand::Forbidden | Demand::Allowed => machine.eval(condition, state) != 0,
        Demand::Required => machine.eval(condition, state) == 0,
        Demand::Progress => false,
    }
}
