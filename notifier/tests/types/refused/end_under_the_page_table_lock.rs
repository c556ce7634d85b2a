//! An end may sleep: a window does not end while its page-table lock is held.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut window = space.mutate().into_window(Event::Unmap, AddrRange::all());
    let table = window.lock_page_table();
    //
    //= drop(table);
    drop(window); //~ E0505
    drop(table); // still held
    //= // released
}

fn main() {}
