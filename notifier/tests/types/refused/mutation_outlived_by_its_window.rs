//! A window ends before the mutation that it is part of: nobody joins unseen while it is open.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut mutation = space.mutate();
    let window = mutation.start(Event::Unmap, AddrRange::all());
    //
    //= drop(window);
    drop(mutation); //~ E0505
    drop(window); // still open
    //= // ended
}

fn main() {}
