//! The flagship scenario under every policy, with every tracker, on one, two and eight vCPUs.

use notifier::addr::{Access, Iova};
use notifier::contract::Notifications;
use notifier::oracle::{Invalidation, Verdict, Violation, ViolationKind};
use notifier::paging::ChangeKind;
use notifier::secondary::{CacheId, shadow, smmu};
use tests::lab::{Lab, on_every_tracker};
use tests::page;
use vmm::devices::dma::DmaCounts;
use vmm::live::Check;
use vmm::live::flagship::{DeviceWrite, Flagship};
use vmm::machine::MachineConfig;
use vmm::policy::UpgradePolicy;

/// Runs the scenario.
fn run(lab: &Lab, policy: UpgradePolicy, vcpus: u64) -> Flagship {
    let config = MachineConfig {
        policy,
        vcpus,
        ..lab.config()
    };
    Flagship::run(&lab.kvm, &config).expect("the machine can be built")
}

/// Everything that is counted in a run.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    changes: Vec<(ChangeKind, u64)>,
    notifications: Notifications,
    smmu: smmu::Counts,
    shadow: shadow::Counts,
    zapped_needlessly: u64,
    dma: DmaCounts,
}

impl Counted {
    fn of(flagship: &Flagship) -> Self {
        let run = &flagship.run;
        Self {
            changes: run.changes.clone().into_iter().collect(),
            notifications: run.notifications,
            smmu: run.smmu,
            shadow: run.shadow,
            zapped_needlessly: run.findings.needless_drops_of(CacheId::Shadow),
            dma: run.dma,
        }
    }

    /// What `secondary-tlb` comes to. The device tries each access eight times; four pages are
    /// read by each of its two paths or written once the guest lets it.
    fn by_secondary_tlb() -> Self {
        Self {
            changes: vec![
                (ChangeKind::Map, 4),
                (ChangeKind::Unmap, 1),
                (ChangeKind::Remap, 0),
                (ChangeKind::Downgrade, 1),
                (ChangeKind::Upgrade, 1),
                (ChangeKind::Resize, 0),
                (ChangeKind::AccessDirty, 0),
                (ChangeKind::Software, 0),
            ],
            notifications: Notifications {
                range_start: 2,
                range_end: 2,
                secondary_tlb: 3,
            },
            smmu: smmu::Counts {
                // The seven more tries of the write that the downgraded entry refuses.
                tlb_hits: 7,
                // Three pages first read, two written after a change, one refused after a change,
                // and eight tries of each page that is not there.
                tlb_misses: 3 + 2 + 1 + 2 * 8,
                // All but the first walk, and the first after each invalidation, which takes the
                // tables on the way too.
                walk_cache_hits: (3 + 2 + 1 + 2 * 8) - 1 - 3,
                marks: 0,
                configurations: 0,
                invalidations: 3,
                invalidated_entries: 3,
                redundant_invalidations: 0,
                atc_invalidations: 0,
            },
            shadow: shadow::Counts {
                // Three pages first read, one found upgraded.
                filled: 4,
                zapped: 2,
                unbalanced_ends: 0,
            },
            zapped_needlessly: 0,
            dma: DmaCounts {
                reads: 6,
                writes: 3,
                faults: 3 * 8,
                retries: 3 * 7,
                refused: 0,
            },
        }
    }

    /// The event takes the shadow MMU's entry away, and each end of a range invalidation repeats
    /// what was done under the lock, if something was.
    fn by_range() -> Self {
        let best = Self::by_secondary_tlb();
        Self {
            notifications: Notifications {
                range_start: 3,
                range_end: 3,
                secondary_tlb: 2,
            },
            smmu: smmu::Counts {
                invalidations: 5,
                redundant_invalidations: 2,
                ..best.smmu
            },
            shadow: shadow::Counts {
                filled: 4,
                zapped: 3,
                unbalanced_ends: 0,
            },
            zapped_needlessly: 1,
            ..best
        }
    }

    /// The upgrade is not told of: the device's write is eight faults by the stale entry.
    fn by_none() -> Self {
        let best = Self::by_secondary_tlb();
        Self {
            notifications: Notifications {
                range_start: 2,
                range_end: 2,
                secondary_tlb: 2,
            },
            smmu: smmu::Counts {
                tlb_hits: best.smmu.tlb_hits + 8,
                tlb_misses: best.smmu.tlb_misses - 1,
                invalidations: 4,
                invalidated_entries: 2,
                redundant_invalidations: 2,
                ..best.smmu
            },
            dma: DmaCounts {
                writes: 2,
                faults: best.dma.faults + 8,
                retries: best.dma.retries + 7,
                ..best.dma
            },
            ..best
        }
    }
}

