//! What the SMMU's knobs do to a machine. What each does to the SMMU alone is tested beside it.

use std::time::Duration;

use guest::abi::dma;
use guest::abi::op::Op;
use notifier::addr::Permissions;
use notifier::oracle::Verdict;
use notifier::paging::Leaf;
use notifier::secondary::smmu::Knobs;
use tests::lab::{Lab, Ran, on_every_tracker};
use tests::{op, page, transfer};
use vmm::live::flagship::Flagship;
use vmm::machine::{Machine, MachineConfig};
use vmm::policy::UpgradePolicy;

/// The accessed and the dirty bit of an x86-64 entry.
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;

fn config(lab: &Lab, knobs: &str) -> MachineConfig<'static> {
    MachineConfig {
        smmu: knobs.parse().expect("these are knobs"),
        ..lab.config()
    }
}

fn flagship(lab: &Lab, policy: UpgradePolicy, knobs: &str) -> Flagship {
    let config = MachineConfig {
        policy,
        ..config(lab, knobs)
    };
    let flagship = Flagship::run(&lab.kvm, &config).expect("the machine can be built");
    let failed: Vec<_> = flagship.checks.iter().filter(|it| !it.holds()).collect();
    assert!(flagship.is_as_expected(), "{policy}, {knobs}: {failed:#?}");
    flagship
}

#[test]
fn every_value_of_every_knob_goes_as_the_theory_says() {
    on_every_tracker(|lab| {
        for (name, values) in Knobs::all() {
            for value in values {
                let value = if name == "latency" { "100" } else { &value };
                flagship(lab, UpgradePolicy::None, &format!("{name}={value}"));
            }
        }
    });
}

/// The one knob that takes the bug away: what denies is looked up again.
#[test]
fn an_smmu_that_walks_again_when_an_entry_denies_needs_no_telling() {
    on_every_tracker(|lab| {
        let verdict = |knobs| flagship(lab, UpgradePolicy::None, knobs).verdict();
        assert_eq!(verdict(""), Some(Verdict::Violation));
        assert_eq!(verdict("deny=walk"), Some(Verdict::Coherent));
    });
}

/// Broadcasts are of what was taken away: the driver's commands for those find nothing. An upgrade
/// is not broadcast, so whoever tells nobody of it starves the device all the same.
#[test]
fn broadcasts_make_commands_for_revocations_needless_and_no_others() {
    on_every_tracker(|lab| {
        for (policy, verdict) in [
            (UpgradePolicy::None, Verdict::Violation),
            (UpgradePolicy::SecondaryTlb, Verdict::Coherent),
        ] {
            let [off, on] = ["", "btm=on"].map(|knobs| flagship(lab, policy, knobs));
            assert_eq!(on.verdict(), Some(verdict));
            let redundant = |flagship: &Flagship| flagship.run.smmu.redundant_invalidations;
            assert_eq!(redundant(&on), redundant(&off) + 2);
            let entries = |flagship: &Flagship| flagship.run.smmu.invalidated_entries;
            assert_eq!(entries(&on), entries(&off));
        }
    });
}

/// Three invalidations, each with its CMD_SYNC.
#[test]
fn a_run_lasts_as_long_as_its_syncs() {
    on_every_tracker(|lab| {
        let slow = flagship(lab, UpgradePolicy::SecondaryTlb, "latency=100000");
        let elapsed = slow.run.elapsed;
        assert!(elapsed >= Duration::from_millis(300), "{elapsed:?}");
    });
}

/// Maps page 0 by an entry without these bits, and has the device write it.
fn write_unmarked(lab: &Lab, knobs: &str, without: u64) -> (Ran, u64) {
    let mut slot = 0;
    let program = |machine: &Machine| -> Vec<Vec<Op>> {
        slot = page::slot(machine, 0);
        let entry = page::read_write(machine, 0) & !without;
        let mut ops = vec![op::set_entry(slot, entry, 8)];
        ops.extend(transfer::whole(0, transfer::write(page::address(0), 8, 1)));
        vec![ops]
    };
    let ran = lab.attempt(&config(lab, knobs), program);
    assert_eq!(ran.run.stopped, None);
    let entry = ran.word(slot);
    (ran, entry)
}

#[test]
fn hardware_marks_what_its_knob_says_and_leaves_the_rest_to_software() {
    on_every_tracker(|lab| {
        let ended = |knobs, without| {
            let (ran, entry) = write_unmarked(lab, knobs, without);
            let done = ran.descriptor(0).status == dma::STATUS_DONE;
            (done, entry & without, ran.run.smmu.marks)
        };
        assert_eq!(ended("", ACCESSED), (false, 0, 0));
        assert_eq!(ended("httu=a", ACCESSED), (true, ACCESSED, 1));
        assert_eq!(ended("httu=a", DIRTY), (true, 0, 0));
        assert_eq!(ended("httu=ad", DIRTY), (true, DIRTY, 1));
    });
}

/// The page is clean before the device writes it, whatever the format calls that.
#[test]
fn the_bits_of_this_test_are_those_of_the_format() {
    on_every_tracker(|lab| {
        lab.run(|machine| {
            let says = |accessed, dirty| {
                let leaf = page::leaf(page::frame(0), notifier::addr::PageSize::K4, RW);
                let leaf = Leaf {
                    accessed,
                    dirty,
                    ..leaf
                };
                page::encode(machine, &leaf)
            };
            assert_eq!(says(true, false) ^ says(true, true), DIRTY);
            assert_eq!(says(false, true) ^ says(true, true), ACCESSED);
            Vec::new()
        });
    });
}

const RW: Permissions = Permissions::READ_WRITE;
