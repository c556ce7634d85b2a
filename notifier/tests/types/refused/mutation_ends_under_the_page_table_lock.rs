//! Nor does a mutation.
use std::sync::Arc;

use notifier::contract::*;

fn breaks(space: &Arc<AddressSpace<()>>) {
    let mut mutation = space.mutate();
    let table = mutation.lock_page_table();
    //
    //= drop(table);
    drop(mutation); //~ E0505
    drop(table); // still held
    //= // released
}

fn main() {}
