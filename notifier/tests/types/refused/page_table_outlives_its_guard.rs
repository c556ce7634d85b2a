//! The page table can't be kept past its lock.
use notifier::contract::*;

fn breaks(space: &AddressSpace<Vec<u64>>) -> usize {
    let guard = space.lock_page_table();
    let kept: &Vec<u64> = &guard;
    drop(guard); //~ E0505
    //= // still held
    kept.len()
}

fn main() {}
