//! The family is one per type: it can't be stated twice, in a second `Subscriber`.
use notifier::contract::*;

struct One;
impl Subscriber for One {
    type Family = OwnPageTables;
}
struct Other;
impl Subscriber for One { //~ E0119
//= impl Subscriber for Other {
    type Family = SharedPageTables;
}

fn main() {}
