//! When a read began is known from its beginning only.
use notifier::contract::*;

fn breaks<S: IntervalSubscriber>(interval: &Interval<S>) -> ReadSequence {
    ReadSequence(2) //~ E0423
    //= interval.read_begin()
}

fn main() {}
