//! A subscriber that may refuse has page tables of its own; it can't be a secondary TLB too.
use notifier::addr::{AddrRange, Gva};
use notifier::contract::*;

struct One;
impl Subscriber for One {
    type Family = SharedPageTables;
}
impl SecondaryTlbSubscriber for One {
    fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>) {}
}

struct Other;
impl Subscriber for Other {
    type Family = OwnPageTables;
}
impl RefusingSubscriber for One { //~ E0271
//= impl RefusingSubscriber for Other {
    fn invalidate_range_start(&self, _: &RangeEvent) {}
    fn try_invalidate_range_start(&self, _: &RangeEvent) -> Result<(), Again> {
        Err(Again)
    }
}

fn main() {}
