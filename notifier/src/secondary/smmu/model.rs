//! Streams, translation, invalidation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Tlb;
use crate::addr::{Access, AddrRange, Asid, Gpa, Iova, StreamId};
use crate::paging::{Format, TableMemory, walk};
use crate::secondary::{CacheId, Cached, Denial, Fault, FaultKind, Observer};
use crate::sync::lock;

/// The SMMU.
///
/// What it caches follows the Arm architecture (`IHI0070` 3.21.1, Arm ARM D8.16): an entry that
/// would raise a translation, address or access-flag fault is never kept; any other is, also one
/// that denies the access at hand, and it goes on denying until it is invalidated. There is no
/// hardware update of accessed and dirty bits.
pub struct Smmu {
    tables: Arc<dyn TableMemory>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
}

/// The address space that a stream is bound to.
#[derive(Clone, Debug)]
pub struct Context {
    /// What its TLB entries are tagged with. Two contexts with one ASID must have one root.
    pub asid: Asid,
    /// Its page-table root.
    pub root: Gpa,
    /// Its page-table format.
    pub format: Arc<dyn Format>,
}

/// What an SMMU did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accesses whose translation was in the TLB, whether it allowed them or not.
    pub tlb_hits: u64,
    /// Accesses whose translation was not, each of which is a walk.
    pub tlb_misses: u64,
    /// Invalidations asked for.
    pub invalidations: u64,
    /// Entries that they took out.
    pub invalidated_entries: u64,
    /// Invalidations that took out none.
    pub redundant_invalidations: u64,
}

struct State {
    streams: BTreeMap<StreamId, Context>,
    tlb: Tlb,
    counts: Counts,
}

impl Smmu {
    /// An SMMU with an empty TLB of `tlb_entries`, which walks tables in `tables`.
    pub fn new(
        tlb_entries: usize,
        tables: Arc<dyn TableMemory>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let state = State {
            streams: BTreeMap::new(),
            tlb: Tlb::new(tlb_entries),
            counts: Counts::default(),
        };
        Self {
            tables,
            observer,
            state: Mutex::new(state),
        }
    }

    /// Binds `stream` to an address space, whatever it was bound to before.
    pub fn attach(&self, stream: StreamId, context: Context) {
        lock(&self.state).streams.insert(stream, context);
    }

    /// Translates one access and, if it is allowed, makes it: `body` gets the guest-physical
    /// address of the first byte. The access must not cross a page.
    ///
    /// `body` runs under the SMMU's lock, so that an invalidation does not complete while an access
    /// that it must wait for is still on its way (`IHI0070` 3.21.1). It must not use the SMMU.
    ///
    /// # Errors
    /// [`Fault`] if the access is refused; `body` was not called.
    pub fn access<R>(
        &self,
        stream: StreamId,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> Result<R, Fault> {
        let mut state = lock(&self.state);
        let State {
            streams,
            tlb,
            counts,
        } = &mut *state;
        let fault = |kind| Fault { kind, iova, access };
        let context = streams.get(&stream).ok_or(fault(FaultKind::Stream))?;
        let cache = CacheId::SmmuTlb(context.asid);

        let translated = self.translate(tlb, counts, context, iova);
        let entry = translated
            .and_then(|entry| allow(entry, access))
            .map_err(|denial| {
                self.observer.denied(cache, iova, access, &denial);
                fault(kind(&denial))
            })?;
        self.observer.used(cache, iova, access, &entry);
        Ok(body(entry.leaf.translate(iova)))
    }

    /// Drops what the TLB holds of `range` in this address space. Complete on return.
    pub fn invalidate(&self, asid: Asid, range: AddrRange<Iova>) {
        let mut state = lock(&self.state);
        let cache = CacheId::SmmuTlb(asid);
        let dropped = |entry: &Cached| self.observer.dropped(cache, entry);
        let removed = state.tlb.invalidate(asid, range, dropped);
        state.counts.invalidations += 1;
        state.counts.invalidated_entries += removed;
        state.counts.redundant_invalidations += u64::from(removed == 0);
        self.observer.invalidated(cache, range);
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    /// From the TLB, else from the tables.
    fn translate(
        &self,
        tlb: &mut Tlb,
        counts: &mut Counts,
        context: &Context,
        iova: Iova,
    ) -> Result<Cached, Denial> {
        if let Some(entry) = tlb.lookup(context.asid, iova) {
            counts.tlb_hits += 1;
            return Ok(entry);
        }
        counts.tlb_misses += 1;
        self.fill(tlb, context, iova)
    }

    fn fill(&self, tlb: &mut Tlb, context: &Context, iova: Iova) -> Result<Cached, Denial> {
        let began = self.observer.walk_began();
        let found = walk(&*context.format, &*self.tables, context.root, iova.to_gva());
        let leaf = found.map_err(|fault| Denial::Walk { fault, began })?;
        if !leaf.accessed {
            return Err(Denial::AccessFlag(leaf));
        }
        let page = AddrRange::page(iova, leaf.size);
        let cache = CacheId::SmmuTlb(context.asid);
        let filled = self.observer.filled(cache, page, &leaf, began);
        tlb.insert(context.asid, iova, leaf, filled);
        Ok(Cached { page, leaf, filled })
    }
}

/// Hit or freshly walked, the entry decides: what it denies is not looked up again.
fn allow(entry: Cached, access: Access) -> Result<Cached, Denial> {
    if entry.leaf.permissions.allow(access) {
        Ok(entry)
    } else {
        Err(Denial::Entry(entry))
    }
}

fn kind(denial: &Denial) -> FaultKind {
    match denial {
        Denial::Entry(_) => FaultKind::Permission,
        Denial::Walk { fault, .. } => fault.kind.into(),
        Denial::AccessFlag(_) => FaultKind::AccessFlag,
    }
}
