//! Subscribers that an address space has at most one of.

use std::sync::Arc;

use notifier::addr::{AddrRange, Gva};
use notifier::contract::{
    Member, OwnPageTables, RangeEvent, RangeSubscriber, SecondaryTlbSubscriber, SharedPageTables,
    Singleton, Subscriber,
};

use crate::mirror::Mirror;
use crate::tlb::Tlb;

/// One that follows ranges.
pub(crate) struct OneMirror(pub(crate) Mirror);

impl Subscriber for OneMirror {
    type Family = OwnPageTables;

    fn release(&self) {
        self.0.release();
    }

    fn clear_young(&self, _: AddrRange<Gva>) -> bool {
        self.0.age()
    }
}

impl RangeSubscriber for OneMirror {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        self.0.start(event);
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        self.0.end(event);
    }
}

impl Singleton for OneMirror {
    fn member(self: Arc<Self>) -> Member {
        Member::Range(self)
    }

    fn free(&self) {
        self.0.record.free();
    }
}

/// One TLB.
pub(crate) struct OneTlb(pub(crate) Tlb);

impl Subscriber for OneTlb {
    type Family = SharedPageTables;

    fn release(&self) {
        self.0.release();
    }
}

impl SecondaryTlbSubscriber for OneTlb {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        self.0.invalidate_secondary_tlb(range);
    }
}

impl Singleton for OneTlb {
    fn member(self: Arc<Self>) -> Member {
        Member::SecondaryTlb(self)
    }

    fn free(&self) {
        self.0.record.free();
    }
}
