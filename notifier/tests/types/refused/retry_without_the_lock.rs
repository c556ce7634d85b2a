//! Whether a read was overtaken is asked with the user lock held.
use notifier::contract::*;

fn breaks<S: IntervalSubscriber>(interval: &Interval<S>, begun: ReadSequence) -> bool {
    interval.retry(begun) //~ E0061
    //= interval.retry(&interval.lock(), begun)
}

fn main() {}
