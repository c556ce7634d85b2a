//! Breadth-first search over all states.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use super::batch::{Batch, Worker};
use super::machine::{Edge, Machine, State};
use super::mistake::Mistake;
use super::program::Wanted;
use super::store::{Store, hash};
use super::{Bound, Limits, Progress, Until};
use crate::scenario::tree::{Demand, Scope};

/// States whose steps are made and looked up together, so that the processor waits for memory once
/// for many; between them it is asked whether to go on.
const BATCH: usize = 128;
/// Batches that a thread makes before all wait for each other, if there are several.
const ROUND: usize = 256;
/// States that a thread hands over at most before that.
const HANDED: usize = 1 << 17;
/// Steps between two looks at whether to go on.
const REPORT: u64 = 1 << 16;

/// What a search looks for; when it has all of it, it ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Every condition is decided.
    Conditions,
    /// The conditions with these bits are broken, and (or not) somebody waits for ever.
    Broken { conditions: u16, stuck: bool },
    /// All states are found.
    States,
}

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
    /// How much was done when it was told last: steps, or choices at the beginning.
    reported: u64,
}

impl Watch<'_> {
    /// The limit that keeps it from taking one more state.
    fn hit<const W: usize>(&self, store: &Store<W>) -> Option<Bound> {
        let states = self.limits.states;
        let full = (store.len() >= states).then_some(Bound::States(states));
        full.or(self.fills(store, 0))
    }

    /// The limit that keeps it from going on with so many bytes in use beside the states.
    fn fills<const W: usize>(&self, store: &Store<W>, beside: usize) -> Option<Bound> {
        let memory = self.limits.memory;
        let bytes = store.bytes_with_one_more().saturating_add(beside);
        (bytes > memory).then_some(Bound::Memory(memory))
    }

    /// Tells how far it has come, if enough was done since the last time; whether it is to stop.
    fn tell(&mut self, done: u64, progress: Progress) -> Option<Bound> {
        if done < self.reported + REPORT {
            return None;
        }
        self.reported = done;
        (self.report)(progress)
            .is_break()
            .then_some(Bound::Interrupted)
    }
}

