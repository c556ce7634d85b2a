//! One start, one end.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let window = space.mutate().into_window(Event::Unmap, AddrRange::all());
    drop(window);
    drop(window); //~ E0382
    //= // once
}

fn main() {}
