//! What is changed is changed before the end.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut window = space.mutate().into_window(Event::Unmap, AddrRange::all());
    drop(window);
    //= // not yet
    drop(window.lock_page_table()); //~ E0382
}

fn main() {}
