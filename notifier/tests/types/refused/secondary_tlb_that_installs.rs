//! A secondary TLB is told a range, and nothing that it could install from.
use notifier::addr::{AddrRange, Gva};
use notifier::contract::*;

struct Tlb;
impl Subscriber for Tlb {
    type Family = SharedPageTables;
}
impl SecondaryTlbSubscriber for Tlb {
    fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>, _: &mut PageTableGuard<'_, ()>) {} //~ E0050
    //= fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>) {}
}

fn main() {}
