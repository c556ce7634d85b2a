//! The trackers: which one works here, that those that see each write tell the same story, and what
//! escapes one of them.

use std::path::Path;

use notifier::addr::Iova;
use notifier::oracle::{Judgement, Verdict};
use notifier::paging::ChangeKind;
use tests::host::{can_trap, with_kvm};
use tests::lab::{Lab, on_announce, on_every_tracker, on_trap};
use tests::{op, page, transfer};
use vmm::live::flagship::Flagship;
use vmm::machine::MachineConfig;
use vmm::policy::UpgradePolicy;
use vmm::tracker::{TrackerKind, choose};

/// The order of events, a line each.
fn history(lab: &Lab, tracker: TrackerKind, policy: UpgradePolicy) -> Vec<String> {
    let config = MachineConfig {
        tracker,
        policy,
        vcpus: 2,
        ..lab.config()
    };
    let flagship = Flagship::run(&lab.kvm, &config).expect("the machine can be built");
    flagship
        .run
        .history
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn auto_chooses_to_trap_exactly_where_that_works() {
    with_kvm(|kvm| {
        let expected = [TrackerKind::Announce, TrackerKind::Trap][usize::from(can_trap(kvm))];
        assert_eq!(choose(kvm), expected);
    });
}

/// Where both are known. A host that can trap and does not would pass all other tests silently.
#[test]
fn trapping_works_under_shadow_paging_and_nowhere_else() {
    with_kvm(|kvm| {
        let nested = ["kvm_amd/parameters/npt", "kvm_intel/parameters/ept"]
            .map(|parameter| std::fs::read_to_string(Path::new("/sys/module").join(parameter)));
        let nested = nested
            .iter()
            .flatten()
            .any(|is| ["Y", "1"].contains(&is.trim()));
        let pvm = Path::new("/sys/module/kvm_pvm").is_dir();
        assert!(
            !nested || !can_trap(kvm),
            "nested paging, yet trapping works"
        );
        assert!(!pvm || can_trap(kvm), "kvm_pvm, yet trapping does not work");
    });
}

#[test]
fn trap_and_announce_tell_the_same_story_of_the_same_guest() {
    on_trap(|lab| {
        for policy in UpgradePolicy::ALL {
            let trapped = history(lab, TrackerKind::Trap, policy);
            let announced = history(lab, TrackerKind::Announce, policy);
            assert!(trapped.len() > 50, "a whole story: {}", trapped.len());
            assert_eq!(trapped, announced, "policy {policy}");
        }
    });
}

#[test]
fn the_story_names_the_guest_s_markers_in_order() {
    on_every_tracker(|lab| {
        let story = history(lab, lab.tracker, UpgradePolicy::SecondaryTlb);
        let markers = story
            .iter()
            .filter_map(|line| line.split("guest reports ").nth(1));
        assert_eq!(markers.collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    });
}

#[test]
fn an_upgrade_that_nobody_announced_is_found_by_the_next_walk() {
    on_announce(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let quiet = op::store(slot, page::read_write(machine, 0), 8);
            let mut ops = vec![op::set_entry(slot, page::read_only(machine, 0), 8), quiet];
            ops.extend(transfer::whole(0, transfer::write(page::address(0), 8, 1)));
            ops
        });
        let [missed] = &ran.run.findings.untracked[..] else {
            panic!("one change was missed: {:?}", ran.run.findings.untracked);
        };
        assert_eq!(missed.iova, Iova::new(page::address(0)));
        assert_eq!(missed.found.unwrap().permissions.to_string(), "rw-u");
        assert_eq!(missed.reported.unwrap().permissions.to_string(), "r--u");
        assert_eq!(ran.changes(), [(ChangeKind::Map, 1)]);
    });
}

#[test]
fn an_unmapping_that_nobody_announced_is_found_by_the_next_walk() {
    on_announce(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let map = op::set_entry(slot, page::read_only(machine, 0), 8);
            let mut ops = vec![map, op::store(slot, 0, 8)];
            ops.extend(transfer::whole(0, transfer::read(page::address(0), 8)));
            ops
        });
        let missed = &ran.run.findings.untracked[..];
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert_eq!(missed[0].found, None);
        assert!(missed[0].reported.is_some());
    });
}

/// The same stores escape nobody who traps.
#[test]
fn a_plain_store_to_an_entry_does_not_escape_trapping() {
    on_trap(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let map = op::store(slot, page::read_only(machine, 0), 8);
            let mut ops = vec![map];
            ops.extend(transfer::whole(0, transfer::read(page::address(0), 8)));
            ops.push(op::store(slot, page::read_write(machine, 0), 8));
            ops.extend(transfer::whole(1, transfer::write(page::address(0), 8, 1)));
            ops.push(op::store(slot, 0, 8));
            ops.extend(transfer::whole(2, transfer::read(page::address(0), 8)));
            ops
        });
        let changes = [ChangeKind::Map, ChangeKind::Unmap, ChangeKind::Upgrade];
        assert_eq!(ran.changes(), changes.map(|kind| (kind, 1)));
        assert_eq!(ran.run.findings.untracked, []);
        assert_eq!(ran.run.findings.verdict(), Verdict::Coherent);
        let judged = ran.run.findings.faults.iter().map(|fault| fault.judgement);
        assert_eq!(judged.collect::<Vec<_>>(), [Judgement::Genuine]);
    });
}
