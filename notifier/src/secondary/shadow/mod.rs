//! A KVM-like MMU: page tables of its own, filled from the primary ones on demand.

mod gate;
mod pages;
mod subscriber;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{CacheId, Cached, Denial, Fault, FaultKind, Observer};
use crate::addr::{Access, AddrRange, Gpa, Gva, Iova};
use crate::contract::might_sleep;
use crate::paging::{Format, TableMemory, walk};
use crate::sync::lock;
use pages::Pages;

pub use gate::{Gate, Relevance, Sample, Unbalanced};

/// A secondary MMU with page tables of its own (Linux: KVM's `mmu_notifier` use).
///
/// An access that its own entry does not allow is a page fault, which looks at the primary page
/// table again; so a permission upgrade needs no notification. What it must be told of is every
/// change that takes something away, before it happens.
pub struct Shadow {
    tables: Arc<dyn TableMemory>,
    format: Arc<dyn Format>,
    root: Gpa,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    /// Signalled when no notification is between its start and its end.
    idle: Condvar,
}

/// What a shadow MMU did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries made from the primary page table.
    pub filled: u64,
    /// Entries that notifications took away.
    pub zapped: u64,
    /// Ends of invalidations that had not started.
    pub unbalanced_ends: u64,
}

struct State {
    pages: Pages,
    gate: Gate,
    /// What of the address space may be mapped at all (KVM: memory slots, by host address).
    slots: Vec<AddrRange<Gva>>,
    released: bool,
    counts: Counts,
}

impl State {
    fn relevance(&self, range: AddrRange<Gva>) -> Relevance {
        if self.slots.iter().any(|slot| slot.overlaps(range)) {
            Relevance::Mapped
        } else {
            Relevance::Elsewhere
        }
    }

    fn may_map(&self, iova: Iova) -> bool {
        let in_slot = self.slots.iter().any(|slot| slot.contains(iova.to_gva()));
        in_slot && !self.released
    }
}

impl Shadow {
    /// A shadow of the page tables at `root`, empty at first.
    pub fn new(
        tables: Arc<dyn TableMemory>,
        format: Arc<dyn Format>,
        root: Gpa,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            tables,
            format,
            root,
            observer,
            state: Mutex::new(State {
                pages: Pages::default(),
                gate: Gate::default(),
                slots: vec![AddrRange::all()],
                released: false,
                counts: Counts::default(),
            }),
            idle: Condvar::new(),
        }
    }

    /// Lets it map these parts of the address space, at first all of it, and no others; entries of
    /// any other go.
    ///
    /// Waits until no invalidation is between its start and its end (KVM:
    /// `kvm_swap_active_memslots`): whether one counts depends on the slots, which must be the same
    /// at both. So it must not be called from a callback, or inside of an invalidation.
    pub fn set_slots(&self, slots: Vec<AddrRange<Gva>>) {
        might_sleep();
        let state = lock(&self.state);
        let idle = self.idle.wait_while(state, |state| !state.gate.is_idle());
        let mut state = idle.unwrap_or_else(PoisonError::into_inner);
        state.slots = slots;
        let slots = state.slots.clone();
        let outside = |entry: &Cached| {
            let page = entry.page.map(Iova::to_gva);
            !slots.iter().any(|slot| slot.covers(page))
        };
        let zapped = state.pages.zap_if(outside);
        self.report(&zapped);
    }

    /// Translates one access, which must not cross a page, and if it is allowed makes it: `body`
    /// gets the guest-physical address of the first byte. It must not use the shadow MMU.
    ///
    /// # Errors
    /// [`Fault`] if the access is refused, or if the address is being invalidated.
    pub fn access<R>(
        &self,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> Result<R, Fault> {
        let mut state = lock(&self.state);
        if let Some(entry) = state.pages.lookup(iova)
            && entry.leaf.permissions.allow(access)
        {
            return Ok(self.make(&mut state, &entry, iova, access, body));
        }
        let sample = state.gate.sample();
        drop(state);
        self.fault_in(sample, iova, access, body)
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    /// Looks at the primary page table without the lock, then installs what it found unless an
    /// invalidation came between (KVM: `mmu_invalidate_retry_gfn`).
    fn fault_in<R>(
        &self,
        sample: Sample,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> Result<R, Fault> {
        let fault = |kind| Fault { kind, iova, access };
        let began = self.observer.walk_began();
        let found = walk(&*self.format, &*self.tables, self.root, iova.to_gva());

        let mut state = lock(&self.state);
        let denied = |denial| self.observer.denied(CacheId::Shadow, iova, access, &denial);
        if !state.may_map(iova) {
            denied(Denial::Disabled);
            return Err(fault(FaultKind::Translation));
        }
        if state.gate.must_retry(sample, iova.to_gva()) {
            return Err(fault(FaultKind::Invalidating));
        }
        let leaf = found.map_err(|found| {
            denied(Denial::Walk {
                fault: found,
                began,
            });
            fault(found.kind.into())
        })?;
        let page = AddrRange::page(iova, leaf.size);
        let filled = self.observer.filled(CacheId::Shadow, page, &leaf, began);
        let entry = Cached { page, leaf, filled };
        state.pages.insert(entry);
        state.counts.filled += 1;
        if !leaf.permissions.allow(access) {
            denied(Denial::Entry(entry));
            return Err(fault(FaultKind::Permission));
        }
        Ok(self.make(&mut state, &entry, iova, access, body))
    }

    /// Makes an allowed access; the caller holds the lock, so that no zap overtakes it.
    fn make<R>(
        &self,
        state: &mut State,
        entry: &Cached,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> R {
        state.pages.touch(iova);
        self.observer.used(CacheId::Shadow, iova, access, entry);
        body(entry.leaf.translate(iova))
    }
}
