//! What drivers of IOMMUs that share the page table make of a notification.

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::subject::{Bounds, Command, Depth, Driver, Implementation, PAGE, Teardown};
use notifier::addr::Gva;

cases! { Consumers, ConsumerFault:
    "commands-cover-the-range" = cover_the_range, unless LastPageForgotten:
        "Whatever commands a driver chooses, they cover every page of the notification, in the IOMMU and in the device.";
        "drivers/iommu/arm/arm-smmu-v3, arm_smmu_domain_inv_range; drivers/iommu/intel/cache.c";
    "smmu-many-pages-are-one-command" = many_pages, unless NoThreshold:
        "An SMMU without range commands gets one command for the ASID from 512 pages on.";
        "d5afb4b47e13 (CVE-2023-52484); 20230920052257.8615-1-nicolinc@nvidia.com";
    "whole-address-space-is-everything" = whole, unless WholeOverflows:
        "A notification of (0, ULONG_MAX) drops everything, and its end does not overflow on the way.";
        "e7ad6c2a4b1a; 20231117090933.75267-1-baolu.lu@linux.intel.com";
    "vtd-release-takes-the-entry-away" = vtd_release, unless EntryStays:
        "When the address space ends VT-d's entry of the PASID is cleared, and then all that is cached by it goes, the device's part last.";
        "drivers/iommu/intel/svm.c, intel_mm_release; drivers/iommu/intel/pasid.c, intel_pasid_tear_down_entry";
    "page-loop-names-each-page-once" = page_loop, unless OnePageMore:
        "A driver that loops over pages names each page of the range once, and no other.";
        "drivers/misc/ocxl/link.c, invalidate_range";
    "smmu-tables-go-too" = tables_go_too, unless LeavesOnly:
        "An SMMU's walk caches are invalidated too, since the notification does not say whether a table was freed.";
        "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c (leaf = false)";
    "smmu-range-is-never-zero" = never_zero, unless ZeroRange:
        "A range command never has NUM and SCALE both zero.";
        "IHI0070 4.4.1; drivers/iommu/arm/arm-smmu-v3, arm_smmu_cmdq_batch_add_range";
    "device-tlb-after-completion" = device_after, unless DeviceFirst:
        "The device's TLB is invalidated after the IOMMU's, from which it refills; on an SMMU after a CMD_SYNC.";
        "IHI0070 3.9; drivers/iommu/arm/arm-smmu-v3, arm_smmu_domain_inv_range";
    "device-tlb-aligned-power-of-two" = aligned, unless Unaligned:
        "What the device is sent is the smallest aligned power of two of pages: 7 to 10 become 0 to 15.";
        "drivers/iommu/arm/arm-smmu-v3, arm_smmu_atc_inv_to_cmd";
    "last-command-completes" = last_completes, unless NoFinalSync:
        "The callback returns only when the last command has completed.";
        "IHI0070 4.7; drivers/iommu/amd/iommu.c, amd_iommu_dev_flush_pasid_pages";
    "erratum-invalidates-twice" = twice, unless ErratumOnce:
        "Where an entry may survive a racing invalidation, it is made and completed twice.";
        "drivers/iommu/arm/arm-smmu-v3, ARM_SMMU_OPT_TLBI_TWICE";
    "erratum-device-tlb-once" = device_once, unless DeviceTwice:
        "The device's TLB is invalidated once all the same.";
        "drivers/iommu/arm/arm-smmu-v3, ARM_SMMU_OPT_TLBI_TWICE";
}

const RANGES: [Bounds; 6] = [
    Bounds::pages(7, 1),
    Bounds::pages(7, 4),
    Bounds::pages(16, 33),
    Bounds::pages(1, 511),
    Bounds::pages(3, 512),
    Bounds::pages(0, 100_000),
];

