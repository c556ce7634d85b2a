//! Faults of those with page tables of their own, while the primary page table changes.

use crate::case::cases;
use crate::check::{Outcome, detected, equal, holds, offered};
use crate::subject::{Bounds, Implementation, PAGE, Slots};
use notifier::addr::Gva;

cases! { Consumers, ConsumerFault:
    "fault-in-range-is-repeated" = in_range, unless InProgressIgnored:
        "Between a start and its end nothing is installed in its range.";
        "include/linux/kvm_host.h, mmu_invalidate_retry_gfn";
    "fault-outside-goes-on" = outside, unless AllRefused:
        "A fault outside the range goes on meanwhile.";
        "include/linux/kvm_host.h, mmu_invalidate_retry_gfn";
    "fault-is-repeated-if-something-ended" = something_ended, unless SequenceIgnored:
        "A fault during which an invalidation ended is repeated, wherever it was.";
        "include/linux/kvm_host.h, mmu_invalidate_retry_gfn";
    "every-end-counts-for-a-fault" = every_end, unless OnlyLastEndCounts:
        "Each end makes a fault that began before it be repeated, whether others are still in progress or not.";
        "virt/kvm/kvm_main.c, kvm_mmu_invalidate_end (mmu_invalidate_seq)";
    "ranges-in-progress-are-merged" = merged, unless RangeReplaced:
        "Of several ranges in progress the smallest that has them all counts: too much is refused, never too little.";
        "virt/kvm/kvm_main.c, kvm_mmu_invalidate_range_add";
    "merged-range-ends-with-the-last" = merged_ends, unless RangeKept:
        "When nothing is in progress any more nothing is refused.";
        "virt/kvm/kvm_main.c, kvm_mmu_invalidate_end";
    "unbalanced-end-is-detected" = unbalanced, unless UnbalancedEnd:
        "An end without a start is caught; the count never goes below zero.";
        "virt/kvm/kvm_main.c, kvm_mmu_invalidate_end (BUG_ON)";
    "slots-wait-for-ends" = slots_wait, unless SlotsNotBlocked:
        "Memory slots do not change while any notification is between start and end, so that both meet the same.";
        "virt/kvm/kvm_main.c, mn_active_invalidate_count, kvm_swap_active_memslots";
    "ranges-without-slot-disturb-nobody" = elsewhere, unless ElsewhereCounts:
        "A range that no memory slot overlaps disturbs no fault.";
        "virt/kvm/kvm_main.c, kvm_handle_hva_range";
    "counts-heal-after-unregister" = heals, unless NeverHeals:
        "Who unregistered inside a window forgets the ends that will not come.";
        "virt/kvm/kvm_main.c, kvm_destroy_vm";
}

const RANGE: Bounds = Bounds::pages(16, 4);
const OTHER: Bounds = Bounds::pages(32, 4);

fn at(page: u64) -> Gva {
    Gva::new(page * PAGE)
}

fn in_range(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    gate.start(RANGE, Slots::Overlap)?;
    let fault = gate.fault();
    let refused = (16..20).all(|page| fault.must_retry(at(page)));
    holds(
        refused,
        "something may be installed while it is being invalidated",
    )
}

fn outside(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    gate.start(RANGE, Slots::Overlap)?;
    let fault = gate.fault();
    let refused = [15, 20].map(|page| fault.must_retry(at(page)));
    equal("faults beside the range are repeated", refused, [false; 2])
}

fn something_ended(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    let fault = gate.fault();
    holds(
        !fault.must_retry(at(16)),
        "a fault was repeated for nothing",
    )?;
    gate.start(RANGE, Slots::Overlap)?;
    gate.end(RANGE, Slots::Overlap)?;
    holds(
        fault.must_retry(at(16)),
        "what was read before the change may be installed",
    )?;
    holds(
        !gate.fault().must_retry(at(16)),
        "a fault after the change was repeated",
    )
}

fn every_end(implementation: &dyn Implementation) -> Outcome {
    const FAR: u64 = 100;
    let gate = offered(implementation.fault_gate())?;
    for range in [RANGE, OTHER, RANGE] {
        gate.start(range, Slots::Overlap)?;
    }
    for range in [OTHER, RANGE, RANGE] {
        let fault = gate.fault();
        let before = fault.must_retry(at(FAR));
        gate.end(range, Slots::Overlap)?;
        let repeated = (before, fault.must_retry(at(FAR)));
        equal("repeated before and after an end", repeated, (false, true))?;
    }
    Ok(())
}

fn merged(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    gate.start(RANGE, Slots::Overlap)?;
    gate.start(OTHER, Slots::Overlap)?;
    let fault = gate.fault();
    let refused = [16, 19, 32, 35].map(|page| fault.must_retry(at(page)));
    equal("faults in either range are repeated", refused, [true; 4])?;
    gate.end(OTHER, Slots::Overlap)?;
    holds(
        gate.fault().must_retry(at(16)),
        "the first range was forgotten with the second",
    )
}

fn merged_ends(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    for range in [RANGE, OTHER] {
        gate.start(range, Slots::Overlap)?;
    }
    for range in [RANGE, OTHER] {
        gate.end(range, Slots::Overlap)?;
    }
    let fault = gate.fault();
    let refused = [16, 25, 35].map(|page| fault.must_retry(at(page)));
    equal(
        "faults after the last end are repeated",
        refused,
        [false; 3],
    )
}

fn unbalanced(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    detected("an end without a start", || gate.end(RANGE, Slots::Overlap))?;
    gate.start(RANGE, Slots::Overlap)?;
    gate.end(RANGE, Slots::Overlap)?;
    detected("a second end", || gate.end(RANGE, Slots::Overlap))
}

fn slots_wait(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    for slots in [Slots::Overlap, Slots::Elsewhere] {
        gate.start(RANGE, slots)?;
        holds(
            !gate.slots_may_change(),
            "slots may change between start and end",
        )?;
        gate.end(RANGE, slots)?;
        holds(
            gate.slots_may_change(),
            "slots may not change after the end",
        )?;
    }
    Ok(())
}

fn elsewhere(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    let fault = gate.fault();
    gate.start(RANGE, Slots::Elsewhere)?;
    let during = fault.must_retry(at(16));
    gate.end(RANGE, Slots::Elsewhere)?;
    let refused = (during, fault.must_retry(at(16)));
    equal(
        "faults are repeated during and after",
        refused,
        (false, false),
    )
}

fn heals(implementation: &dyn Implementation) -> Outcome {
    let gate = offered(implementation.fault_gate())?;
    gate.start(RANGE, Slots::Overlap)?;
    gate.unregistered();
    holds(
        gate.slots_may_change(),
        "slots wait for an end that will not come",
    )?;
    holds(
        !gate.fault().must_retry(at(16)),
        "faults wait for an end that will not come",
    )
}