/// The run came to its end, and everything that the scenario looks at is as the theory says.
fn verify_as_expected(flagship: &Flagship, vcpus: u64) {
    let failed: Vec<_> = flagship.checks.iter().filter(|it| !it.holds()).collect();
    let nothing: [&Check; 0] = [];
    assert_eq!(failed, nothing, "policy {}", flagship.policy);
    assert!(flagship.checks.len() >= CHECKS, "{:#?}", flagship.checks);
    assert_eq!(flagship.run.stopped, None);
    assert_eq!(flagship.run.results.len() as u64, vcpus);
    assert_eq!(flagship.run.findings.untracked, []);
    assert!(flagship.is_as_expected());
}

/// What the scenario looks at under every policy, at least.
const CHECKS: usize = 15;

/// The one stale entry, refused for want of an invalidation that nobody sent.
fn verify_chain(found: &Violation, kind: ViolationKind, occurrences: u64) {
    let iova = Iova::new(page::address(0));
    let smmu = CacheId::SmmuTlb(vmm::machine::ASID);
    assert_eq!(
        (found.kind, found.cache, found.iova, found.access),
        (kind, Some(smmu), iova, Some(Access::Write))
    );
    assert_eq!(found.occurrences, occurrences);
    let stale = found.stale_entry.expect("an entry refused");
    let current = found.current_entry.expect("the page is mapped");
    assert_eq!(stale.leaf.permissions.to_string(), "r--u");
    assert_eq!(current.permissions.to_string(), "rw-u");

    let (upgraded, change) = found.chain.change.expect("the change is on record");
    assert_eq!(change.kind, ChangeKind::Upgrade);
    assert!(change.range.contains(iova.to_gva()));
    assert_eq!(change.new, Some(current));
    assert!(stale.filled < upgraded && upgraded < found.step);
    assert_eq!(found.chain.notices, []);
    assert_eq!(found.chain.invalidation, Invalidation::Missing);
}

#[test]
fn telling_secondary_tlbs_under_the_lock_is_coherent_and_costs_nothing_in_vain() {
    on_every_tracker(|lab| {
        for vcpus in [1, 2, 8] {
            let flagship = run(lab, UpgradePolicy::SecondaryTlb, vcpus);
            verify_as_expected(&flagship, vcpus);
            assert_eq!(flagship.verdict(), Some(Verdict::Coherent));
            assert_eq!(Counted::of(&flagship), Counted::by_secondary_tlb());
        }
    });
}

#[test]
fn a_start_end_event_is_coherent_and_zaps_one_more_shadow_entry_for_nothing() {
    on_every_tracker(|lab| {
        for vcpus in [1, 2, 8] {
            let flagship = run(lab, UpgradePolicy::Range, vcpus);
            verify_as_expected(&flagship, vcpus);
            assert_eq!(flagship.verdict(), Some(Verdict::Coherent));
            assert_eq!(Counted::of(&flagship), Counted::by_range());
        }
    });
}

#[test]
fn telling_nobody_starves_the_device_on_a_stale_read_only_entry() {
    on_every_tracker(|lab| {
        for vcpus in [1, 2, 8] {
            let flagship = run(lab, UpgradePolicy::None, vcpus);
            verify_as_expected(&flagship, vcpus);
            assert_eq!(flagship.verdict(), Some(Verdict::Violation));
            assert_eq!(Counted::of(&flagship), Counted::by_none());
            let [stale, lost] = &flagship.run.findings.violations[..] else {
                panic!("two violations: {:#?}", flagship.run.findings.violations);
            };
            verify_chain(stale, ViolationKind::StaleReadOnly, 8);
            verify_chain(lost, ViolationKind::LostProgress, 8);
        }
    });
}

#[test]
fn a_violation_is_told_in_words_with_its_steps() {
    on_every_tracker(|lab| {
        let flagship = run(lab, UpgradePolicy::None, 1);
        let words: Vec<_> = flagship
            .run
            .findings
            .violations
            .iter()
            .map(|found| {
                let cached = found.stale_entry.map(|entry| entry.filled).unwrap();
                let (upgraded, _) = found.chain.change.unwrap();
                (found.to_string(), cached, upgraded)
            })
            .collect();
        let [(stale, cached, upgraded), (lost, ..)] = &words[..] else {
            panic!("two violations: {words:?}");
        };
        assert_eq!(
            *stale,
            format!(
                "device write to 0x400000000000 was refused by an entry cached at {cached}; \
             the guest upgraded the page at {upgraded}; no invalidation covered it"
            )
        );
        assert_eq!(
            *lost,
            format!(
                "device write to 0x400000000000 was given up after 8 faults, refused by an entry \
             cached at {cached}; the guest upgraded the page at {upgraded}; \
             no invalidation covered it"
            )
        );
    });
}

#[test]
fn what_became_of_the_write_is_what_the_device_says() {
    on_every_tracker(|lab| {
        let writes = UpgradePolicy::ALL.map(|policy| run(lab, policy, 1).write.unwrap());
        let done = DeviceWrite {
            done: true,
            faults: 0,
        };
        let starved = DeviceWrite {
            done: false,
            faults: 8,
        };
        assert_eq!(writes, [starved, done, done]);
    });
}