/// The commands of those of the drivers that are offered; at least one is.
fn each(
    implementation: &dyn Implementation,
    drivers: &[Driver],
    bounds: Bounds,
) -> Result<Vec<(Driver, Vec<Command>)>, Failure> {
    let subject = offered(implementation.commands())?;
    let commands = drivers.iter().filter_map(|driver| {
        let commands = subject.commands(*driver, bounds)?;
        Some((*driver, commands))
    });
    let all: Vec<_> = commands.collect();
    if all.is_empty() {
        return Err(Failure::NotOffered);
    }
    Ok(all)
}

/// What a command drops of the IOMMU's TLB.
fn own(command: &Command) -> Option<Bounds> {
    match command {
        Command::Pages(bounds, _) => Some(*bounds),
        Command::Range {
            start, num, scale, ..
        } => {
            let bytes = ((u64::from(*num) + 1) << scale) * PAGE;
            Some(Bounds::new(*start, Gva::new(start.raw() + bytes)))
        }
        Command::Everything => Some(Bounds::ALL),
        Command::DeviceTlb { .. } | Command::Sync => None,
    }
}

/// What it drops of the device's.
fn device(command: &Command) -> Option<Bounds> {
    let Command::DeviceTlb { start, order } = command else {
        return None;
    };
    let bytes = 1_u64.checked_shl(u32::from(*order) + 12);
    let end = bytes.and_then(|bytes| start.raw().checked_add(bytes));
    Some(Bounds::new(*start, Gva::new(end.unwrap_or(u64::MAX))))
}

/// Whether all pages of `bounds` are in one of these; they come in order.
fn cover(bounds: Bounds, dropped: impl Iterator<Item = Bounds>) -> bool {
    let mut next = bounds.start.raw();
    for one in dropped {
        if one.start.raw() <= next {
            next = next.max(one.end.raw());
        }
    }
    next >= bounds.end.raw()
}

fn cover_the_range(implementation: &dyn Implementation) -> Outcome {
    for bounds in RANGES {
        for (driver, commands) in each(implementation, &Driver::ALL, bounds)? {
            let what = format!("{driver:?}: {bounds} is not covered by {commands:?}");
            holds(cover(bounds, commands.iter().filter_map(own)), &what)?;
            let has_device = driver != Driver::Ocxl;
            let in_device = cover(bounds, commands.iter().filter_map(device));
            holds(in_device || !has_device, &format!("{what} in the device"))?;
        }
    }
    Ok(())
}

fn many_pages(implementation: &dyn Implementation) -> Outcome {
    for pages in [512, 513, 1 << 20] {
        let bounds = Bounds::pages(16, pages);
        for (_, commands) in each(implementation, &[Driver::SmmuByPage], bounds)? {
            let all = commands.contains(&Command::Everything);
            holds(all, "they are not all dropped by one command")?;
            let own = commands.iter().filter(|command| own(command).is_some());
            equal("commands for the TLB", own.count(), 1)?;
        }
    }
    Ok(())
}

fn whole(implementation: &dyn Implementation) -> Outcome {
    for (driver, commands) in each(implementation, &Driver::ALL, Bounds::ALL)? {
        let everything = commands.contains(&Command::Everything);
        holds(everything, &format!("{driver:?} does not drop everything"))?;
        for command in &commands {
            if let Command::DeviceTlb { order, .. } = command {
                equal("the order for the device", *order, 52)?;
            }
        }
    }
    Ok(())
}

fn vtd_release(implementation: &dyn Implementation) -> Outcome {
    let steps = offered(offered(implementation.commands())?.vtd_release())?;
    let right = [
        Teardown::ClearEntry,
        Teardown::EntryCache,
        Teardown::Tlb,
        Teardown::DeviceTlb,
    ];
    equal("the steps of the release", steps, right.to_vec())
}

fn page_loop(implementation: &dyn Implementation) -> Outcome {
    for bounds in RANGES {
        for (_, commands) in each(implementation, &[Driver::Ocxl], bounds)? {
            let named: Vec<_> = commands.iter().filter_map(own).collect();
            let (first, end) = (bounds.start.raw() / PAGE, bounds.end.raw() / PAGE);
            let right: Vec<_> = (first..end).map(|page| Bounds::pages(page, 1)).collect();
            let what = format!("{bounds}: it names other pages than those of the range");
            holds(named == right, &what)?;
        }
    }
    Ok(())
}

