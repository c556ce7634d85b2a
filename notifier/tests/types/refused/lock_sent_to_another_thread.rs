//! A lock is released by the thread that took it, so that the thread knows what it holds.
use notifier::contract::*;

fn is_sent<T: Send>() {}

fn breaks() {
    is_sent::<PageTableGuard<'static, ()>>(); //~ E0277
    //= is_sent::<AddressSpace<()>>();
    is_sent::<UserGuard<'static, ()>>(); //~ E0277
    //= is_sent::<UserLock<()>>();
}

fn main() {}
