//! Secondary TLBs are told of changed entries under the lock that the entries are changed under.
use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &AddressSpace<()>) {
    space.invalidate_secondary_tlbs(AddrRange::all()); //~ E0599
    //= space.lock_page_table().invalidate_secondary_tlbs(AddrRange::all());
}

fn main() {}
