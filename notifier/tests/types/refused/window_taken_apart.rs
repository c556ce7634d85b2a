//! An end can't be skipped by taking the window apart.
use notifier::contract::*;

fn breaks(window: Window<Mutation<()>>) {
    drop(window.holder); //~ E0616
    //= drop(window);
}

fn main() {}
