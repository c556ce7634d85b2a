//! A start may sleep: none while the mutation's page-table lock is held.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut mutation = space.mutate();
    let table = mutation.lock_page_table();
    //
    //= drop(table);
    let window = mutation.start(Event::Unmap, AddrRange::all()); //~ E0499
    drop(window);
    drop(table); // still held
    //= // released
}

fn main() {}