/// All that was found.
pub(super) struct Search<'a, const W: usize> {
    pub(super) machine: &'a Machine<'a, W>,
    /// What ends it.
    pub(super) until: Until,
    goal: Goal,
    pub(super) store: Store<W>,
    /// The first state of each distance from the beginning.
    pub(super) levels: Vec<usize>,
    /// For each condition, where it was broken (or, if it asks for something, where that was).
    pub(super) found: Vec<Option<Found<W>>>,
    /// A bit for each condition that a step is known to break; with [`Goal::States`] all of them.
    pub(super) broken_by_step: u16,
    /// For each table, the rows.
    pub(super) rows: Vec<BTreeSet<Vec<i64>>>,
    /// Where somebody waits for ever: no step changes anything, and not all are done.
    pub(super) stuck: Option<usize>,
    /// Whether all agents are done somewhere.
    pub(super) ended: bool,
    /// Whether all states were found: neither a limit nor the last answer stopped it.
    pub(super) complete: bool,
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
    ) -> Result<Self, Mistake> {
        Self::run_for(Goal::Conditions, machine, limits, report)
    }

    /// Searches until that is found or a limit is hit.
    pub(super) fn run_for(
        goal: Goal,
        machine: &'a Machine<'a, W>,
        limits: &Limits,
        report: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Self, Mistake> {
        let program = machine.program;
        let mut search = Self {
            machine,
            until: limits.until,
            goal,
            store: Store::new(program.bits),
            levels: vec![0],
            found: program.properties.iter().map(|_| None).collect(),
            broken_by_step: 0,
            rows: program.tables.iter().map(|_| BTreeSet::new()).collect(),
            stuck: None,
            ended: false,
            complete: false,
            steps: 0,
            cut: None,
        };
        let mut watch = Watch {
            limits,
            report,
            reported: 0,
        };
        search.begin(&mut watch)?;
        watch.reported = 0;
        search.all(&mut watch)?;
        Ok(search)
    }

    /// Finds the initial states, of which there may be too many as well.
    fn begin(&mut self, watch: &mut Watch<'_>) -> Result<(), Mistake> {
        let mut ways = self.machine.beginnings();
        let (mut found, mut gone) = (Vec::new(), 0);
        while self.cut.is_none() && self.machine.begin(&mut ways, &mut found)? {
            gone += 1;
            for Edge { state, .. } in found.drain(..) {
                self.begin_with(&state, watch);
            }
            let told = watch.tell(gone, self.progress());
            let beside = ways.bytes_with_one_more();
            let full = watch.fills(&self.store, beside);
            self.cut = self.cut.or(told).or(full).or(self.enough());
        }
        Ok(())
    }

    fn begin_with(&mut self, state: &State<W>, watch: &Watch<'_>) {
        let hash = hash(state);
        if self.store.find_hashed(state, hash).is_some() {
            return;
        }
        self.cut = self.cut.or(watch.hit(&self.store));
        if self.cut.is_none() && self.store.insert(state, hash) {
            self.see(state);
        }
    }

    fn all(&mut self, watch: &mut Watch<'_>) -> Result<(), Mistake> {
        if self.store.len() == 0 || self.cut.is_some() {
            return Ok(());
        }
        let worker = |_| Worker::new(self.machine, self.store.get(0));
        let mut workers: Vec<_> = (0..watch.limits.threads.get()).map(worker).collect();
        let mut at = 0;
        while at < self.store.len() {
            let end = self.store.len();
            self.levels.push(end);
            while at < end {
                at = self.round(at..end, &mut workers, watch)?;
                if self.is_over() {
                    return Ok(());
                }
            }
        }
        self.complete = true;
        Ok(())
    }

    /// Makes the steps from the first of these states, on several threads if there are many; where
    /// to go on. All that is found is settled in the order in which one thread finds it.
    fn round(
        &mut self,
        states: Range<usize>,
        workers: &mut [Worker<'a, W>],
        watch: &mut Watch<'_>,
    ) -> Result<usize, Mistake> {
        let share = (states.len() / workers.len()).next_multiple_of(BATCH);
        if workers.len() == 1 || share < ROUND / 8 * BATCH {
            return self.alone(states, &mut workers[0], watch);
        }
        let (store, asked) = (&self.store, self.asked());
        let shares = shares(states, share.min(ROUND * BATCH));
        let made: Vec<_> = std::thread::scope(|scope| {
            let running = workers.iter_mut().zip(shares).map(|(worker, share)| {
                let end = share.end;
                let made = move || sifted(worker, store, share, asked);
                (end, scope.spawn(made))
            });
            let running: Vec<_> = running.collect();
            let ended = running.into_iter().map(|(end, thread)| {
                let made = thread.join();
                let made = made.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                (end, made)
            });
            ended.collect()
        });
        let mut at = 0;
        for (end, share) in made {
            for (batch, from) in share {
                self.settle(&batch?, watch);
                at = from;
                if self.is_over() {
                    return Ok(at);
                }
            }
            // What others have made from states behind those that this one has left is made again.
            if at < end {
                let known = self.store.get(0);
                workers.iter_mut().for_each(|worker| worker.forget(known));
                break;
            }
        }
        Ok(at)
    }

    fn alone(
        &mut self,
        states: Range<usize>,
        worker: &mut Worker<'a, W>,
        watch: &mut Watch<'_>,
    ) -> Result<usize, Mistake> {
        let mut batch = Batch::new();
        let mut at = states.start;
        while at < states.end && !self.is_over() {
            let states = at..batch_end(at, states.end);
            at = worker.expand(&self.store, states, self.asked(), &mut batch)?;
            self.settle(&batch, watch);
        }
        Ok(at)
    }

    /// The conditions of which it is asked whether a step breaks them.
    fn asked(&self) -> u16 {
        match self.goal {
            Goal::States => !self.broken_by_step,
            Goal::Conditions | Goal::Broken { .. } => self.open(),
        }
    }

    /// The conditions that are not known to be broken.
    fn open(&self) -> u16 {
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
        let told = watch.tell(self.steps, self.progress());
        self.cut = told.or(self.enough());
    }

    /// Whether something is broken, and no more is asked.
    fn enough(&self) -> Option<Bound> {
        let wanted = self.machine.program.properties.iter().zip(&self.found);
        let mut broken = wanted.filter(|(wanted, _)| wanted.demand != Demand::Allowed);
        let ends = self.until == Until::Broken
            && (self.stuck.is_some() || broken.any(|(_, found)| found.is_some()));
        ends.then_some(Bound::Broken)
    }

    fn progress(&self) -> Progress {
        Progress {
            states: self.store.len(),
            depth: self.levels.len() - 1,
        }
    }

    fn is_over(&self) -> bool {
        self.cut.is_some() || self.is_decided()
    }

    fn broken(&mut self, from: usize, edge: &Edge<W>) {
        self.broken_by_step |= edge.effects.broken;
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

    /// Whether going on can change nothing that is asked. That something is possible is no answer
    /// as long as it is not known whether the scenario comes to its end at all.
    fn is_decided(&self) -> bool {
        match self.goal {
            Goal::States => return false,
            Goal::Broken { conditions, stuck } => {
                return self.open() & conditions == 0 && (self.stuck.is_some() || !stuck);
            }
            Goal::Conditions => {}
        }
        let program = self.machine.program;
        let mut wanted = program.properties.iter().zip(&self.found);
        let broken = |wanted: &Wanted| wanted.demand != Demand::Allowed;
        program.tables.is_empty()
            && (self.ended || program.properties.iter().any(broken))
            && wanted.all(|(wanted, found)| wanted.demand != Demand::Progress && found.is_some())
    }
}

/// Whether a state shows what a condition forbids, or is what it allows.
pub(super) fn shows<const W: usize>(
    machine: &Machine<'_, W>,
    wanted: &Wanted,
    state: &State<W>,
) -> bool {
    let Some(condition) = &wanted.condition else {
        return false;
    };
    match wanted.demand {
        Demand::Forbidden | Demand::Allowed => machine.eval(condition, state) != 0,
        Demand::Required => machine.eval(condition, state) == 0,
        Demand::Progress => false,
    }
}

/// Where the batch that begins at `at` ends: a batch never goes beyond a multiple of its size, so that
/// it is the same whoever makes it.
fn batch_end(at: usize, end: usize) -> usize {
    end.min((at + 1).next_multiple_of(BATCH))
}

/// These numbers in pieces of about `share`, each with whole batches but at both ends.
fn shares(all: Range<usize>, share: usize) -> impl Iterator<Item = Range<usize>> {
    let border = move |at: usize| all.end.min((at + share).next_multiple_of(BATCH));
    let first = (all.start < all.end).then(|| all.start..border(all.start));
    std::iter::successors(first, move |last| {
        let next = last.end..border(last.end);
        (!next.is_empty()).then_some(next)
    })
}

/// A batch, and from where its maker goes on.
type Made<const W: usize> = (Result<Batch<W>, Mistake>, usize);

/// What is new of the steps from these states, to a thread that sees only what was settled before; it
/// stops early if that is very much, or at a mistake.
fn sifted<const W: usize>(
    worker: &mut Worker<'_, W>,
    store: &Store<W>,
    states: Range<usize>,
    asked: u16,
) -> Vec<Made<W>> {
    let (mut made, mut at, mut handed) = (Vec::new(), states.start, 0);
    while at < states.end && handed < HANDED {
        let mut batch = Batch::new();
        match worker.expand(store, at..batch_end(at, states.end), asked, &mut batch) {
            Ok(next) => at = next,
            Err(mistake) => {
                made.push((Err(mistake), at));
                break;
            }
        }
        batch.sift(store);
        handed += batch.states.len();
        made.push((Ok(batch), at));
    }
    made
}
