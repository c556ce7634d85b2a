//! The page table is reached through its lock only.
use notifier::contract::*;

fn breaks(space: &AddressSpace<u64>) -> u64 {
    space.page_table //~ E0616
    //= *space.lock_page_table()
}

fn main() {}
