//! A KVM-like MMU: page tables of its own, filled from the primary ones on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{CacheId, Cached, Denial, Fault, FaultKind, Observer};
use crate::addr::{Access, AddrRange, Gpa, Gva, Iova};
use crate::contract::{OwnPageTables, RangeEvent, RangeSubscriber, Subscriber};
use crate::paging::{Format, TableMemory, walk};
use crate::sync::lock;

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
}

/// What a shadow MMU did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries made from the primary page table.
    pub filled: u64,
    /// Entries that notifications took away.
    pub zapped: u64,
}

#[derive(Default)]
struct State {
    /// By first address.
    pages: BTreeMap<Iova, Cached>,
    /// Invalidations that have started and not ended (KVM: `mmu_invalidate_in_progress`).
    in_progress: u64,
    /// Everything that is being invalidated, in one range.
    invalidating: Option<AddrRange<Gva>>,
    /// Invalidations that have ended (KVM: `mmu_invalidate_seq`).
    sequence: u64,
    counts: Counts,
}

impl State {
    fn lookup(&self, iova: Iova) -> Option<Cached> {
        let (_, entry) = self.pages.range(..=iova).next_back()?;
        entry.page.contains(iova).then_some(*entry)
    }

    fn is_invalidating(&self, iova: Iova) -> bool {
        let hit = |range: AddrRange<Gva>| range.contains(iova.to_gva());
        self.in_progress > 0 && self.invalidating.is_some_and(hit)
    }

    /// Takes out every page that overlaps `range`.
    fn zap(&mut self, range: AddrRange<Iova>) -> Vec<Cached> {
        let first = self
            .lookup(range.start())
            .map_or(range.start(), |entry| entry.page.start());
        let starts: Vec<_> = self
            .pages
            .range(first..=range.last())
            .map(|(at, _)| *at)
            .collect();
        starts
            .iter()
            .filter_map(|at| self.pages.remove(at))
            .collect()
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
            state: Mutex::default(),
        }
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
        let state = lock(&self.state);
        if let Some(entry) = state.lookup(iova)
            && entry.leaf.permissions.allow(access)
        {
            return Ok(self.make(&entry, iova, access, body));
        }
        let sequence = state.sequence;
        drop(state);
        self.fault_in(sequence, iova, access, body)
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    /// Looks at the primary page table without the lock, then installs what it found unless an
    /// invalidation came between (KVM: `mmu_invalidate_retry`).
    fn fault_in<R>(
        &self,
        sequence: u64,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> Result<R, Fault> {
        let fault = |kind| Fault { kind, iova, access };
        let began = self.observer.walk_began();
        let found = walk(&*self.format, &*self.tables, self.root, iova.to_gva());

        let mut state = lock(&self.state);
        if state.is_invalidating(iova) || state.sequence != sequence {
            return Err(fault(FaultKind::Invalidating));
        }
        let leaf = found.map_err(|walk_fault| {
            let denial = Denial::Walk {
                fault: walk_fault,
                began,
            };
            self.observer.denied(CacheId::Shadow, iova, access, &denial);
            fault(walk_fault.kind.into())
        })?;
        let page = AddrRange::page(iova, leaf.size);
        let filled = self.observer.filled(CacheId::Shadow, page, &leaf, began);
        let entry = Cached { page, leaf, filled };
        state.zap(page);
        state.pages.insert(page.start(), entry);
        state.counts.filled += 1;
        if !leaf.permissions.allow(access) {
            let denial = Denial::Entry(entry);
            self.observer.denied(CacheId::Shadow, iova, access, &denial);
            return Err(fault(FaultKind::Permission));
        }
        Ok(self.make(&entry, iova, access, body))
    }

    /// Makes an allowed access; the caller holds the lock, so that no zap overtakes it.
    fn make<R>(
        &self,
        entry: &Cached,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> R {
        self.observer.used(CacheId::Shadow, iova, access, entry);
        body(entry.leaf.translate(iova))
    }
}

impl Subscriber for Shadow {
    type Family = OwnPageTables;
}

impl RangeSubscriber for Shadow {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        let range = event.range.map(Iova::shared);
        let mut state = lock(&self.state);
        state.in_progress += 1;
        let merged = state
            .invalidating
            .map_or(event.range, |other| other.hull(event.range));
        state.invalidating = Some(merged);
        let zapped = state.zap(range);
        state.counts.zapped += zapped.len() as u64;
        for entry in &zapped {
            self.observer.dropped(CacheId::Shadow, entry);
        }
        self.observer.invalidated(CacheId::Shadow, range);
    }

    fn invalidate_range_end(&self, _: &RangeEvent) {
        let mut state = lock(&self.state);
        state.sequence += 1;
        state.in_progress = state.in_progress.saturating_sub(1);
        if state.in_progress == 0 {
            state.invalidating = None;
        }
    }
}
