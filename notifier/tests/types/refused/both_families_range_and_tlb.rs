//! A subscriber has page tables of its own, or caches the primary one; not both.
use notifier::addr::{AddrRange, Gva};
use notifier::contract::*;

struct One;
impl Subscriber for One {
    type Family = OwnPageTables;
}
impl RangeSubscriber for One {
    fn invalidate_range_start(&self, _: &RangeEvent) {}
    fn invalidate_range_end(&self, _: &RangeEvent) {}
}

struct Other;
impl Subscriber for Other {
    type Family = SharedPageTables;
}
impl SecondaryTlbSubscriber for One { //~ E0271
//= impl SecondaryTlbSubscriber for Other {
    fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>) {}
}

fn main() {}
