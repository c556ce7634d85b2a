//! Nor is there a second end by a copy.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let window = space.mutate().into_window(Event::Unmap, AddrRange::all());
    drop(window.clone()); //~ E0599
    //= drop(*window.event());
}

fn main() {}
