//! Devices that come to share a page table and leave it again.

use std::sync::Arc;

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::subject::{Binding, Denied, DeviceId, Implementation, Told};
use crate::task::Task;

cases! { Consumers, ConsumerFault:
    "attach-misses-no-change" = attach, unless BoundBeforeListed:
        "A change anywhere in the binding of a device reaches it: who may cache is listed before he can.";
        "drivers/iommu/arm/arm-smmu-v3, arm_smmu_attach_prepare, arm_smmu_attach_commit";
    "detached-is-clean" = detach, unless DetachedDirty:
        "What is no longer listed holds nothing: who is bound again sees changes made meanwhile.";
        "drivers/iommu/arm/arm-smmu-v3, arm_smmu_domain_inv_range (an ASID that is not listed is clean)";
    "every-bound-device-is-told" = every_device, unless OneDeviceTold:
        "A notification reaches every device that is bound.";
        "drivers/iommu/arm/arm-smmu-v3, arm_smmu_domain_inv_range";
    "release-leaves-nothing-to-use" = release, unless ReleaseKeepsTlb:
        "After the end of the address space a bound device gets nothing more through it, and no fault of its binding.";
        "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c, arm_smmu_mm_release";
    "release-leaves-a-valid-descriptor" = release_is_quiet, unless ReleaseUnbinds:
        "A device that goes on after the end finds no translation, not a bad descriptor: walks are switched off, the descriptor stays.";
        "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c, arm_smmu_mm_release (EPD0, no C_BAD_CD)";
    "release-twice-is-as-once" = release_twice, unless SecondReleaseFails:
        "A driver's release may come twice, at the same time and beside a notification, and that is as if it came once.";
        "mm/mmu_notifier.c, mn_hlist_release, mmu_notifier_unregister (both may call it; deduced)";
    "wider-notification-is-legal" = wider, unless WideIgnored:
        "A notification of more than what changed is followed for all of it, and nobody loses more than time.";
        "Documentation/mm/mmu_notifier.rst; 20230720013131.1880-1-sj@kernel.org (x86 batches say everything)";
}

const DEVICES: [DeviceId; 2] = [DeviceId::One, DeviceId::Two];

fn bench(implementation: &dyn Implementation) -> Result<Arc<dyn Binding>, Failure> {
    offered(implementation.binding())
}

/// The device reads at every step, so that it caches whatever it can, and the change comes after one.
fn attach(implementation: &dyn Implementation) -> Outcome {
    let mut steps = 0;
    bench(implementation)?.attach(DeviceId::One, &mut || steps += 1)?;
    holds(steps > 1, "binding has no step that could be looked at")?;
    for change_at in 0..steps {
        let bench = bench(implementation)?;
        let (mut step, mut changed) = (0, None);
        bench.attach(DeviceId::One, &mut || {
            bench.read(DeviceId::One);
            if step == change_at {
                changed = Some(bench.remap(Told::Page));
            }
            step += 1;
        })?;
        let frame = changed.transpose()?;
        let what = format!("the frame read after a change at step {change_at}");
        equal(&what, bench.read(DeviceId::One), frame)?;
    }
    Ok(())
}

fn detach(implementation: &dyn Implementation) -> Outcome {
    let bench = bench(implementation)?;
    bench.attach(DeviceId::One, &mut || ())?;
    holds(
        bench.read(DeviceId::One).is_some(),
        "a bound device can't read",
    )?;
    bench.detach(DeviceId::One)?;
    equal(
        "what an unbound device reads",
        bench.read(DeviceId::One),
        None,
    )?;
    let frame = bench.remap(Told::Page)?;
    bench.attach(DeviceId::One, &mut || ())?;
    equal(
        "what it reads when it is bound again",
        bench.read(DeviceId::One),
        Some(frame),
    )
}

fn every_device(implementation: &dyn Implementation) -> Outcome {
    let bench = bench(implementation)?;
    for device in DEVICES {
        bench.attach(device, &mut || ())?;
        holds(bench.read(device).is_some(), "a bound device can't read")?;
    }
    let frame = bench.remap(Told::Page)?;
    for device in DEVICES {
        equal(
            "what a device reads after a change",
            bench.read(device),
            Some(frame),
        )?;
    }
    bench.detach(DeviceId::One)?;
    let frame = bench.remap(Told::Page)?;
    equal(
        "what the other reads then",
        bench.read(DeviceId::Two),
        Some(frame),
    )
}

fn release(implementation: &dyn Implementation) -> Outcome {
    let bench = bench(implementation)?;
    bench.attach(DeviceId::One, &mut || ())?;
    holds(
        bench.read(DeviceId::One).is_some(),
        "a bound device can't read",
    )?;
    bench.exit()?;
    equal(
        "what it reads after the end",
        bench.read(DeviceId::One),
        None,
    )
}

fn release_is_quiet(implementation: &dyn Implementation) -> Outcome {
    let bench = bench(implementation)?;
    bench.attach(DeviceId::One, &mut || ())?;
    let unbound = bench.access(DeviceId::Two);
    equal("an unbound device", unbound, Err(Denied::NotBound))?;
    bench.exit()?;
    for _ in 0..2 {
        let denied = bench.access(DeviceId::One);
        equal("a bound device", denied, Err(Denied::NoTranslation))?;
    }
    Ok(())
}

fn release_twice(implementation: &dyn Implementation) -> Outcome {
    const ROUNDS: usize = 20;
    for _ in 0..ROUNDS {
        let bench = bench(implementation)?;
        bench.attach(DeviceId::One, &mut || ())?;
        holds(
            bench.read(DeviceId::One).is_some(),
            "a bound device can't read",
        )?;
        let [one, two] = [0, 1].map(|_| {
            let bench = Arc::clone(&bench);
            Task::spawn(move || bench.release())
        });
        let remapped = bench.remap(Told::Page);
        one.finish("a release")?;
        two.finish("the other release")?;
        remapped?;
        bench.exit()?;
        let denied = bench.access(DeviceId::One);
        equal("a bound device", denied, Err(Denied::NoTranslation))?;
    }
    Ok(())
}

fn wider(implementation: &dyn Implementation) -> Outcome {
    let bench = bench(implementation)?;
    for device in DEVICES {
        bench.attach(device, &mut || ())?;
    }
    for told in [Told::Block, Told::Everything, Told::Page] {
        for device in DEVICES {
            holds(bench.read(device).is_some(), "a bound device can't read")?;
        }
        let frame = bench.remap(told)?;
        for device in DEVICES {
            let what = format!("what a device reads after {told:?} was told");
            equal(&what, bench.read(device), Some(frame))?;
        }
    }
    Ok(())
}
