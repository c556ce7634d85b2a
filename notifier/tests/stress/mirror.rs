//! Page tables of a subscriber's own, kept by KVM's rules.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notifier::contract::{Blocking, RangeEvent, might_sleep};

use crate::pages::{Copies, PAGES, pages};
use crate::record::{RELEASE, Record};
use crate::world::World;
use crate::{check, delivered, jitter};

pub(crate) struct Mirror {
    pub(crate) record: Arc<Record>,
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Vec<RangeEvent>,
    ended: u64,
    copies: Copies,
    is_frozen: bool,
}

impl State {
    fn may_install(&self, page: usize) -> bool {
        let mut open = self.open.iter();
        !self.is_frozen && !open.any(|event| pages(event.range).contains(&page))
    }
}

impl Mirror {
    pub(crate) fn new(record: Arc<Record>, world: &Arc<World>) -> Self {
        Self {
            record,
            world: Arc::clone(world),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn start(&self, event: &RangeEvent) {
        let _call = self.record.call("a start");
        sleep_if_allowed(event);
        delivered::start(&self.record, event);
        let state = &mut *self.state();
        state.open.push(*event);
        let fresh = &self.world.own_page_tables;
        fresh.take(&mut state.copies, pages(event.range), &self.record.name);
    }

    pub(crate) fn end(&self, event: &RangeEvent) {
        let _call = self.record.call("an end");
        sleep_if_allowed(event);
        delivered::end(&self.record, event);
        let state = &mut *self.state();
        let at = state.open.iter().position(|open| open == event);
        check!(
            at.is_some(),
            "{}: {event} ends but is not open",
            self.record.name
        );
        at.map(|at| state.open.swap_remove(at));
        state.ended += 1;
    }

    pub(crate) fn release(&self) {
        let _call = self.record.call(RELEASE);
        self.record.release();
        self.state().is_frozen = true;
        self.let_go();
    }

    /// Takes every copy away, as each user of a shared one does before it gives it back: nobody
    /// calls its release.
    pub(crate) fn let_go(&self) {
        let fresh = &self.world.own_page_tables;
        fresh.take(&mut self.state().copies, 0..=PAGES - 1, &self.record.name);
    }

    /// Uses the copy of a page, or makes it if nothing that is open forbids that.
    pub(crate) fn access(&self, page: usize) {
        let ended = {
            let state = self.state();
            self.world
                .own_page_tables
                .check(&state.copies, page, &self.record.name);
            state.ended
        };
        let version = self.world.space.lock_page_table()[page];
        jitter::pause();
        let state = &mut *self.state();
        if state.ended == ended && state.may_install(page) {
            state.copies[page] = Some(version);
        }
    }

    /// Whether it forgot that it had used one of the pages; nothing depends on it.
    pub(crate) fn age(&self) -> bool {
        let _call = self.record.call("aging");
        jitter::one_in(2)
    }

    /// For its owner, when no window is open anywhere.
    pub(crate) fn check_closed(&self) {
        let open = &self.state().open;
        let complete = open.is_empty() || self.record.may_miss_an_end();
        check!(
            complete,
            "{} was never told the ends of {open:?}",
            self.record.name
        );
    }
}

/// What may sleep, does: the contract must agree that it may.
pub(crate) fn sleep_if_allowed(event: &RangeEvent) {
    if event.blocking == Blocking::Allowed {
        might_sleep();
    }
}
