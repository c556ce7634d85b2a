//! All intervals of an address space, and the invalidations that are open.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::context::{Context, Inside, SpaceId};
use super::super::panics::Panics;
use super::super::{Again, Blocking, IntervalEvent, RangeEvent};
use super::FirstPass;
use super::sequence::{Ended, Overlap, Sequence, When};
use super::tree::{IntervalTree, Key};
use super::watcher::Watch;
use crate::addr::{AddrRange, Gva};
use crate::sync::model::{Condvar, Mutex, lock, wait_while};

pub(in super::super) struct Intervals {
    space: SpaceId,
    /// Whether dispatch looks here at all.
    pub(in super::super) adopted: AtomicBool,
    state: Mutex<State>,
    idle: Condvar,
}

struct State {
    sequence: Sequence,
    tree: IntervalTree<Arc<dyn Watch>>,
    /// Where every interval is that was not removed.
    places: HashMap<Id, Place>,
    deferred: Vec<Deferred>,
    next: Id,
    /// Whether the address space has ended: nobody is told anything more.
    ended: bool,
}

/// Which interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct Id(u64);

enum Place {
    InTree(Key),
    /// Inserted when the number is even again.
    Awaited,
}

/// A change that has to wait until the number is even.
enum Deferred {
    Insert(Id, AddrRange<Gva>, Arc<dyn Watch>),
    Remove(Key),
}

impl State {
    fn insert(&mut self, id: Id, range: AddrRange<Gva>, watcher: Arc<dyn Watch>) {
        let key = self.tree.insert(range, watcher);
        self.places.insert(id, Place::InTree(key));
    }

    /// Does what was deferred.
    fn catch_up(&mut self) {
        for deferred in std::mem::take(&mut self.deferred) {
            match deferred {
                Deferred::Insert(id, range, watcher) => self.insert(id, range, watcher),
                Deferred::Remove(key) => {
                    self.tree.remove(key);
                }
            }
        }
    }

    /// Inserts those who wait for that. Nobody may read for them before the number is even, so nothing
    /// changes but that they are told of what starts now.
    fn insert_awaited(&mut self) {
        let (inserts, removes) = std::mem::take(&mut self.deferred)
            .into_iter()
            .partition(|deferred| matches!(deferred, Deferred::Insert(..)));
        self.deferred = inserts;
        self.catch_up();
        self.deferred = removes;
    }

    fn forget_awaited(&mut self, gone: Id) {
        self.deferred
            .retain(|deferred| !matches!(deferred, Deferred::Insert(id, ..) if *id == gone));
    }

    fn overlapping(&self, range: AddrRange<Gva>) -> Vec<Arc<dyn Watch>> {
        let hits = self.tree.overlapping(range);
        hits.map(|(_, _, watcher)| Arc::clone(watcher)).collect()
    }
}

/// An invalidation that ends here: refused, or its subscriber panicked.
struct Opened<'a>(&'a Intervals);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Intervals {
    pub(in super::super) fn new(space: SpaceId) -> Self {
        let state = State {
            sequence: Sequence::new(),
            tree: IntervalTree::new(),
            places: HashMap::new(),
            deferred: Vec::new(),
            next: Id(0),
            ended: false,
        };
        Self {
            space,
            adopted: AtomicBool::new(false),
            state: Mutex::new(state),
            idle: Condvar::new(),
        }
    }

    /// Adds an interval, at once or when the number is even again; reads of it wait until then.
    pub(in super::super) fn insert(&self, range: AddrRange<Gva>, watcher: Arc<dyn Watch>) -> Id {
        let state = &mut *lock(&self.state);
        let id = state.next;
        state.next = Id(id.0 + 1);
        let (when, number) = state.sequence.insert();
        watcher.set_number(number);
        match when {
            When::Now => state.insert(id, range, watcher),
            When::AtIdle => {
                state.places.insert(id, Place::Awaited);
                state.deferred.push(Deferred::Insert(id, range, watcher));
            }
        }
        id
    }

