//! Devices that get on, and one that does not.

use std::sync::Arc;

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::subject::{Announced, Implementation, Progress};

cases! { Consumers, ConsumerFault:
    "endless-faults-are-reported" = endless, unless NobodyWatches:
        "A device that goes on faulting on an entry that the page table has long allowed is reported, with the address; a fault that it agrees with is not.";
        "mm/memory.c, handle_pte_fault (a spurious fault tells no secondary TLB); 97c5550b7631 (endless SMMU faults)";
}

const TRIES: u64 = 16;

fn subject(implementation: &dyn Implementation) -> Result<Arc<dyn Progress>, Failure> {
    offered(implementation.progress())
}

fn endless(implementation: &dyn Implementation) -> Outcome {
    let told = subject(implementation)?;
    holds(!told.write(TRIES), "a read-only page was written")?;
    equal("reports of a fault that is right", told.stuck(), vec![])?;
    told.upgrade(Announced::ToSecondaryTlbs)?;
    holds(told.write(TRIES), "the upgrade was told and not followed")?;
    equal("reports of a device that got on", told.stuck(), vec![])?;

    let untold = subject(implementation)?;
    untold.upgrade(Announced::ToNobody)?;
    let through = untold.write(TRIES);
    holds(!through, "the device does not keep what it cached")?;
    equal("where it is stuck", untold.stuck(), vec![untold.page()])
}
