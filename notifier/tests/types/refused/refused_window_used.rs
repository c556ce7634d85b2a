//! A start that may be refused gives no window until somebody has looked whether it was.
use std::sync::Arc;

use notifier::addr::AddrRange;
use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) -> Result<(), Again> {
    let mut mutation = space.mutate();
    let mut window = mutation.try_start(Event::Unmap, AddrRange::all());
    //= let mut window = mutation.try_start(Event::Unmap, AddrRange::all())?;
    drop(window.lock_page_table()); //~ E0599
    Ok(())
}

fn main() {}
