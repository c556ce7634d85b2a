//! Faults that raise a permission, and changes of which nobody is to be told.

use super::windows::{Machine, is_end, is_start, is_write, page, pages, told};
use crate::case::cases;
use crate::check::{Outcome, equal, holds};
use crate::log::Seen;
use crate::subject::{Bounds, Event, Implementation, Operation, PAGE, Platform, Rights, Step};

cases! { Primary, PrimaryFault:
    "fault-upgrade-invalidates-once" = upgrade_once, unless UpgradeSilent:
        "A fault that makes an entry writable tells secondary TLBs once, after the write and with the lock held.";
        "6bbd42e2df8f; arch/arm64/mm/fault.c, __ptep_set_access_flags_anysz";
    "fault-upgrade-is-no-window" = upgrade_no_window, unless UpgradeInWindow:
        "It sends no start and no end: those with page tables of their own find out by a fault.";
        "Sean Christopherson, ZGwDoONUFAHi7XKz@google.com";
    "no-op-fault-is-silent" = no_op, unless FaultAlwaysInvalidates:
        "A fault that finds the entry as it should be tells nobody.";
        "mm/memory.c, handle_pte_fault (pte_same)";
    "accessed-flag-is-silent" = accessed, unless AccessedInvalidates:
        "A fault that only sets the accessed flag tells nobody, since no TLB keeps an entry without it.";
        "arch/arm64/mm/fault.c, __ptep_set_access_flags_anysz (dirty)";
    "spurious-fault-is-silent" = spurious, unless SpuriousInvalidates:
        "A fault by this CPU's stale TLB is fixed on this CPU alone.";
        "cb1fa2e99955 (NONOTIFY)";
    "mapping-is-silent" = mapping, unless MapInvalidates:
        "An entry that becomes valid invalidates nothing.";
        "Documentation/mm/mmu_notifier.rst";
    "software-bit-is-silent" = software, unless SoftwareInvalidates:
        "A change of bits that hardware ignores invalidates nothing.";
        "Documentation/mm/mmu_notifier.rst";
    "walking-hardware-needs-no-upgrade" = walks_again, unless NeedlessUpgrade:
        "Where hardware walks again before it denies, an upgrade invalidates nothing and still gets through.";
        "arch/x86/mm/pgtable.c, ptep_set_access_flags";
    "break-before-make" = break_before_make, unless MakeWithoutBreak:
        "Where an entry must not be valid while it is invalidated, it is not.";
        "arch/powerpc/mm/book3s64/radix_pgtable.c, radix__ptep_set_access_flags";
    "contiguous-upgrade-is-no-no-op" = contiguous_upgrade, unless ContiguousNoOp:
        "A write fault in a contiguous block whose neighbour is dirty updates the whole block and flushes it once.";
        "97c5550b7631; 20260303063751.2531716-1-pjaroszynski@nvidia.com";
    "contiguous-change-flushes-the-block" = contiguous_change, unless ContiguousOnePage:
        "A change of one entry of a contiguous block takes the block apart and flushes all of it.";
        "arch/arm64/mm/contpte.c, contpte_convert";
    "huge-contiguous-range-is-a-product" = huge_contiguous, unless SumForProduct:
        "The range for a block of huge pages is their size times their number.";
        "5d8e1f75...1684892404...@nvidia.com (v2: addr + (pgsize + ncontig))";
    "huge-upgrade-covers-the-leaf" = huge_upgrade, unless HugeOnePage:
        "An upgrade of a huge page invalidates all that it translates.";
        "arch/arm64/include/asm/pgtable.h, pmdp_set_access_flags";
}

fn upgrade_once(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadOnly)?;
    let seen = machine.perform(Operation::WriteFault(page(17)))?;
    let covers = |bounds: &Bounds| bounds.covers(Bounds::pages(17, 1));
    let told = told(&seen);
    equal("invalidations", told.len(), 1)?;
    holds(
        told.iter().all(covers),
        "the page was not in the invalidation",
    )?;
    let position = |which: fn(&Seen) -> bool| seen.iter().position(which);
    let tlb = position(|seen| matches!(seen, Seen::Tlb(..)));
    let unlocked = position(|seen| *seen == Seen::Step(Step::Unlocked));
    holds(position(is_write) < tlb, "it was told before the write")?;
    holds(tlb < unlocked, "it was told after the lock was released")?;
    equal("stale pages", machine.device().stale(), 0)
}

fn upgrade_no_window(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadOnly)?;
    let seen = machine.perform(Operation::WriteFault(page(17)))?;
    holds(seen.iter().any(is_write), "the fault changed nothing")?;
    let bookends = seen.iter().filter(|seen| is_start(seen) || is_end(seen));
    equal("starts and ends", bookends.count(), 0)
}

