//! What holds a mutation is known here: nobody can make another thing pass for it.
use notifier::contract::*;

trait Other {
    type PageTable;
    fn mutation(&self) -> &Mutation<()>;
}

struct Mine(Mutation<()>);
impl Holder for Mine { //~ E0277
//= impl Other for Mine {
    type PageTable = ();
    fn mutation(&self) -> &Mutation<()> {
        &self.0
    }
}

fn main() {}
