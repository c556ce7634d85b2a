//! What the user lock protects can't be kept past the lock.
use notifier::contract::*;

fn breaks() {
    let kept;
    let lock = UserLock::new(0_u32); // dropped before `kept`
    //= static lock: std::sync::LazyLock<UserLock<u32>> = std::sync::LazyLock::new(|| UserLock::new(0));
    kept = lock.lock(); //~ E0597
    drop(*kept);
}

fn main() {}
