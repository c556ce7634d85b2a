//! Who watches can't change what is told.
use notifier::contract::*;

struct Watching;
impl Observer for Watching {
    fn notified(&self, _: &mut Notice) {} //~ E0053
    //= fn notified(&self, _: Notice) {}
}

fn main() {}
