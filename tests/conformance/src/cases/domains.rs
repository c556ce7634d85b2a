//! A device that moves between address spaces, and tags that are used again.

use std::sync::Arc;

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::subject::{DomainId, Domains, Frame, Implementation};

cases! { Consumers, ConsumerFault:
    "asid-is-clean-before-reuse" = clean_before_reuse, unless AsidDirty:
        "An ASID is free for others only when what it tagged has been flushed: its next owner meets nothing of it.";
        "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c, arm_smmu_sva_domain_free";
    "moving-lists-before-it-binds" = moving, unless MovedBeforeListed:
        "A device that moves to another domain is listed there before it translates by it, so that no change is missed.";
        "drivers/iommu/arm/arm-smmu-v3, arm_smmu_attach_prepare (add to new, write the STE, drop from old)";
    "moving-leaves-the-old-domain-last" = moving, unless LeftBeforeMoved:
        "It is dropped from its old domain only when it translates by the new one.";
        "drivers/iommu/arm/arm-smmu-v3, arm_smmu_attach_commit";
    "left-domain-is-clean" = left, unless LeftDirty:
        "An ASID that is listed nowhere is clean: a device that comes back sees what changed meanwhile.";
        "drivers/iommu/arm/arm-smmu-v3, arm_smmu_invs_unref";
}

fn two(implementation: &dyn Implementation) -> Result<(Arc<dyn Domains>, [DomainId; 2]), Failure> {
    let domains = offered(implementation.domains())?;
    let two = [domains.create()?, domains.create()?];
    Ok((domains, two))
}

fn clean_before_reuse(implementation: &dyn Implementation) -> Outcome {
    const ROUNDS: usize = 8;
    let domains = offered(implementation.domains())?;
    let mut tags = Vec::new();
    for _ in 0..ROUNDS {
        let domain = domains.create()?;
        tags.push(domains.tag(domain)?);
        domains.attach(domain, &mut || ())?;
        let (first, now) = (domains.read(), domains.remap(domain)?);
        holds(first.is_some(), "a bound device can't read")?;
        equal("what it reads", domains.read(), Some(now))?;
        domains.destroy(domain)?;
        equal("what it reads without its domain", domains.read(), None)?;
        let next = domains.create()?;
        let right = domains.remap(next)?;
        domains.attach(next, &mut || ())?;
        equal("what it reads by the next", domains.read(), Some(right))?;
        domains.destroy(next)?;
    }
    tags.sort_unstable();
    tags.dedup();
    holds(tags.len() < ROUNDS, "no tag was used again")
}

/// The device reads at every step, and after one of them both domains change.
fn moving(implementation: &dyn Implementation) -> Outcome {
    let mut steps = 0;
    let (domains, [old, new]) = two(implementation)?;
    domains.attach(old, &mut || ())?;
    domains.attach(new, &mut || steps += 1)?;
    holds(steps > 2, "moving has no steps that could be looked at")?;
    for change_at in 0..steps {
        moves_with_change_at(implementation, change_at)?;
    }
    Ok(())
}

fn moves_with_change_at(implementation: &dyn Implementation, change_at: u32) -> Outcome {
    let (domains, [old, new]) = two(implementation)?;
    domains.attach(old, &mut || ())?;
    let mut step = 0;
    let mut seen: Option<Result<[Frame; 2], _>> = None;
    let mut stale = false;
    domains.attach(new, &mut || {
        domains.read();
        if step == change_at {
            let remap = || Ok::<_, Failure>([domains.remap(old)?, domains.remap(new)?]);
            seen = Some(remap());
        }
        if let Some(Ok(frames)) = &seen {
            stale |= domains.read().is_some_and(|read| !frames.contains(&read));
        }
        step += 1;
    })?;
    let what = format!("a change at step {change_at} of the move was missed");
    holds(!stale, &what)?;
    let frames = seen.transpose()?;
    equal(&what, domains.read(), frames.map(|[_, new]| new))
}

fn left(implementation: &dyn Implementation) -> Outcome {
    let (domains, [one, two]) = two(implementation)?;
    domains.attach(one, &mut || ())?;
    holds(domains.read().is_some(), "a bound device can't read")?;
    domains.attach(two, &mut || ())?;
    let right = domains.remap(one)?;
    domains.attach(one, &mut || ())?;
    equal("what it reads when it is back", domains.read(), Some(right))
}
