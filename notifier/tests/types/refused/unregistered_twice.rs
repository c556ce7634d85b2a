//! A subscription ends once: it can't be copied.
use notifier::contract::*;

fn breaks(subscription: Subscription) {
    drop(subscription.clone()); //~ E0599
    //= drop(subscription);
}

fn main() {}
