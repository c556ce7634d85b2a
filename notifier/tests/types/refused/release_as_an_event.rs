//! What interval subscribers are told can't be announced: a release starts no window.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut mutation = space.mutate();
    drop(mutation.start(IntervalEvent::Release, AddrRange::all())); //~ E0308
    //= drop(mutation.start(Event::Clear, AddrRange::all()));
}

fn main() {}
