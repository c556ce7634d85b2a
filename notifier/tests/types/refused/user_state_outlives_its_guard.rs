//! ...nor past the guard.
use notifier::contract::*;

fn breaks(lock: &UserLock<Vec<u32>>) -> usize {
    let guard = lock.lock();
    let kept: &Vec<u32> = &guard;
    drop(guard); //~ E0505
    //= // still held
    kept.len()
}

fn main() {}
