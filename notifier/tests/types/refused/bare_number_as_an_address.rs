//! A range is one of guest-virtual addresses: no other kind, no bare number.
use notifier::addr::{Address, AddrRange, Gpa, Gva};
use notifier::contract::*;

fn breaks(guard: &PageTableGuard<'_, ()>) {
    let (start, last) = (Gpa::new(0x1000), Gpa::new(0x1fff));
    //= let (start, last) = (Gva::new(0x1000), Gva::new(0x1fff));
    let page = AddrRange::through(start, last).unwrap();
    guard.invalidate_secondary_tlbs(page); //~ E0308
}

fn main() {}
