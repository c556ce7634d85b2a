//! The oracle as others see it: told of changes, watching notifications and caches.

use std::sync::Mutex;
use std::time::Instant;

use super::history::{Fact, Moment, Record};
use super::judge::State;
use super::waste::Taken;
use super::{BreakRule, Changing, DirtyManagement, Findings, Made};
use crate::addr::{Access, AddrRange, Gva, Iova, StreamId, SubstreamId};
use crate::contract::{self, Notice, Step};
use crate::paging::{Change, Leaf, TableChange};
use crate::secondary::{self, CacheId, Cached, CachedTable, Configuration, Denial, Fault, Scope};
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
        Self(Mutex::new(State::default()))
    }

    /// The same, which holds changes of live pages against this rule.
    pub fn with_break_rule(self, rule: BreakRule) -> Self {
        lock(&self.0).breaks.set_rule(rule);
        self
    }

    /// The same for secondary MMUs of which `who` marks pages dirty.
    pub fn with_dirty_management(self, who: DirtyManagement) -> Self {
        lock(&self.0).dirty = who;
        self
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
    ///
    /// The old side of each is what whoever made it knew that it replaced: a mark that hardware made
    /// meanwhile and that is not in it is lost, unless the new side has it.
    pub fn made(&self, announced: Changing, changes: &[Change]) -> Made {
        lock(&self.0).make(announced, changes)
    }

    /// Tables are about to be put into places, by whoever announced changes just now. From now on walks
    /// may find them there. It ends with [`tables_made`](Self::tables_made), or with
    /// [`tables_called_off`](Self::tables_called_off).
    pub fn tables_changing(&self, changes: &[TableChange]) {
        lock(&self.0).tables_coming(changes);
    }

    /// What was announced of tables is not going to be made.
    pub fn tables_called_off(&self, changes: &[TableChange]) {
        lock(&self.0).tables_called_off(changes);
    }

    /// With the changes `made`, tables were taken out of their places or put there. Call it under the
    /// same lock, and before anything else changes.
    pub fn tables_made(&self, made: &mut Made, changes: &[TableChange]) {
        lock(&self.0).tables_made(made, changes);
    }

    /// Whoever made the changes relies on them from now on: the old entries are wrong.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "changes are settled once, so the token goes"
    )]
    pub fn settled(&self, made: Made) {
        lock(&self.0).settle(&made);
    }

    /// What was announced is not going to be made.
    pub fn called_off(&self, announced: Changing) {
        lock(&self.0).call_off(announced);
    }

    /// A driver starts a device, and relies from now on on what the structures in memory say of this
    /// stream. `found` is what an access of it would find at this moment, without making one;
    /// [`Configuration::Fetched`] if it would find nothing in the configuration cache.
    ///
    /// A later change of the structures is not relied on until it is called again.
    pub fn relied_on_configuration(
        &self,
        stream: StreamId,
        substream: Option<SubstreamId>,
        found: Configuration,
    ) {
        lock(&self.0).relied_on(stream, substream, found);
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

    /// From now on every fact is put on record with its time, counted from `since`, and its thread.
    pub fn keep_time(&self, since: Instant) {
        lock(&self.0).keep_time(since);
    }

    /// The facts that are still on record and have a time, oldest first. Times never go back.
    pub fn timed_history(&self) -> Vec<(Record, Moment)> {
        lock(&self.0).timed_records()
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
        state.breaks.filled(cache);
        state.note(Fact::Filled(cache, page, *leaf, began))
    }

    fn dropped(&self, cache: CacheId, entry: &Cached) {
        lock(&self.0).took(Taken::Page(cache, *entry));
    }

    fn invalidated(&self, cache: CacheId, range: AddrRange<Iova>) {
        lock(&self.0).invalidated(cache, range);
    }

    fn used(&self, cache: CacheId, iova: Iova, access: Access, entry: &Cached) {
        lock(&self.0).used(cache, iova, access, entry);
    }

    fn denied(&self, cache: CacheId, iova: Iova, access: Access, denial: &Denial) {
        lock(&self.0).denied(cache, iova, access, denial);
    }

    fn submitted(&self, scope: &Scope) {
        lock(&self.0).note(Fact::Submitted(*scope));
    }

    fn carried_out(&self, scope: &Scope, removed: u64) {
        lock(&self.0).carried_out(scope, removed);
    }

    fn synced(&self) {
        lock(&self.0).synced();
    }

    fn table_cached(&self, _: CacheId, _: &CachedTable, _: Step) -> Step {
        lock(&self.0).next_step()
    }

    fn table_used(&self, cache: CacheId, iova: Iova, table: &CachedTable) {
        lock(&self.0).table_used(cache, iova, table);
    }

    fn table_dropped(&self, cache: CacheId, table: &CachedTable) {
        lock(&self.0).table_dropped(cache, table);
    }

    /// The usual case takes no lock.
    fn configured(
        &self,
        stream: StreamId,
        substream: Option<SubstreamId>,
        iova: Iova,
        access: Access,
        found: Configuration,
    ) {
        if found != Configuration::Cached {
            lock(&self.0).configured((stream, substream), (iova, access), found);
        }
    }

    fn marked(&self, iova: Iova, access: Access, before: &Leaf, after: &Leaf) {
        lock(&self.0).marked(iova, access, before, after);
    }
}
