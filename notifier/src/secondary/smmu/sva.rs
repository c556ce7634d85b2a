//! The driver's side: an address space's notifications turned into the SMMU's invalidations.

use std::sync::Arc;

use super::Smmu;
use crate::addr::{AddrRange, Asid, Gva, Iova, PageSize};
use crate::contract::{
    OwnPageTables, RangeEvent, RangeSubscriber, SecondaryTlbSubscriber, SharedPageTables,
    Subscriber,
};

/// A range of at least this many 4 KiB pages is invalidated as a whole address space, as Linux
/// does when the SMMU has no range commands (`CMDQ_MAX_TLBI_OPS`, 2^(`PAGE_SHIFT` - 3)).
const WHOLE_SPACE_PAGES: u64 = 1 << (12 - 3);

/// An address space shared with a device (Linux: `arm-smmu-v3-sva.c`).
#[derive(Clone)]
pub struct Sva {
    smmu: Arc<Smmu>,
    asid: Asid,
}

impl Sva {
    /// Invalidations of the address space with this ASID.
    pub fn new(smmu: Arc<Smmu>, asid: Asid) -> Self {
        Self { smmu, asid }
    }

    fn invalidate(&self, range: AddrRange<Gva>) {
        let range = if range.pages(PageSize::K4) >= WHOLE_SPACE_PAGES {
            AddrRange::all()
        } else {
            range.map(Iova::shared)
        };
        self.smmu.invalidate(self.asid, range);
    }
}

impl Subscriber for Sva {
    type Family = SharedPageTables;
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
