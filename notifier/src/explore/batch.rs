//! Making the steps from some states, which any number of threads can do side by side.

use std::ops::Range;

use super::machine::{Edge, Machine, State};
use super::memo::Memo;
use super::mistake::Mistake;
use super::store::{Store, hash};

/// States that are remembered as found lately: as many as fit well into a processor's second cache.
const RECENT: usize = 1 << 14;

/// Steps after which a batch is full. Few states have more than some, but a scenario may let one have
/// thousands.
const FULL: u64 = 1 << 14;

/// What the steps from some states lead to.
pub(super) struct Batch<const W: usize> {
    /// The states that they lead to, in the order of the steps, without most that are known.
    pub(super) states: Vec<State<W>>,
    /// The hash of each of them.
    pub(super) hashes: Vec<u64>,
    /// Steps that break a condition which was not known to be broken.
    pub(super) broken: Vec<Broken<W>>,
    pub(super) steps: u64,
    /// The first state that no step changes though not all agents are done.
    pub(super) stuck: Option<usize>,
}

/// A step that breaks a condition.
pub(super) struct Broken<const W: usize> {
    pub(super) from: usize,
    pub(super) edge: Edge<W>,
    /// How many of the batch's states come before.
    pub(super) before: usize,
}

/// What one thread needs to make steps.
pub(super) struct Worker<'a, const W: usize> {
    machine: &'a Machine<'a, W>,
    memo: Memo<'a, W>,
    /// States that this worker has handed on lately, each at the place that its hash says.
    recent: Vec<State<W>>,
    edges: Vec<Edge<W>>,
}

impl<'a, const W: usize> Worker<'a, W> {
    /// `known` is a state that was found.
    pub(super) fn new(machine: &'a Machine<'a, W>, known: State<W>) -> Self {
        Self {
            machine,
            memo: Memo::new(machine),
            recent: vec![known; RECENT],
            edges: Vec::new(),
        }
    }

    /// What it has handed on was not taken: only `known` is sure to be found.
    pub(super) fn forget(&mut self, known: State<W>) {
        self.recent.fill(known);
    }

    /// Makes all steps from the first of the states with these numbers, as many as make a batch full;
    /// where to go on. `asked` has a bit for each condition that is not known to be broken.
    pub(super) fn expand(
        &mut self,
        store: &Store<W>,
        from: Range<usize>,
        asked: u16,
        batch: &mut Batch<W>,
    ) -> Result<usize, Mistake> {
        batch.clear();
        for id in from.clone() {
            let state = store.get(id);
            self.edges.clear();
            self.memo.successors(&state, &mut self.edges)?;
            batch.steps += self.edges.len() as u64;
            // An event may go on happening without changing anything.
            let rests = self.edges.iter().all(|edge| edge.state == state);
            let waits = rests && batch.stuck.is_none() && !self.machine.is_final(&state);
            if waits && !self.machine.is_held_up(&state)? {
                batch.stuck = Some(id);
            }
            for edge in &self.edges {
                if edge.effects.broken & asked != 0 {
                    batch.broken.push(Broken {
                        from: id,
                        edge: *edge,
                        before: batch.states.len(),
                    });
                }
                if edge.state != state {
                    hand_on(&mut self.recent, &edge.state, batch);
                }
            }
            if batch.steps >= FULL {
                return Ok(id + 1);
            }
        }
        Ok(from.end)
    }
}

/// What was handed on before is known, or will be when it comes to this.
fn hand_on<const W: usize>(recent: &mut [State<W>], state: &State<W>, batch: &mut Batch<W>) {
    let hash = hash(state);
    let place = &mut recent[usize::try_from(hash >> 32).unwrap_or(0) % RECENT];
    if place != state {
        *place = *state;
        batch.states.push(*state);
        batch.hashes.push(hash);
    }
}

impl<const W: usize> Batch<W> {
    pub(super) fn new() -> Self {
        Self {
            states: Vec::new(),
            hashes: Vec::new(),
            broken: Vec::new(),
            steps: 0,
            stuck: None,
        }
    }

    fn clear(&mut self) {
        self.states.clear();
        self.hashes.clear();
        self.broken.clear();
        (self.steps, self.stuck) = (0, None);
    }

    /// Drops the states that are known already.
    pub(super) fn sift(&mut self, store: &Store<W>) {
        store.touch(&self.hashes);
        let mut kept = 0;
        let mut broken = self.broken.iter_mut().peekable();
        for at in 0..self.states.len() {
            while let Some(broken) = broken.next_if(|broken| broken.before <= at) {
                broken.before = kept;
            }
            let (state, hash) = (self.states[at], self.hashes[at]);
            if store.find_hashed(&state, hash).is_none() {
                (self.states[kept], self.hashes[kept]) = (state, hash);
                kept += 1;
            }
        }
        broken.for_each(|broken| broken.before = kept);
        self.states.truncate(kept);
        self.hashes.truncate(kept);
    }
}
