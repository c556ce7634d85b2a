//! Breadth-first search over all states.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use super::batch::{Batch, Worker};
use super::machine::{Edge, Machine, Misfit, State};
use super::program::Wanted;
use super::store::{Store, hash};
use super::{Bound, Limits, Progress};
use crate::scenario::tree::{Demand, Scope};

/// States whose steps are made and looked up together, so that the processor waits for memory once
/// for many; between them it is asked whether to go on.
const BATCH: usize = 128;
/// Batches that a thread makes before all wait for each other, if there are several.
const ROUND: usize = 256;
/// Steps between two looks at whether to go on.
const REPORT: u64 = 1 << 16;

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

/// Who is told how far it has come, and how far it may go.
struct Watch<'a> {
    limits: &'a Limits,
    report: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    /// The steps when it was told last.
    reported: u64,
}

impl Watch<'_> {
    /// The limit that keeps it from going on.
    fn hit<const W: usize>(&self, store: &Store<W>) -> Option<Bound> {
        let Limits { states, memory, .. } = *self.limits;
        if store.len() >= states {
            Some(Bound::States(states))
        } else if store.bytes_with_one_more() > memory {
            Some(Bound::Memory(memory))
        } else {
            None
        }
    }
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
    /// Where somebody waits for ever: no step changes anything, and not all are done.
    pub(super) stuck: Option<usize>,
    /// Whether all agents are done somewhere.
    pub(super) ended: bool,
    pub(super) steps: u64,
    /// Why it was not carried to its end.
    pub(super) cut: Option<Bound>,
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
        if self.store.len() == 0 {
            return Ok(());
        }
        let worker = |_| Worker::new(self.machine, self.store.get(0));
        let mut workers: Vec<_> = (0..limits.threads.get()).map(worker).collect();
        let mut watch = Watch {
            limits,
            report,
            reported: 0,
        };
        let mut at = 0;
        while at < self.store.len() {
            let end = self.store.len();
            self.levels.push(end);
            while at < end {
                at = self.round(at..end, &mut workers, &mut watch)?;
                if self.is_over() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Makes the steps from the first of these states, on several threads if there are many; where
    /// to go on. All that is found is settled in the order in which one thread finds it.
    fn round(
        &mut self,
        states: Range<usize>,
        workers: &mut [Worker<'a, W>],
        watch: &mut Watch<'_>,
    ) -> Result<usize, Misfit> {
        let share = (states.len() / workers.len()).next_multiple_of(BATCH);
        if workers.len() == 1 || share < ROUND / 8 * BATCH {
            return self.alone(states, &mut workers[0], watch);
        }
        let share = share.min(ROUND * BATCH);
        let (store, asked) = (&self.store, self.asked());
        let shares = batches(states.clone(), share);
        let made: Vec<_> = std::thread::scope(|scope| {
            let running = workers.iter_mut().zip(shares).map(|(worker, share)| {
                scope.spawn(move || {
                    let batches = batches(share, BATCH);
                    let batches = batches.map(|range| sifted(worker, store, range, asked));
                    batches.collect::<Vec<_>>()
                })
            });
            let running: Vec<_> = running.collect();
            let ended = running.into_iter().map(|thread| thread.join());
            ended
                .map(|made| made.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        for batch in made.into_iter().flatten() {
            self.settle(&batch?, watch);
            if self.is_over() {
                break;
            }
        }
        Ok(states.end.min(states.start + share * workers.len()))
    }

    fn alone(
        &mut self,
        states: Range<usize>,
        worker: &mut Worker<'a, W>,
        watch: &mut Watch<'_>,
    ) -> Result<usize, Misfit> {
        let mut batch = Batch::new();
        for range in batches(states.clone(), BATCH) {
            worker.expand(&self.store, range, self.asked(), &mut batch)?;
            self.settle(&batch, watch);
            if self.is_over() {
                break;
            }
        }
        Ok(states.end)
    }

    /// The conditions that no step is known to break.
    fn asked(&self) -> u16 {
        let found = self.found.iter().enumerate();
        let asked = found.filter(|(_, found)| found.is_none());
        asked.fold(0, |asked, (property, _)| asked | 1 << property)
    }

    fn settle(&mut self, batch: &Batch<W>, watch: &mut Watch<'_>) {
        self.steps += batch.steps;
        self.stuck = self.stuck.or(batch.stuck);
        self.store.touch(&batch.hashes);
        let mut broken = batch.broken.iter().peekable();
        for (at, (state, hash)) in batch.states.iter().zip(&batch.hashes).enumerate() {
            while let Some(broken) = broken.next_if(|broken| broken.before == at) {
                self.broken(broken.from, &broken.edge);
            }
            if !self.store.insert(state, *hash) {
                continue;
            }
            self.see(state);
            self.cut = watch.hit(&self.store);
            if self.cut.is_some() {
                return;
            }
        }
        broken.for_each(|broken| self.broken(broken.from, &broken.edge));
        if self.steps >= watch.reported + REPORT {
            watch.reported = self.steps;
            let progress = Progress {
                states: self.store.len(),
                depth: self.levels.len() - 1,
            };
            if (watch.report)(progress).is_break() {
                self.cut = Some(Bound::Interrupted);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.cut.is_some() || self.is_decided()
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

/// These numbers in pieces of `size`, the last perhaps smaller.
fn batches(all: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let first = all.clone().step_by(size);
    first.map(move |first| first..all.end.min(first + size))
}

/// What is new of the steps from these states, to a thread that sees only what was settled before.
fn sifted<const W: usize>(
    worker: &mut Worker<'_, W>,
    store: &Store<W>,
    states: Range<usize>,
    asked: u16,
) -> Result<Batch<W>, Misfit> {
    let mut batch = Batch::new();
    worker.expand(store, states, asked, &mut batch)?;
    batch.sift(store);
    Ok(batch)
}
