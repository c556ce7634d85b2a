//! The driver's side: an address space's notifications turned into the SMMU's invalidations.

use std::sync::Arc;

use super::domain::Shared;
use super::{Inv, Smmu, Target};
use crate::addr::{AddrRange, Asid, Gva};
use crate::contract::{
    OwnPageTables, RangeEvent, RangeSubscriber, SecondaryTlbSubscriber, SharedPageTables,
    Subscriber,
};

/// An address space shared with devices (Linux: `arm-smmu-v3-sva.c`).
#[derive(Clone)]
pub struct Sva(Arc<Shared>);

impl Sva {
    /// Invalidations of one ASID of one SMMU, for streams without a device TLB that somebody else
    /// binds. A [`Domain`](super::Domain) has a subscriber of its own.
    pub fn new(smmu: Arc<Smmu>, asid: Asid) -> Self {
        Self::of(Arc::new(Shared::new(Inv::new(smmu, Target::Tag(asid)))))
    }

    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Drops what any SMMU and any device holds of `range`. Complete on return.
    pub fn invalidate(&self, range: AddrRange<Gva>) {
        self.0.invalidate(range);
    }

    /// The address space goes away: devices that go on get the fault `translation`, and nothing of
    /// it stays cached.
    pub fn release(&self) {
        self.0.release();
    }
}

impl Subscriber for Sva {
    type Family = SharedPageTables;

    fn release(&self) {
        Sva::release(self);
    }
}

impl SecondaryTlbSubscriber for Sva {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        self.invalidate(range);
    }
}

/// How Linux served a secondary TLB up to 6.5, besides the call from page-table code: the end of
/// every range invalidation invalidated it too, whatever the reason for the range. It is the path
/// on which an upgrade event would have reached the SMMU, and one that invalidates much that was
/// invalidated before (Linux ec8832d007cb removed it).
pub struct EndInvalidates(pub Sva);

impl Subscriber for EndInvalidates {
    type Family = OwnPageTables;
}

impl RangeSubscriber for EndInvalidates {
    /// Nothing: what was dropped now would be walked again before the entry changes.
    fn invalidate_range_start(&self, _: &RangeEvent) {}

    fn invalidate_range_end(&self, event: &RangeEvent) {
        self.0.invalidate(event.range);
    }
}
