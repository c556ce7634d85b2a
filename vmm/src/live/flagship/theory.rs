//! What the scenario must come to, by what it was run with.

use std::collections::BTreeSet;

use notifier::oracle::{Verdict, ViolationKind};
use notifier::secondary::smmu::{Broadcast, Deny, Knobs};

use super::DeviceWrite;
use crate::driver::SmmuDriver;
use crate::policy::UpgradePolicy;

/// What decides how it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theory {
    pub(super) policy: UpgradePolicy,
    pub(super) knobs: Knobs,
    pub(super) driver: SmmuDriver,
}

/// When the device's write to the upgraded page gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgraded {
    /// At the first try.
    AtOnce,
    /// Never: the stale entry refuses it.
    Never,
    /// When the stale entry happens to be evicted, if that comes in time.
    ByChance,
}

/// Changes that take something away, each of which is told the SMMU under every policy.
const REVOCATIONS: u64 = 2;

impl Theory {
    /// Who is told, or looks again, gets through. Broadcasts do not help: after an upgrade CPUs
    /// invalidate locally.
    pub(super) fn upgraded(&self) -> Upgraded {
        match (self.policy, self.knobs.deny) {
            (UpgradePolicy::Range | UpgradePolicy::SecondaryTlb, _) | (_, Deny::Walk) => {
                Upgraded::AtOnce
            }
            (UpgradePolicy::None, Deny::Keep) => Upgraded::Never,
            (UpgradePolicy::None, Deny::Random) => Upgraded::ByChance,
        }
    }

    /// How often the guest's driver invalidates after an upgrade.
    pub(super) fn after_upgrade(&self) -> u64 {
        u64::from(self.policy != UpgradePolicy::None)
    }

    /// The same after something was taken away: once, and once more where ends invalidate. It relies
    /// on broadcasts where there are any, as the machine's driver can't: a notification does not say
    /// what it is for.
    pub(super) fn after_revocation(&self) -> u64 {
        if self.knobs.broadcast == Broadcast::On {
            return 0;
        }
        1 + u64::from(self.policy.ends_invalidate_tlbs())
    }

    /// Invalidations that find nothing: where ends invalidate, that of each revocation comes after
    /// the TLB was invalidated already; and where CPUs broadcast, the first comes too late too. The
    /// guest's driver begins with one of everything, when nothing is cached.
    pub(super) fn redundant(&self) -> u64 {
        let ends = u64::from(self.policy.ends_invalidate_tlbs());
        let broadcasts = u64::from(self.knobs.broadcast == Broadcast::On);
        match self.driver {
            SmmuDriver::Vmm => REVOCATIONS * (ends + broadcasts),
            SmmuDriver::Guest => 1 + REVOCATIONS * self.after_revocation().saturating_sub(1),
        }
    }

    /// The verdict and the kinds of violation, where the write to the upgraded page went like this.
    pub(super) fn verdict(&self, write: &DeviceWrite) -> (Verdict, BTreeSet<String>) {
        let refused = match self.upgraded() {
            Upgraded::AtOnce => false,
            Upgraded::Never => true,
            Upgraded::ByChance => write.faults != 0,
        };
        let given_up = refused && !(self.upgraded() == Upgraded::ByChance && write.done);
        let stale = refused.then_some(ViolationKind::StaleReadOnly);
        let lost = given_up.then_some(ViolationKind::LostProgress);
        let kinds = stale.into_iter().chain(lost);
        let verdict = if refused {
            Verdict::Violation
        } else {
            Verdict::Coherent
        };
        (verdict, kinds.map(|kind| kind.to_string()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theory(policy: UpgradePolicy, knobs: &str) -> Theory {
        let knobs = knobs.parse().unwrap();
        let driver = SmmuDriver::Vmm;
        Theory {
            policy,
            knobs,
            driver,
        }
    }

    fn kinds(theory: Theory, done: bool, faults: u64) -> Vec<String> {
        let (verdict, kinds) = theory.verdict(&DeviceWrite { done, faults });
        assert_eq!(verdict == Verdict::Coherent, kinds.is_empty());
        kinds.into_iter().collect()
    }

    #[test]
    fn who_is_not_told_and_does_not_look_again_never_gets_through() {
        let untold = theory(UpgradePolicy::None, "");
        assert_eq!(untold.upgraded(), Upgraded::Never);
        assert_eq!(
            kinds(untold, false, 8),
            ["lost-progress", "stale-read-only"]
        );
        let looks = theory(UpgradePolicy::None, "deny=walk");
        assert_eq!(looks.upgraded(), Upgraded::AtOnce);
        assert_eq!(kinds(looks, true, 0).len(), 0);
        let told = theory(UpgradePolicy::Range, "btm=on");
        assert_eq!(told.upgraded(), Upgraded::AtOnce);
    }

    #[test]
    fn what_chance_decides_is_judged_by_how_it_went() {
        let chance = theory(UpgradePolicy::None, "deny=random");
        assert_eq!(kinds(chance, true, 0).len(), 0);
        assert_eq!(kinds(chance, true, 3), ["stale-read-only"]);
        assert_eq!(kinds(chance, false, 8).len(), 2);
    }

    #[test]
    fn each_needless_way_of_telling_counts_once_for_each_revocation() {
        let redundant = |policy, knobs| theory(policy, knobs).redundant();
        assert_eq!(redundant(UpgradePolicy::SecondaryTlb, ""), 0);
        assert_eq!(redundant(UpgradePolicy::SecondaryTlb, "btm=on"), 2);
        assert_eq!(redundant(UpgradePolicy::None, "btm=on"), 4);
        let by_guest = |policy, knobs| Theory {
            driver: SmmuDriver::Guest,
            ..theory(policy, knobs)
        };
        assert_eq!(by_guest(UpgradePolicy::SecondaryTlb, "").redundant(), 1);
        assert_eq!(by_guest(UpgradePolicy::None, "").redundant(), 3);
        assert_eq!(by_guest(UpgradePolicy::None, "btm=on").redundant(), 1);
    }
}
