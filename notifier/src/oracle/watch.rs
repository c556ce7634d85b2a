//! The oracle as others see it: told of changes, watching notifications and caches.

use std::sync::Mutex;

use super::Findings;
use super::history::{Fact, Record};
use super::judge::{Changing, Made, State};
use crate::addr::{Access, AddrRange, Gva, Iova};
use crate::contract::{self, Notice, Step};
use crate::paging::{Change, Leaf};
use crate::secondary::{self, CacheId, Cached, Denial, Fault};
use crate::sync::lock;

/// Watches one address space, all of its secondary MMUs, and the devices behind them.
pub struct Oracle(Mutex<State>);

impl Default for Oracle {
    fn default() -> Self {
        Self::new()
    }
}

impl Oracle {
    /// An oracle for an address space with nothing in it.
    pub fn new() -> Self {
        Self(Mutex::new(State::new()))
    }

    /// States what is mapped at the beginning.
    pub fn begin(&self, pages: impl IntoIterator<Item = (AddrRange<Gva>, Leaf)>) {
        let mut state = lock(&self.0);
        for (range, leaf) in pages {
            state.begin(range, leaf);
        }
    }

    /// The page table is about to change. From now on the new entries are right too.
    pub fn changing(&self, changes: &[Change]) -> Changing {
        lock(&self.0).announce(changes)
    }

    /// `changes`, usually what was announced, are made: call it under the page-table lock. Until
    /// they are settled the old entries go on being right, for who has not been told.
    pub fn made(&self, announced: Changing, changes: &[Change]) -> Made {
        lock(&self.0).make(announced, changes)
    }

    /// Whoever made the changes relies on them from now on: the old entries are wrong.
    pub fn settled(&self, made: Made) {
        lock(&self.0).settle(made);
    }

    /// What was announced is not going to be made.
    pub fn called_off(&self, announced: Changing) {
        lock(&self.0).call_off(announced);
    }

    /// A device gave up on an access that was refused `faults` times, the last time by `cache` with
    /// this fault.
    pub fn gave_up(&self, cache: CacheId, fault: &Fault, faults: u64) {
        lock(&self.0).gave_up(cache, fault, faults);
    }

    /// Puts a marker into the history.
    pub fn mark(&self, value: u32) {
        lock(&self.0).note(Fact::Marked(value));
    }

    /// Everything found so far, each violation with what became of the invalidation it was owed.
    pub fn findings(&self) -> Findings {
        lock(&self.0).findings()
    }

    /// The facts that are still on record, oldest first.
    pub fn history(&self) -> Vec<Record> {
        lock(&self.0).records()
    }
}

impl contract::Observer for Oracle {
    fn notified(&self, notice: Notice) {
        lock(&self.0).note(Fact::Notified(notice));
    }
}

impl secondary::Observer for Oracle {
    fn walk_began(&self) -> Step {
        lock(&self.0).next_step()
    }

    fn filled(&self, cache: CacheId, page: AddrRange<Iova>, leaf: &Leaf, began: Step) -> Step {
        let mut state = lock(&self.0);
        state.found(page.start(), Some(*leaf), began);
        state.note(Fact::Filled(cache, page, *leaf))
    }

    fn dropped(&self, cache: CacheId, entry: &Cached) {
        lock(&self.0).dropped(cache, entry);
    }

    fn invalidated(&self, cache: CacheId, range: AddrRange<Iova>) {
        lock(&self.0).note(Fact::Invalidated(cache, range));
    }

    fn used(&self, cache: CacheId, iova: Iova, access: Access, entry: &Cached) {
        lock(&self.0).used(cache, iova, access, entry);
    }

    fn denied(&self, cache: CacheId, iova: Iova, access: Access, denial: &Denial) {
        lock(&self.0).denied(cache, iova, access, denial);
    }
}
