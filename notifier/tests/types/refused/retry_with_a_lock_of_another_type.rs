//! ...and with a lock of the interval's kind.
use notifier::contract::*;

fn breaks<S: IntervalSubscriber<State = u32>>(
    interval: &Interval<S>,
    lock: &UserLock<u64>, // protects something else
    //= lock: &UserLock<u32>,
    begun: ReadSequence,
) -> bool {
    interval.retry(&lock.lock(), begun) //~ E0308
}

fn main() {}
