//! The two families of subscribers, and secondary TLBs.

use crate::case::cases;
use crate::check::{Outcome, equal, holds, offered, refused};
use crate::log::{Log, Seen};
use crate::subject::{Bounds, Callbacks, Event, Implementation, Refused};

cases! { Ranges, RangeFault:
    "both-families-are-refused" = both_families_are_refused, unless BothFamilies:
        "A subscriber has range callbacks or a secondary-TLB callback, never both; a refusal leaves nothing behind.";
        "mm/mmu_notifier.c, __mmu_notifier_register (-EINVAL)";
    "families-are-told-apart" = families_are_told_apart, unless EndInvalidatesTlbs:
        "Secondary TLBs hear nothing of starts and ends, range subscribers nothing of TLB invalidations.";
        "ec8832d007cb (not in range_end)";
    "secondary-tlb-told-before-unlock" = told_before_unlock, unless SecondaryDeferred:
        "A secondary TLB is told while the page-table lock under which the entry was written is still held.";
        "Documentation/mm/mmu_notifier.rst; 6bbd42e2df8f (called beside the TLBI)";
    "secondary-tlb-told-without-lock" = told_without_lock, unless SecondaryNeedsLock:
        "Secondary TLBs are told from contexts without a page-table lock too.";
        "Jason Gunthorpe, ZHKYmOc/x+0w2Nd3@nvidia.com; iommu_sva_invalidate_kva_range";
    "sub-range-of-open-window" = sub_range_of_open_window, unless SecondaryWidened:
        "Inside a window a secondary TLB is told just the part that was flushed.";
        "include/linux/mmu_notifier.h, arch_invalidate_secondary_tlbs";
    "secondary-tlb-hears-a-range-alone" = hears_a_range_alone, unless SecondaryByOwner:
        "What a secondary TLB is told depends on nothing but the range: not on event, owner or flags of a window around it.";
        "include/linux/mmu_notifier.h, arch_invalidate_secondary_tlbs (mm, start, end)";
    "two-devices-on-one-mm" = two_devices_on_one_mm, unless OnlyFirstTold:
        "Every secondary TLB on an address space is told.";
        "mm/mmu_notifier.c, __mmu_notifier_arch_invalidate_secondary_tlbs";
    "other-address-space-untouched" = other_address_space_untouched, unless AllSpacesTold:
        "Subscribers of another address space are told nothing.";
        "include/linux/mm_types.h, mm_struct.notifier_subscriptions";
    "batched-flush-names-its-mm" = batched_flush_names_its_mm, unless CurrentSpaceTold:
        "A flush that a task of one address space makes for another is told to the subscribers of that other one.";
        "20230720013131.1880-1-sj@kernel.org (x86 batch flush used current->mm)";
}

const PAGE: Bounds = Bounds::pages(5, 1);

fn both_families_are_refused(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let both = Callbacks {
        secondary_tlb: log.tlb(1).secondary_tlb,
        ..log.ranges(1)
    };
    refused("a subscriber of both families", space.register(both))?;
    space.invalidate(Event::Unmap, PAGE, &mut || ())?;
    space.invalidate_unlocked(PAGE)?;
    equal("calls of who was refused", log.take(), vec![])?;
    let _next = space.register(log.ranges(2))?;
    Ok(())
}

fn families_are_told_apart(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _ranges = space.register(log.ranges(1))?;
    let _tlb = space.register(log.tlb(2))?;
    space.invalidate(Event::Unmap, PAGE, &mut || ())?;
    let strangers = |seen: &Seen| matches!(seen, Seen::Tlb(..));
    equal("TLB calls by a window", log.count(strangers), 0)?;
    log.take();
    space.invalidate_unlocked(PAGE)?;
    equal(
        "calls by a TLB invalidation",
        log.take(),
        vec![Seen::Tlb(2, PAGE)],
    )
}

fn told_before_unlock(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _tlb = space.register(log.tlb(1))?;
    let mut told: Result<(), Refused> = Ok(());
    let mut seen = Vec::new();
    space.with_page_table(&mut |table| {
        told = table.invalidate_secondary_tlbs(PAGE);
        seen = log.take();
    })?;
    told?;
    equal("calls under the lock", seen, vec![Seen::Tlb(1, PAGE)])?;
    equal("calls after it", log.take(), vec![])
}

fn told_without_lock(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _tlb = space.register(log.tlb(1))?;
    space.invalidate_unlocked(PAGE)?;
    equal("calls", log.take(), vec![Seen::Tlb(1, PAGE)])
}

fn sub_range_of_open_window(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _tlb = space.register(log.tlb(1))?;
    let mut told = Ok(());
    space.invalidate(Event::Unmap, Bounds::pages(0, 32), &mut || {
        let locked = space.with_page_table(&mut |table| {
            told = table.invalidate_secondary_tlbs(PAGE);
        });
        told = std::mem::replace(&mut told, Ok(())).and(locked);
    })?;
    told?;
    equal("calls", log.take(), vec![Seen::Tlb(1, PAGE)])
}

fn hears_a_range_alone(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _tlb = space.register(log.tlb(1))?;
    for event in Event::ANNOUNCED {
        let mut told = Ok(());
        space.invalidate(event, PAGE, &mut || told = space.invalidate_unlocked(PAGE))?;
        told?;
        let what = format!("calls inside a window of {event:?}");
        equal(&what, log.take(), vec![Seen::Tlb(1, PAGE)])?;
    }
    Ok(())
}

fn two_devices_on_one_mm(implementation: &dyn Implementation) -> Outcome {
    let (space, log) = (offered(implementation.ranges())?, Log::default());
    let _one = space.register(log.tlb(1))?;
    let _two = space.register(log.tlb(2))?;
    space.invalidate_unlocked(PAGE)?;
    for who in [1, 2] {
        holds(
            log.has(Seen::Tlb(who, PAGE)),
            "a secondary TLB was not told",
        )?;
    }
    Ok(())
}

fn other_address_space_untouched(implementation: &dyn Implementation) -> Outcome {
    let log = Log::default();
    let mine = offered(implementation.ranges())?;
    let other = offered(implementation.ranges())?;
    let _mine = mine.register(log.tlb(1))?;
    let _other = other.register(log.tlb(2))?;
    mine.invalidate_unlocked(PAGE)?;
    equal("calls", log.take(), vec![Seen::Tlb(1, PAGE)])
}

/// A task in the middle of its own munmap reclaims somebody else's page.
fn batched_flush_names_its_mm(implementation: &dyn Implementation) -> Outcome {
    let log = Log::default();
    let mine = offered(implementation.ranges())?;
    let other = offered(implementation.ranges())?;
    let _mine = mine.register(log.tlb(1))?;
    let _other = other.register(log.tlb(2))?;
    let mut told = Ok(());
    mine.invalidate(Event::Unmap, Bounds::pages(0, 32), &mut || {
        told = other.invalidate_unlocked(Bounds::ALL);
    })?;
    told?;
    equal("calls", log.take(), vec![Seen::Tlb(2, Bounds::ALL)])
}
