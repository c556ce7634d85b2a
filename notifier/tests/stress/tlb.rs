//! A TLB of the page table and of the kernel's half, which no page-table lock protects.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notifier::addr::{AddrRange, Gva};
use notifier::contract::{SecondaryTlbSubscriber, SharedPageTables, Subscriber};

use crate::jitter;
use crate::pages::{Copies, PAGES, pages};
use crate::record::{RELEASE, Record};
use crate::world::World;

pub(crate) struct Tlb {
    pub(crate) record: Arc<Record>,
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Copies,
    kernel: Copies,
    is_off: bool,
}

impl Tlb {
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

    /// Drops every entry; as for page tables.
    pub(crate) fn let_go(&self) {
        let state = &mut *self.state();
        let (all, name) = (0..=PAGES - 1, &self.record.name);
        let (world, entries) = (&self.world, &mut state.entries);
        world.secondary_tlbs.take(entries, all.clone(), name);
        world.kernel.take(&mut state.kernel, all, name);
    }

    /// Uses the entry of a page, or fills it.
    pub(crate) fn access(&self, page: usize) {
        let world = &self.world;
        let table = world.space.lock_page_table();
        let state = &mut *self.state();
        world
            .secondary_tlbs
            .check(&state.entries, page, &self.record.name);
        if !state.is_off {
            state.entries[page] = Some(table[page]);
        }
    }

    /// As [`access`](Self::access), in the kernel's half.
    pub(crate) fn access_kernel(&self, page: usize) {
        let world = &self.world;
        let state = &mut *self.state();
        world.kernel.check(&state.kernel, page, &self.record.name);
        if !state.is_off {
            state.kernel[page] = Some(world.kernel_version(page));
        }
    }
}

impl Subscriber for Tlb {
    type Family = SharedPageTables;

    fn release(&self) {
        let _call = self.record.call(RELEASE);
        self.record.release();
        self.state().is_off = true;
        self.let_go();
    }

    fn clear_flush_young(&self, _: AddrRange<Gva>) -> bool {
        let _call = self.record.call("aging");
        jitter::one_in(2)
    }
}

impl SecondaryTlbSubscriber for Tlb {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        let _call = self.record.call("a secondary-TLB invalidation");
        let state = &mut *self.state();
        let (pages, name) = (pages(range), &self.record.name);
        let (world, entries) = (&self.world, &mut state.entries);
        world.secondary_tlbs.take(entries, pages.clone(), name);
        // It can't tell the halves apart: both forget.
        world.kernel.take(&mut state.kernel, pages, name);
    }
}