/// The machine's operation tells nobody anything.
fn is_silent(machine: &Machine, operation: Operation) -> Outcome {
    let seen = machine.perform(operation)?;
    let calls = seen
        .into_iter()
        .filter(|seen| !matches!(seen, Seen::Step(_)));
    equal("notifications", calls.collect(), vec![])
}

fn no_op(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    machine.perform(Operation::WriteFault(page(17)))?;
    is_silent(&machine, Operation::WriteFault(page(17)))
}

fn accessed(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::empty(implementation, Platform::KeepsReadOnly)?;
    machine.perform(Operation::MapUnused(pages(16, 4), Rights::ReadOnly))?;
    is_silent(&machine, Operation::AccessFault(page(17)))?;
    equal("stale pages", machine.device().stale(), 0)
}

fn spurious(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    is_silent(&machine, Operation::SpuriousFault(page(17)))
}

fn mapping(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::empty(implementation, Platform::KeepsReadOnly)?;
    is_silent(&machine, Operation::Map(pages(16, 4), Rights::ReadOnly))
}

fn software(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    is_silent(&machine, Operation::SetSoftwareBit(page(17)))
}

fn walks_again(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::empty(implementation, Platform::WalksAgain)?;
    machine.perform(Operation::Map(pages(16, 4), Rights::ReadOnly))?;
    is_silent(&machine, Operation::WriteFault(page(17)))?;
    equal("stale pages", machine.device().stale(), 0)
}

fn break_before_make(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::empty(implementation, Platform::BreakBeforeMake)?;
    machine.perform(Operation::Map(pages(16, 4), Rights::ReadOnly))?;
    let mut valid = true;
    let mut told = 0;
    for seen in machine.perform(Operation::WriteFault(page(17)))? {
        match seen {
            Seen::Step(Step::Written { now, .. }) => valid = now.is_some(),
            Seen::Tlb(..) => {
                told += 1;
                holds(!valid, "an entry was invalidated while it was valid")?;
            }
            _ => {}
        }
    }
    holds(told > 0, "the upgrade was not told")?;
    holds(valid, "the entry is invalid in the end")?;
    equal("stale pages", machine.device().stale(), 0)
}

const BLOCK: Bounds = Bounds::pages(32, 16);

fn contiguous_upgrade(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::empty(implementation, Platform::KeepsReadOnly)?;
    machine.perform(Operation::MapContiguous(BLOCK.start))?;
    let seen = machine.perform(Operation::WriteFault(page(35)))?;
    let written = seen.iter().filter_map(|seen| match seen {
        Seen::Step(Step::Written { entry, now }) => now.map(|leaf| (entry.start, leaf.rights)),
        _ => None,
    });
    let writable = (0..16).map(|n| (page(32 + n), Rights::ReadWrite));
    equal(
        "entries written",
        written.collect::<Vec<_>>(),
        writable.collect(),
    )?;
    equal("invalidations", told(&seen), vec![BLOCK])?;
    equal("stale pages", machine.device().stale(), 0)
}

fn contiguous_change(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::empty(implementation, Platform::KeepsReadOnly)?;
    machine.perform(Operation::MapContiguous(BLOCK.start))?;
    machine.perform(Operation::WriteFault(page(32)))?;
    let seen = machine.perform(Operation::Protect(pages(35, 1), Rights::ReadOnly))?;
    let flushed = told(&seen).iter().any(|bounds| bounds.covers(BLOCK));
    holds(flushed, "the block was not flushed as a whole")?;
    let change = seen
        .iter()
        .any(|seen| matches!(seen, Seen::Start(_, change) if change.event == Event::ProtectionVma));
    holds(change, "no start was sent")?;
    equal("stale pages", machine.device().stale(), 0)
}

/// Pages in a huge one.
const HUGE: u64 = 512;

fn huge_contiguous(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::empty(implementation, Platform::KeepsReadOnly)?;
    machine.perform(Operation::MapHugeContiguous(page(4 * HUGE)))?;
    let at = page(5 * HUGE);
    let seen = machine.perform(Operation::WriteFault(at))?;
    equal(
        "invalidations",
        told(&seen),
        vec![Bounds::pages(4 * HUGE, 4 * HUGE)],
    )?;
    equal("stale pages", machine.device().stale(), 0)
}

fn huge_upgrade(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::empty(implementation, Platform::KeepsReadOnly)?;
    machine.perform(Operation::MapHuge(page(4 * HUGE)))?;
    let inside = page(4 * HUGE + 7);
    let seen = machine.perform(Operation::WriteFault(inside))?;
    let whole = Bounds::pages(4 * HUGE, HUGE);
    let bytes = HUGE * PAGE;
    let covered = told(&seen).iter().any(|bounds| bounds.covers(whole));
    holds(
        covered,
        &format!("not all {bytes} bytes of the leaf were invalidated"),
    )
}
