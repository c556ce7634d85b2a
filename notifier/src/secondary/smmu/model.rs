//! Streams, translation, invalidation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use super::erratum::Racing;
use super::queue::{DeviceTlb, Syncing};
use super::{Command, Erratum, Features, Tlb};
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
///
/// Locks, each taken only while holding those before it or none: the CMD_SYNC's, a device TLB's,
/// the SMMU's.
pub struct Smmu {
    tables: Arc<dyn TableMemory>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) features: Features,
    pub(super) syncing: Mutex<Syncing>,
    pub(super) state: Mutex<State>,
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

/// A stream, bound to an address space.
#[derive(Debug)]
struct Bound {
    context: Context,
    walks: Walks,
}

/// Whether what is not in the TLB is looked up in the tables (CD.EPD0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walks {
    Enabled,
    Disabled,
}

/// What an SMMU did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accesses and ATS requests whose translation was in the TLB, whether it allowed them or not.
    pub tlb_hits: u64,
    /// Accesses and ATS requests whose translation was not, each of which is a walk.
    pub tlb_misses: u64,
    /// Invalidations of the TLB asked for, one for each command.
    pub invalidations: u64,
    /// Entries that they took out.
    pub invalidated_entries: u64,
    /// Invalidations that took out none.
    pub redundant_invalidations: u64,
    /// Invalidations of device TLBs asked for.
    pub atc_invalidations: u64,
}

pub(super) struct State {
    streams: BTreeMap<StreamId, Bound>,
    pub(super) devices: BTreeMap<StreamId, Weak<dyn DeviceTlb>>,
    pub(super) tlb: Tlb,
    /// Submitted and not complete, oldest first.
    pub(super) pending: Vec<Command>,
    pub(super) racing: Racing,
    pub(super) counts: Counts,
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
            devices: BTreeMap::new(),
            tlb: Tlb::new(tlb_entries),
            pending: Vec::new(),
            racing: Racing::default(),
            counts: Counts::default(),
        };
        Self {
            tables,
            observer,
            features: Features::default(),
            syncing: Mutex::default(),
            state: Mutex::new(state),
        }
    }

    /// The same with these features, which its drivers plan by.
    pub fn with_features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// The same with this erratum.
    pub fn with_erratum(self, erratum: Erratum) -> Self {
        lock(&self.state).racing = Racing::new(erratum);
        self
    }

    /// What it can do.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Binds `stream` to an address space, whatever it was bound to before. Invalidates nothing.
    pub fn attach(&self, stream: StreamId, context: Context) {
        self.bind(stream, context, Walks::Enabled);
    }

    /// The same for an address space that is gone already.
    pub(super) fn attach_without_walks(&self, stream: StreamId, context: Context) {
        self.bind(stream, context, Walks::Disabled);
    }

    fn bind(&self, stream: StreamId, context: Context, walks: Walks) {
        let bound = Bound { context, walks };
        lock(&self.state).streams.insert(stream, bound);
    }

    /// Binds `stream` to nothing: its accesses get the fault `stream`. Invalidates nothing.
    pub fn detach(&self, stream: StreamId) {
        lock(&self.state).streams.remove(&stream);
    }

    /// The same for every stream of this address space.
    pub(super) fn detach_all(&self, asid: Asid) {
        let mut state = lock(&self.state);
        state.streams.retain(|_, bound| bound.context.asid != asid);
    }

    /// Lets every stream of this address space translate by the TLB alone: what is not in it gets
    /// the fault `translation`, without a look at the tables. Invalidates nothing.
    ///
    /// What Linux does when an address space goes away under a device that still makes accesses:
    /// the context descriptor stays valid, so that there is no `C_BAD_CD`, with EPD0 set
    /// (`arm_smmu_mm_release`).
    pub fn disable_walks(&self, asid: Asid) {
        let mut state = lock(&self.state);
        let streams = state.streams.values_mut();
        for bound in streams.filter(|bound| bound.context.asid == asid) {
            bound.walks = Walks::Disabled;
        }
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
        let (cache, entry) = self.request(&mut state, stream, iova, access)?;
        if !entry.leaf.permissions.allow(access) {
            let kind = FaultKind::Permission;
            return Err(Fault { kind, iova, access });
        }
        self.observer.used(cache, iova, access, &entry);
        Ok(body(entry.leaf.translate(iova)))
    }

    /// An ATS translation request for `access`, which is not made here. What is granted may be less
    /// than what was asked for; then the observer is told that `access` is denied.
    ///
    /// # Errors
    /// [`Fault`] if there is no translation.
    pub fn grant(&self, stream: StreamId, iova: Iova, access: Access) -> Result<Cached, Fault> {
        let mut state = lock(&self.state);
        let (_, entry) = self.request(&mut state, stream, iova, access)?;
        Ok(entry)
    }

    /// Drops what the TLB holds of `range` in this address space. Complete on return.
    ///
    /// No command does this: it is for whoever has no driver. A driver plans
    /// ([`Features::plan`]) and [`issue`](Self::issue)s.
    pub fn invalidate(&self, asid: Asid, range: AddrRange<Iova>) {
        self.drop_entries(&mut lock(&self.state), asid, range, None);
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    /// The entry for an access, which may not allow it: then, too, the observer is told so.
    fn request(
        &self,
        state: &mut State,
        stream: StreamId,
        iova: Iova,
        access: Access,
    ) -> Result<(CacheId, Cached), Fault> {
        let fault = |kind| Fault { kind, iova, access };
        let State {
            streams,
            tlb,
            counts,
            racing,
            pending,
            ..
        } = state;
        let bound = streams.get(&stream).ok_or(fault(FaultKind::Stream))?;
        let asid = bound.context.asid;
        let cache = CacheId::SmmuTlb(asid);
        let denied = |denial: &Denial| self.observer.denied(cache, iova, access, denial);

        let entry = self
            .translate(tlb, counts, bound, iova)
            .inspect_err(denied)
            .map_err(|denial| fault(kind(&denial)))?;
        if pending.iter().any(Command::is_tlbi) {
            racing.used(asid, &entry);
        }
        if !entry.leaf.permissions.allow(access) {
            denied(&Denial::Entry(entry));
        }
        Ok((cache, entry))
    }

    /// From the TLB, else from the tables. What the entry denies is not looked up again.
    fn translate(
        &self,
        tlb: &mut Tlb,
        counts: &mut Counts,
        bound: &Bound,
        iova: Iova,
    ) -> Result<Cached, Denial> {
        if let Some(entry) = tlb.lookup(bound.context.asid, iova) {
            counts.tlb_hits += 1;
            return Ok(entry);
        }
        counts.tlb_misses += 1;
        match bound.walks {
            Walks::Enabled => self.fill(tlb, &bound.context, iova),
            Walks::Disabled => Err(Denial::Disabled),
        }
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

fn kind(denial: &Denial) -> FaultKind {
    match denial {
        Denial::Entry(_) => FaultKind::Permission,
        Denial::Walk { fault, .. } => fault.kind.into(),
        Denial::Disabled => FaultKind::Translation,
        Denial::AccessFlag(_) => FaultKind::AccessFlag,
    }
}
