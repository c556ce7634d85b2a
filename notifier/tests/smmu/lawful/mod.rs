//! Whatever software invalidates or forgets to, what an access gets is something that the tables said
//! since the last completed invalidation that covered it.

mod covers;
mod may;
mod program;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::cases::cases;
use crate::world::Setup;

/// What a run saw.
#[derive(Debug, Default)]
struct Seen {
    /// Accesses that got something else than a walk would have.
    stale: Cell<u64>,
    /// CMD_SYNCs that had to wait for an access.
    waits: Cell<u64>,
}

#[test]
fn what_an_access_gets_is_lawful() {
    let seen = Seen::default();
    let program = prop::collection::vec(program::op(), 1..120);
    let mut runner = TestRunner::new(cases(300));
    let run = runner.run(&(Setup::any(), program), |(setup, ops)| {
        program::run(&setup, &ops, &seen)
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    // A cache that is never stale would be lawful too, and these tests would test nothing.
    assert!(seen.stale.get() > 100, "{seen:?}");
    assert!(seen.waits.get() > 10, "{seen:?}");
}
