//! A start that must not sleep isn't called under the page-table lock either: its end would be.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut mutation = space.mutate();
    let table = mutation.lock_page_table();
    //
    //= drop(table);
    let window = mutation.try_start(Event::Unmap, AddrRange::all()); //~ E0499
    drop(window);
    drop(table); // still held
    //= // released
}

fn main() {}
