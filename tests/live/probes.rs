//! Probes: that a missing invalidation shows on this host, for real, and that nothing stale does with
//! it; and that what a race for the permission to write leaves behind adds up.

use std::time::{Duration, Instant};

use guest::abi::probe::PAGES;
use kvm_ioctls::Kvm;
use tests::host::{rounds, say, with_kvm};
use vmm::host::KvmKind;
use vmm::probe::dirty_race::{self, Flush, Way};
use vmm::probe::stale_tlb::{self, Setup};
use vmm::probe::{Budget, Paging, Who};

/// Enough for every case to end on the slowest of hosts.
const PLENTY: Duration = Duration::from_secs(240);

fn budget(rounds: u64) -> Budget {
    Budget {
        tries: rounds * PAGES,
        seed: 7,
        deadline: Instant::now() + PLENTY,
    }
}

fn stale_tlb(kvm: &Kvm) -> Vec<stale_tlb::Line> {
    stale_tlb::run(kvm, budget(4)).expect("the host runs such machines")
}

/// Known hosts keep old translations, shadow paging and the emulated processor alike.
#[test]
fn a_missing_invalidation_is_observable_where_the_host_is_known() {
    with_kvm(|kvm| {
        let lines = stale_tlb(kvm);
        let kind = KvmKind::detect();
        for line in lines.iter().filter(|line| line.setup == Setup::OwnNone) {
            let (change, counts) = (line.change, line.counts);
            match kind {
                KvmKind::Pvm | KvmKind::Svm => assert!(counts.stale > 0, "{line:?}"),
                _ => say(&format!(
                    "{kind}: {change} without a flush was stale {} times in {}",
                    counts.stale, counts.tries
                )),
            }
        }
    });
}

#[test]
fn nothing_stale_is_used_with_the_invalidation() {
    with_kvm(|kvm| {
        let lines = stale_tlb(kvm);
        for line in &lines {
            assert_eq!(line.stopped, None, "{line:?}");
            assert_eq!(
                (line.counts.tries, line.counts.strange),
                (4 * PAGES, 0),
                "{line:?}"
            );
            let uses = line.counts.stale + line.counts.fresh;
            assert_eq!(uses, line.counts.tries, "{line:?}");
        }
        let forbidden = lines.iter().filter(|line| line.setup.forbids());
        let stale: Vec<_> = forbidden.map(|line| line.counts.stale).collect();
        assert_eq!(stale, [0, 0, 0, 0]);
    });
}

#[test]
fn what_a_race_for_the_permission_to_write_leaves_adds_up() {
    with_kvm(|kvm| {
        let lines = dirty_race::run(kvm, budget(4)).expect("the host runs such machines");
        assert_eq!(lines.len(), Way::ALL.len() * Flush::ALL.len());
        for line in &lines {
            let counts = line.counts;
            assert_eq!(
                (line.stopped.as_ref(), counts.strange),
                (None, 0),
                "{line:?}"
            );
            assert_eq!(counts.tries, 4 * PAGES, "{line:?}");
            assert_eq!(counts.stored + counts.refused, counts.tries, "{line:?}");
            let left = match line.way {
                Way::CompareExchange => counts.dirty_after,
                Way::Locked | Way::Plain => counts.dirty_before + counts.dirty_after,
            };
            assert_eq!(counts.left_dirty, left, "{line:?}");
            if line.flush == Flush::Yes {
                assert_eq!(counts.late, 0, "a store after the flush: {line:?}");
            }
            if line.way != Way::Plain {
                assert_eq!(counts.lost_dirty, 0, "a store without its mark: {line:?}");
            }
        }
        let after: u64 = lines.iter().map(|line| line.counts.dirty_after).sum();
        // KVM's walker marks an entry by compare-and-exchange.
        match Who::detect(Paging::detect(KvmKind::detect())) {
            Who::Kvm => assert_eq!(after, 0),
            who => say(&format!(
                "tables walked by {who}: D after W was gone {after} times"
            )),
        }
    });
}

/// Whether the two sides meet depends on who else uses the processors, so it is tried for a while.
#[test]
fn stores_win_and_lose_the_race() {
    with_kvm(|kvm| {
        let met = (0..rounds(20)).any(|_| {
            let lines = dirty_race::run(kvm, budget(4)).expect("the host runs such machines");
            dirty_race::verdict(&lines) == dirty_race::Verdict::NeverSeen
        });
        match KvmKind::detect() {
            KvmKind::Pvm => assert!(met),
            kind => say(&format!("{kind}: store and loss met: {met}")),
        }
    });
}

#[test]
fn a_probe_without_time_has_no_verdict() {
    with_kvm(|kvm| {
        let hurried = Budget {
            tries: 1 << 40,
            deadline: Instant::now(),
            ..budget(1)
        };
        let lines = dirty_race::run(kvm, hurried).expect("the host runs such machines");
        assert!(lines.iter().all(|line| line.stopped.is_some()));
        assert_eq!(dirty_race::verdict(&lines), dirty_race::Verdict::NoVerdict);
        let lines = stale_tlb::run(kvm, hurried).expect("the host runs such machines");
        assert!(lines.iter().all(|line| line.stopped.is_some()));
        assert_eq!(stale_tlb::verdict(&lines), stale_tlb::Verdict::NoVerdict);
    });
}
