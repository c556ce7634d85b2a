//! A start that is owed an end can't fail.
use notifier::contract::*;

struct One;
impl Subscriber for One {
    type Family = OwnPageTables;
}
impl RangeSubscriber for One {
    fn invalidate_range_start(&self, _: &RangeEvent) -> Result<(), Again> { Err(Again) } //~ E0053
    //= fn invalidate_range_start(&self, _: &RangeEvent) {}
    fn invalidate_range_end(&self, _: &RangeEvent) {}
}

fn main() {}
