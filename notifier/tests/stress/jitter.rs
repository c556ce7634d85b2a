//! Random pauses, so that two processors meet in more ways than they would by themselves.

use std::cell::RefCell;
use std::time::Duration;

use fastrand::Rng;

thread_local! {
    static RNG: RefCell<Rng> = const { RefCell::new(Rng::with_seed(0)) };
}

/// This thread's pauses and refusals follow from `seed`.
pub(crate) fn seed(seed: u64) {
    RNG.set(Rng::with_seed(seed));
}

/// With the probability of one in `n`.
pub(crate) fn one_in(n: u32) -> bool {
    RNG.with_borrow_mut(|rng| rng.u32(..n) == 0)
}

/// Lets others run, sometimes, and rarely for long.
pub(crate) fn pause() {
    if one_in(16) {
        std::thread::yield_now();
    } else if one_in(512) {
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Lets others run for longer, every other time.
pub(crate) fn linger() {
    if one_in(2) {
        std::thread::sleep(Duration::from_micros(20));
    }
}
