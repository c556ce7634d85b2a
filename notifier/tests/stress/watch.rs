//! Watches an interval, alone or with others under one user lock.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use notifier::contract::{
    Again, FirstPass, Interval, IntervalEvent, IntervalSubscriber, RegisterError, UserLock,
};

use crate::jitter;
use crate::pages::{Copies, Fresh, PAGES, pages, range};
use crate::record::{AfterExit, Record};
use crate::world::World;

/// What the intervals of a user lock hold, by name.
#[derive(Default)]
pub(crate) struct Held(HashMap<String, Copies>);

impl Held {
    fn forget(&mut self, record: &Record, gone: RangeInclusive<usize>, fresh: &Fresh) {
        if let Some(copies) = self.0.get_mut(&record.name) {
            fresh.take(copies, gone, &record.name);
        }
    }

    fn copies(&mut self, record: &Record) -> Option<&mut Copies> {
        self.0.get_mut(&record.name)
    }
}

pub(crate) struct Watch {
    record: Arc<Record>,
    lock: Arc<UserLock<Held>>,
    fresh: Arc<Fresh>,
}

impl IntervalSubscriber for Watch {
    type State = Held;

    fn invalidate(&self, held: &mut Held, event: &IntervalEvent) -> FirstPass {
        let _call = self.record.call("an interval's invalidation");
        let gone = pages(event.range());
        match event {
            IntervalEvent::Release => {
                self.record.release();
                held.forget(&self.record, gone, &self.fresh);
                // What is not there is not filled again.
                held.0.remove(&self.record.name);
                FirstPass::Done
            }
            IntervalEvent::Change(_) if jitter::one_in(2) => FirstPass::Finish(self.finish(gone)),
            IntervalEvent::Change(_) => {
                held.forget(&self.record, gone, &self.fresh);
                FirstPass::Done
            }
        }
    }

    fn try_invalidate(&self, held: &mut Held, event: &IntervalEvent) -> Result<FirstPass, Again> {
        if jitter::one_in(8) {
            let _call = self.record.call("an interval's refusal");
            return Err(Again);
        }
        Ok(self.invalidate(held, event))
    }
}

impl Watch {
    fn finish(&self, gone: RangeInclusive<usize>) -> Box<dyn FnOnce() + Send> {
        let (record, lock) = (Arc::clone(&self.record), Arc::clone(&self.lock));
        let fresh = Arc::clone(&self.fresh);
        Box::new(move || {
            let _call = record.call("an interval's second pass");
            lock.lock().forget(&record, gone, &fresh);
        })
    }
}

/// An interval as its owner has it.
pub(crate) struct Watched {
    interval: Interval<Watch>,
    world: Arc<World>,
}

impl Watched {
    pub(crate) fn insert(
        world: &Arc<World>,
        lock: &Arc<UserLock<Held>>,
        pages: &RangeInclusive<usize>,
    ) -> Result<Self, RegisterError> {
        let record = Record::new("interval", AfterExit::Called, &world.ending);
        lock.lock().0.insert(record.name.clone(), [None; PAGES]);
        let watch = Watch {
            record,
            lock: Arc::clone(lock),
            fresh: Arc::clone(&world.own_page_tables),
        };
        let interval = world.space.insert_interval(range(pages), lock, watch)?;
        Ok(Self {
            interval,
            world: Arc::clone(world),
        })
    }

    fn record(&self) -> &Record {
        &self.interval.subscriber().record
    }

    /// Uses the copy of one of its pages, or reads it unless that is overtaken.
    pub(crate) fn access(&self, page: usize) {
        let pages = pages(self.interval.range());
        let page = page.clamp(*pages.start(), *pages.end());
        let begun = self.interval.read_begin();
        let version = self.world.space.lock_page_table()[page];
        jitter::pause();
        let mut guard = self.interval.lock();
        let retry = self.interval.retry(&guard, begun);
        if let Some(copies) = guard.copies(self.record()) {
            let fresh = &self.world.own_page_tables;
            fresh.check(copies, page, &self.record().name);
            if !retry {
                copies[page] = Some(version);
            }
        }
    }

    pub(crate) fn check_released_by_exit(&self) {
        self.record().check_released_by_exit();
    }

    pub(crate) fn remove(self) {
        let watch = self.interval.subscriber();
        let (record, lock) = (Arc::clone(&watch.record), Arc::clone(&watch.lock));
        record.leave(|| drop(self.interval));
        lock.lock().0.remove(&record.name);
    }
}
