//! The end of an address space is not a change that somebody may announce.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    drop(space.mutate().into_window(Event::Release, AddrRange::all())); //~ E0599
    //= drop(space.mutate().into_window(Event::Unmap, AddrRange::all()));
}

fn main() {}
