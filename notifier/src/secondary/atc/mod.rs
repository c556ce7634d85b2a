//! A device's own TLB (PCIe ATS): it asks the SMMU once, and then no more.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, Weak};

use super::cache::{Fate, Space, SpaceKey, SpaceTag, StreamWorld, Tlb};
use super::smmu::{AtcScope, DeviceTlb, NoAnswer, Smmu};
use super::{CacheId, Cached, Fault, FaultKind, Observer};
use crate::addr::{Access, AddrRange, Asid, Gpa, Iova, Permissions, StreamId};
use crate::sync::lock;

/// The tag of everything in it: one stream has one address space here (no SubstreamIDs).
const TAG: SpaceKey = SpaceKey {
    world: StreamWorld::NsEl1,
    vmid: None,
    tag: SpaceTag::Asid(Asid(0)),
};

/// The TLB of the device behind one stream.
///
/// What is in it is used without a look at the SMMU, so the SMMU's own invalidations do nothing to
/// it; it must be told by ATC_INV. What it lacks, or what does not allow the access, it asks the
/// SMMU for, which answers from its TLB: an entry that is stale there is stale here afterwards. So
/// the SMMU's TLB comes first, and only when that is complete the device's.
pub struct Atc {
    smmu: Arc<Smmu>,
    stream: StreamId,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
}

/// What a device TLB did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accesses that it allowed without asking.
    pub hits: u64,
    /// Translation requests to the SMMU.
    pub requests: u64,
    /// Entries that invalidations took out.
    pub invalidated_entries: u64,
}

struct State {
    tlb: Tlb,
    space: Arc<Space>,
    counts: Counts,
}

impl Atc {
    /// An empty device TLB of `entries` for the device behind `stream`, connected to the SMMU. When
    /// the last owner drops it, ATC_INV commands for the stream go nowhere.
    pub fn connect(
        smmu: Arc<Smmu>,
        stream: StreamId,
        entries: usize,
        observer: Arc<dyn Observer>,
    ) -> Arc<Self> {
        let tlb = Tlb::new(entries);
        let state = State {
            space: tlb.space(TAG),
            tlb,
            counts: Counts::default(),
        };
        let atc = Arc::new(Self {
            smmu,
            stream,
            observer,
            state: Mutex::new(state),
        });
        let device: Weak<Self> = Arc::downgrade(&atc);
        atc.smmu.connect(stream, device);
        atc
    }

    /// Translates one access, which must not cross a page, and if it is allowed makes it: `body`
    /// gets the guest-physical address of the first byte. It must use neither this device nor the
    /// SMMU: an invalidation waits for it.
    ///
    /// # Errors
    /// [`Fault`] if the SMMU grants less than the access needs, or nothing.
    pub fn access<R>(
        &self,
        iova: Iova,
        access: Access,
        body: impl FnOnce(Gpa) -> R,
    ) -> Result<R, Fault> {
        let mut state = lock(&self.state);
        let entry = self.translate(&mut state, iova, access)?;
        let cache = CacheId::Atc(self.stream);
        self.observer.used(cache, iova, access, &entry);
        Ok(body(entry.leaf.translate(iova)))
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    /// An entry that allows the access, its own or a new one.
    fn translate(&self, state: &mut State, iova: Iova, access: Access) -> Result<Cached, Fault> {
        let held = state.tlb.lookup(&state.space, None, iova);
        if let Some(entry) = held.filter(|entry| entry.leaf.permissions.allow(access)) {
            state.counts.hits += 1;
            return Ok(entry);
        }
        state.counts.requests += 1;
        let granted = self.smmu.grant(self.stream, iova, access)?;
        let permissions = granted.leaf.permissions;
        // A grant of nothing is not an entry (ATS: R = W = 0).
        if !permissions.contains(Permissions::READ_ONLY) {
            return Err(refused(iova, access));
        }
        let entry = self.keep(state, &granted);
        let allowed = permissions.allow(access);
        allowed.then_some(entry).ok_or(refused(iova, access))
    }

    /// The entry is as old as the one that it is a copy of: what was right then, this may have.
    fn keep(&self, state: &mut State, granted: &Cached) -> Cached {
        let cache = CacheId::Atc(self.stream);
        let leaf = granted.leaf;
        let page = granted.page;
        let filled = self.observer.filled(cache, page, &leaf, granted.filled);
        // Under the lock that an invalidation takes, so that none can have come between.
        let ticket = state.tlb.fill_began(&state.space);
        let _ = state.tlb.insert(&state.space, ticket, page, leaf, filled);
        Cached { page, leaf, filled }
    }
}

fn refused(iova: Iova, access: Access) -> Fault {
    let kind = FaultKind::Permission;
    Fault { kind, iova, access }
}

impl DeviceTlb for Atc {
    fn invalidate(&self, _: AtcScope, range: AddrRange<Iova>) -> Result<(), NoAnswer> {
        let mut state = lock(&self.state);
        let cache = CacheId::Atc(self.stream);
        let mut dropped = |entry: &Cached| {
            self.observer.dropped(cache, entry);
            Fate::Goes
        };
        let removed = state
            .tlb
            .invalidate(&state.space, range, None, &mut dropped);
        state.counts.invalidated_entries += removed;
        self.observer.invalidated(cache, range);
        Ok(())
    }
}
