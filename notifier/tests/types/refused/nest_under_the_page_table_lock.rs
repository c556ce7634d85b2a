//! A window inside a window starts before the page-table lock is taken, or after.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut outer = space.mutate().into_window(Event::Unmap, AddrRange::all());
    let table = outer.lock_page_table();
    //
    //= drop(table);
    let inner = outer.nest(Event::Clear, AddrRange::all()); //~ E0499
    drop(inner);
    drop(table); // still held
    //= // released
}

fn main() {}
