//! What the primary side does in which order when it takes something away.

use super::windows::{Machine, is_end, is_start, is_write, page, pages, told};
use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds};
use crate::device::Device;
use crate::log::{Log, Seen};
use crate::subject::{Bounds, Frame, Implementation, Operation, OwnerId, Refused, Rights, Step};

cases! { Primary, PrimaryFault:
    "protection-both-ways" = both_ways, unless ProtectUpgradeSilent:
        "mprotect sends a start and an end whether it takes rights or gives them.";
        "mm/mprotect.c (MMU_NOTIFY_PROTECTION_VMA)";
    "unchanged-protection-invalidates-nothing" = unchanged, unless ProtectAlwaysInvalidates:
        "mprotect that leaves the entries as they are invalidates no secondary TLB.";
        "arch/x86/include/asm/tlbflush.h, pte_flags_need_flush";
    "downgrade-is-invalidated-before-the-end" = downgrade, unless DowngradeLate:
        "Write-protection has reached secondary TLBs before the end is sent.";
        "Documentation/mm/mmu_notifier.rst";
    "copy-clears-and-invalidates-first" = copy_clears, unless CopyWithoutClear:
        "An entry that gets a different page is cleared, then invalidated, then written, so that no device reads old data after new.";
        "Documentation/mm/mmu_notifier.rst (two-address example); mm/memory.c, wp_page_copy";
    "merge-is-invalidated-before-the-end" = merge, unless MergeSilent:
        "A page that is replaced by one of the same content may be invalidated late, but before the end.";
        "Documentation/mm/mmu_notifier.rst; mm/ksm.c, replace_page";
    "unmap-invalidates-before-free" = unmap_first, unless FreeFirst:
        "A page goes back to the allocator only when no secondary TLB has it.";
        "mm/mmu_gather.c, tlb_flush_mmu";
    "exit-releases-before-free" = release_first, unless FreeBeforeRelease:
        "At the end subscribers are released before the first page is freed.";
        "mm/mmap.c, exit_mmap";
    "reaper-leaves-entries-when-refused" = reaper, unless ReapsAnyway:
        "The reaper leaves the entries alone if somebody would have had to sleep.";
        "mm/memory.c, zap_vma_for_reaping";
    "kernel-table-is-flushed-before-free" = kernel_table, unless KernelTableSilent:
        "Before a table of the kernel's half is freed everything of every bound address space is invalidated.";
        "e37d5a2d60a3; 20250708140629.GQ904431@ziepe.ca";
    "too-much-is-legal" = too_much, unless FreeFirst:
        "With every invalidation widened to everything a device still uses nothing but what the page table says, and no page that was freed.";
        "Documentation/mm/mmu_notifier.rst";
    "never-too-little" = never_too_little, unless LastPageForgotten:
        "After each of many operations no device uses what the page table does not say; too much is always legal.";
        "Documentation/mm/mmu_notifier.rst";
}

/// The operation sends a start and an end.
fn is_bookended(machine: &Machine, operation: Operation) -> Result<Vec<Seen>, Failure> {
    let seen = machine.perform(operation)?;
    let count = |which: fn(&Seen) -> bool| seen.iter().filter(|seen| which(seen)).count();
    equal("starts and ends", (count(is_start), count(is_end)), (1, 1))?;
    Ok(seen)
}

fn both_ways(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    for rights in [Rights::ReadOnly, Rights::ReadWrite] {
        let seen = is_bookended(&machine, Operation::Protect(pages(16, 4), rights))?;
        holds(seen.iter().any(is_write), "nothing was changed")?;
        equal("stale pages", machine.device().stale(), 0)?;
    }
    Ok(())
}

fn unchanged(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadOnly)?;
    let seen = is_bookended(&machine, Operation::Protect(pages(16, 4), Rights::ReadOnly))?;
    equal("invalidations", told(&seen), vec![])
}

fn downgrade(implementation: &dyn Implementation) -> Outcome {
    let all = pages(16, 4);
    for operation in [
        Operation::Fork(all),
        Operation::WriteBack(all),
        Operation::ClearSoftDirty(all),
        Operation::Protect(all, Rights::ReadOnly),
    ] {
        let machine = Machine::new(implementation, Rights::ReadWrite)?;
        let seen = machine.perform(operation)?;
        let tlb = seen.iter().rposition(|seen| matches!(seen, Seen::Tlb(..)));
        let (write, end) = (
            seen.iter().rposition(is_write),
            seen.iter().position(is_end),
        );
        holds(
            write < tlb && tlb < end,
            &format!("{operation:?}: told too late or too early"),
        )?;
        equal("stale pages", machine.device().stale(), 0)?;
    }
    Ok(())
}

/// By a device that caches whatever it can: the new page is never visible while it has the old one.
fn copy_clears(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadOnly)?;
    let seen = machine.perform(Operation::Copy(page(17)))?;
    let written = seen.iter().filter_map(|seen| match seen {
        Seen::Step(Step::Written { now, .. }) => *now,
        _ => None,
    });
    holds(written.count() > 0, "no new entry was written")?;
    let device = machine.device();
    equal(
        "new pages visible beside the cached old one",
        device.early,
        0,
    )?;
    equal("stale pages", device.stale(), 0)
}

