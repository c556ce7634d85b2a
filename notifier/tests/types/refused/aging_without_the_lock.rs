//! The age of pages is asked for under the page-table lock.
use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &AddressSpace<()>) {
    space.clear_flush_young(AddrRange::all()); //~ E0599
    //= space.lock_page_table().clear_flush_young(AddrRange::all());
    space.clear_young(AddrRange::all()); //~ E0599
    //= space.lock_page_table().clear_young(AddrRange::all());
    space.test_young(AddrRange::all()); //~ E0599
    //= space.lock_page_table().test_young(AddrRange::all());
}

fn main() {}