    /// Takes an interval out. On return none of its callbacks runs or will run.
    pub(in super::super) fn remove(&self, id: Id) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        match (state.places.remove(&id), state.sequence.when()) {
            (Some(Place::InTree(key)), When::Now) => {
                state.tree.remove(key);
            }
            (Some(Place::InTree(key)), When::AtIdle) => {
                state.deferred.push(Deferred::Remove(key));
                let number = state.sequence.number();
                drop(wait_while(&self.idle, guard, |state| {
                    state.sequence.number() == number
                }));
            }
            (Some(Place::Awaited), _) => state.forget_awaited(id),
            (None, _) => {}
        }
    }

    /// The watcher's number once no invalidation that it was told of is open.
    pub(in super::super) fn read_begin(&self, watcher: &dyn Watch) -> u64 {
        let state = lock(&self.state);
        let number = watcher.number();
        // Once is enough: a new invalidation meanwhile shows when the read is checked.
        drop(wait_while(&self.idle, state, |state| {
            state.sequence.number() == number
        }));
        number
    }

    /// Tells those whom the event concerns, in order of their intervals.
    ///
    /// # Errors
    /// [`Again`] if one refused. Those after it were not told, second passes that were owed have run,
    /// and there is no end to be told.
    #[track_caller]
    pub(in super::super) fn start(&self, event: &RangeEvent) -> Result<(), Again> {
        let opened = Opened(self);
        self.invalidate(&IntervalEvent::Change(*event))?;
        std::mem::forget(opened);
        Ok(())
    }

    /// An invalidation that was started has ended.
    pub(in super::super) fn end(&self) {
        let state = &mut *lock(&self.state);
        if state.sequence.end() == Ended::Idle {
            state.catch_up();
            self.idle.notify_all();
        }
    }

    /// The address space ends, and everybody hears of it who came before: also who came while the
    /// number was odd, whose first reads would otherwise wait until the pages are freed, and then take
    /// a copy that nobody takes away (Linux is safe as far as readers hold `mm_users`).
    #[track_caller]
    pub(in super::super) fn release(&self) {
        lock(&self.state).insert_awaited();
        let _opened = Opened(self);
        // Nobody refuses who may sleep.
        let _never = self.invalidate(&IntervalEvent::Release);
        lock(&self.state).ended = true;
    }

    #[track_caller]
    fn invalidate(&self, event: &IntervalEvent) -> Result<(), Again> {
        let (watchers, number) = self.open(event.range());
        let (mut finishes, mut panics) = (Vec::new(), Panics::default());
        let _inside = Inside::new(self.context(event));
        let first_passes = panics.catch(|| {
            watchers.iter().try_for_each(|watcher| {
                match watcher.invalidate(event, number)? {
                    FirstPass::Done => {}
                    FirstPass::Finish(finish) => finishes.push(finish),
                }
                Ok(())
            })
        });
        // What was begun is completed, whatever became of the rest.
        panics.catch_each(finishes.into_iter(), |finish| finish());
        panics.resume();
        first_passes.unwrap_or(Ok(()))
    }

    fn open(&self, range: AddrRange<Gva>) -> (Vec<Arc<dyn Watch>>, u64) {
        let state = &mut *lock(&self.state);
        let watchers = if state.ended {
            Vec::new()
        } else {
            state.overlapping(range)
        };
        let overlap = if watchers.is_empty() {
            Overlap::None
        } else {
            Overlap::Some
        };
        state.sequence.start(overlap);
        (watchers, state.sequence.number())
    }

    fn context(&self, event: &IntervalEvent) -> Context {
        match event.blocking() {
            Blocking::Allowed => Context::Callback(self.space),
            Blocking::Forbidden => Context::AtomicCallback(self.space),
        }
    }

    /// The current number: even when idle.
    pub(in super::super) fn number(&self) -> u64 {
        lock(&self.state).sequence.number()
    }
}