fn tables_go_too(implementation: &dyn Implementation) -> Outcome {
    for (driver, commands) in each(implementation, &Driver::SMMU, RANGES[1])? {
        let leaves = commands.iter().any(|command| {
            matches!(
                command,
                Command::Pages(_, Depth::Leaves)
                    | Command::Range {
                        depth: Depth::Leaves,
                        ..
                    }
            )
        });
        holds(!leaves, &format!("{driver:?} leaves cached tables"))?;
    }
    Ok(())
}

fn never_zero(implementation: &dyn Implementation) -> Outcome {
    for bounds in RANGES {
        for (_, commands) in each(implementation, &[Driver::SmmuByRange], bounds)? {
            let zero = |command: &Command| {
                matches!(
                    command,
                    Command::Range {
                        num: 0,
                        scale: 0,
                        ..
                    }
                )
            };
            let what = format!("{bounds}: a range command for one page");
            holds(!commands.iter().any(zero), &what)?;
        }
    }
    Ok(())
}

fn device_after(implementation: &dyn Implementation) -> Outcome {
    let drivers = [
        Driver::SmmuByPage,
        Driver::SmmuByRange,
        Driver::SmmuErratum,
        Driver::Vtd,
    ];
    for (driver, commands) in each(implementation, &drivers, RANGES[1])? {
        let last_own = commands.iter().rposition(|command| own(command).is_some());
        let first = commands
            .iter()
            .position(|command| device(command).is_some());
        let what = format!("{driver:?}: the device comes first in {commands:?}");
        holds(last_own.is_some() && last_own < first, &what)?;
        let (Some(own), Some(first)) = (last_own, first) else {
            continue;
        };
        let synced = commands[own..first].contains(&Command::Sync);
        let what = format!("{driver:?}: nothing is completed before the device in {commands:?}");
        holds(synced || driver == Driver::Vtd, &what)?;
    }
    Ok(())
}

fn aligned(implementation: &dyn Implementation) -> Outcome {
    for (driver, commands) in each(implementation, &Driver::ALL, Bounds::pages(7, 4))? {
        let device: Vec<_> = commands.iter().filter_map(device).collect();
        let right = match driver {
            Driver::Ocxl => vec![],
            _ => vec![Bounds::pages(0, 16)],
        };
        equal(&format!("what {driver:?} sends the device"), device, right)?;
    }
    Ok(())
}

fn last_completes(implementation: &dyn Implementation) -> Outcome {
    let drivers = [
        Driver::SmmuByPage,
        Driver::SmmuByRange,
        Driver::SmmuErratum,
        Driver::Amd,
    ];
    for (driver, commands) in each(implementation, &drivers, RANGES[1])? {
        let last = commands.last().copied();
        equal(
            &format!("the last command of {driver:?}"),
            last,
            Some(Command::Sync),
        )?;
    }
    Ok(())
}

fn twice(implementation: &dyn Implementation) -> Outcome {
    let page = Bounds::pages(7, 1);
    for (_, commands) in each(implementation, &[Driver::SmmuErratum], page)? {
        let device_at = commands
            .iter()
            .position(|command| device(command).is_some());
        let before = &commands[..device_at.unwrap_or(commands.len())];
        let is_own = |command: &&Command| own(command).is_some();
        let syncs = before.iter().filter(|command| **command == Command::Sync);
        let counts = (before.iter().filter(is_own).count(), syncs.count());
        equal(
            "invalidations and completions before the device",
            counts,
            (2, 2),
        )?;
    }
    Ok(())
}

fn device_once(implementation: &dyn Implementation) -> Outcome {
    for (_, commands) in each(implementation, &[Driver::SmmuErratum], RANGES[1])? {
        let device = commands.iter().filter_map(device);
        equal("invalidations of the device", device.count(), 1)?;
    }
    Ok(())
}
