//! What a driver's accessed bits say after they were cleared.

use crate::case::cases;
use crate::check::{Outcome, equal, offered};
use crate::subject::{Age, Implementation};

cases! { Consumers, ConsumerFault:
    "use-after-flush-is-seen" = use_after_flush, unless AgeNotFlushed:
        "After clear_flush_young the next use is seen again; after clear_young it may go unnoticed, until the next flush.";
        "include/linux/mmu_notifier.h, clear_flush_young, clear_young (may skip the flush)";
}

fn use_after_flush(implementation: &dyn Implementation) -> Outcome {
    let aged = offered(implementation.aged())?;
    equal("the age before any use", aged.age(Age::Test)?, false)?;
    for round in 0..4 {
        aged.touch()?;
        if round > 0 {
            // Whether this use is seen is up to the driver: the flush was left out.
            aged.age(Age::Clear)?;
            aged.touch()?;
            aged.age(Age::Test)?;
        }
        aged.age(Age::ClearFlush)?;
        equal("the age after a flush", aged.age(Age::Test)?, false)?;
        aged.touch()?;
        equal("the age after the next use", aged.age(Age::Test)?, true)?;
    }
    Ok(())
}
