//! Who may refuse a start has no end: it could not know whether its own start counted.
use notifier::contract::*;

struct One;
impl Subscriber for One {
    type Family = OwnPageTables;
}
impl RefusingSubscriber for One {
    fn invalidate_range_start(&self, _: &RangeEvent) {}
    fn try_invalidate_range_start(&self, _: &RangeEvent) -> Result<(), Again> {
        Err(Again)
    }
    fn invalidate_range_end(&self, _: &RangeEvent) {} //~ E0407
    //= // no end
}

fn main() {}