fn merge(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    let seen = machine.perform(Operation::Merge(page(17)))?;
    let tlb = seen.iter().rposition(|seen| matches!(seen, Seen::Tlb(..)));
    let end = seen.iter().position(is_end);
    holds(tlb.is_some(), "no secondary TLB was told")?;
    holds(tlb < end, "a secondary TLB was told after the end")?;
    equal("stale pages", machine.device().stale(), 0)
}

fn unmap_first(implementation: &dyn Implementation) -> Outcome {
    let all = pages(16, 4);
    for operation in [
        Operation::Unmap(all),
        Operation::Zap(all),
        Operation::Reap(all),
    ] {
        let machine = Machine::new(implementation, Rights::ReadWrite)?;
        let seen = machine.perform(operation)?;
        let is_free = |seen: &&Seen| matches!(seen, Seen::Step(Step::Freed(_)));
        equal("pages freed", seen.iter().filter(is_free).count(), 4)?;
        let device = machine.device();
        equal("pages freed while cached", device.freed, 0)?;
        equal("stale pages", device.stale(), 0)?;
    }
    Ok(())
}

fn release_first(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    let seen = machine.perform(Operation::Exit)?;
    let free = seen
        .iter()
        .position(|seen| matches!(seen, Seen::Step(Step::Freed(_))));
    let releases = seen.iter().filter(|seen| matches!(seen, Seen::Release(_)));
    equal("subscribers released", releases.count(), 2)?;
    let last = seen
        .iter()
        .rposition(|seen| matches!(seen, Seen::Release(_)));
    holds(free.is_some(), "no page was freed")?;
    holds(
        last < free,
        "a page was freed before a subscriber was released",
    )
}

fn reaper(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    let refuser = machine.primary.register(Log::default().refusing(3))?;
    let before = machine.log.seen().len();
    let reaped = machine.primary.perform(Operation::Reap(pages(16, 4)));
    let seen = machine.log.seen().split_off(before);
    equal("what the reaper is told", reaped, Err(Refused::Again))?;
    holds(
        !seen.iter().any(is_write),
        "an entry was written after a refusal",
    )?;
    refuser.unregister()?;
    let seen = machine.perform(Operation::Reap(pages(16, 4)))?;
    holds(
        seen.iter().any(is_write),
        "nothing was reaped when nobody refused",
    )
}

fn kernel_table(implementation: &dyn Implementation) -> Outcome {
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    let seen = machine.perform(Operation::FreeKernelTable)?;
    let flush = seen
        .iter()
        .position(|seen| *seen == Seen::Tlb(1, Bounds::ALL));
    let free = seen
        .iter()
        .position(|seen| matches!(seen, Seen::Step(Step::Freed(Frame(_)))));
    holds(flush.is_some(), "no secondary TLB was flushed")?;
    holds(free.is_some(), "the table was not freed")?;
    holds(flush < free, "the table was freed before the flush")
}

/// A generator of the simplest kind, so that each run is the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Numerical Recipes' linear congruence; the high bits are the better ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn operation(&mut self) -> Operation {
        let range = pages(16 + self.roll(8), 1 + self.roll(8));
        let at = page(16 + self.roll(16));
        let rights = [Rights::ReadOnly, Rights::ReadWrite][usize::from(self.roll(2) == 1)];
        match self.roll(12) {
            0..=2 => Operation::Map(range, rights),
            3 => Operation::Unmap(range),
            4 => Operation::Zap(range),
            5 => Operation::Protect(range, rights),
            6 => Operation::Fork(range),
            7 => Operation::Copy(at),
            8 => Operation::Merge(at),
            9 => Operation::Migrate(range, OwnerId(1)),
            _ => Operation::WriteFault(at),
        }
    }
}

/// The same operations, seen by a device whose notifications somebody widens on the way.
fn too_much(implementation: &dyn Implementation) -> Outcome {
    const OPERATIONS: u64 = 200;
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    let mut dice = Dice(2);
    for _ in 0..OPERATIONS {
        machine.perform(dice.operation())?;
    }
    let widen = |seen| match seen {
        Seen::Tlb(who, _) => Seen::Tlb(who, Bounds::ALL),
        seen => seen,
    };
    let widened: Vec<_> = machine.log.seen().into_iter().map(widen).collect();
    let device = Device::after(machine.platform, &widened);
    let wrong = (device.stale(), device.early, device.freed);
    equal("stale, early and freed pages", wrong, (0, 0, 0))
}

fn never_too_little(implementation: &dyn Implementation) -> Outcome {
    const OPERATIONS: u64 = 200;
    let machine = Machine::new(implementation, Rights::ReadWrite)?;
    let mut dice = Dice(1);
    for _ in 0..OPERATIONS {
        let operation = dice.operation();
        machine.perform(operation)?;
        let device = machine.device();
        let (stale, freed) = (device.stale(), device.freed);
        let what = format!("stale pages, and pages freed while cached, after {operation:?}");
        equal(&what, (stale, freed), (0, 0))?;
    }
    Ok(())
}
