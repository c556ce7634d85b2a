//! A window inside a window ends before it.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut outer = space.mutate().into_window(Event::Unmap, AddrRange::all());
    let inner = outer.nest(Event::Clear, AddrRange::all());
    //
    //= drop(inner);
    drop(outer); //~ E0505
    drop(inner); // still open
    //= // ended
}

fn main() {}
