//! The scanning tracker: that it comes to the same page table as the others, what it takes, and what
//! it says of guests that make what can't be followed.

mod program;

use std::sync::Arc;
use std::time::Duration;

use guest::abi::layout::{FRAMES, FRAMES_END, PAGE};
use guest::abi::op::Op;
use notifier::addr::Gpa;
use notifier::oracle::Verdict;
use notifier::paging::{TableMemory, Tree, TreeError};
use tests::host::{can_trap, rounds, say, trackers, with_kvm};
use tests::lab::{Lab, Ran, end, on_every_tracker, on_scan, on_trap};
use tests::{op, page, transfer};
use vmm::machine::{Machine, MachineConfig};
use vmm::mirror::MirrorError;
use vmm::tracker::TrackerKind;
use vmm::tracker::scan::{DirtyPages, ScanCounts};
use vmm::vcpu::VcpuEnd;

use program::Writer;

/// Programs that all trackers run.
const PROGRAMS: u64 = 8;

/// What is left of a run that does not depend on when a change was seen.
#[derive(Debug, PartialEq, Eq)]
struct Final {
    pages: Vec<String>,
    tables: Vec<u64>,
    frames: Vec<u64>,
    /// Status, faults and checksum of each transfer.
    transfers: Vec<(u64, u64, u64)>,
}

fn words(ran: &Ran, from: u64, to: u64) -> Vec<u64> {
    (from..to).step_by(8).map(|at| ran.word(at)).collect()
}

impl Final {
    fn of(ran: &Ran) -> Self {
        let pool = ran.ram.layout().page_tables();
        let pages = ran.run.pages.iter();
        let transfers = (0..program::TRANSFERS).map(|number| ran.descriptor(number));
        Self {
            pages: pages.map(|page| format!("{page:?}")).collect(),
            tables: words(ran, pool.start().raw(), pool.last().raw()),
            frames: words(ran, FRAMES, FRAMES_END),
            transfers: transfers
                .map(|done| (done.status, done.faults, done.checksum))
                .collect(),
        }
    }
}

/// What the tracker knows in the end is what stands in memory.
fn verify_known(ran: &Ran, root: Gpa) {
    let pool = ran.ram.layout().page_tables();
    let there = Tree::read(Arc::clone(&ran.format), &ran.ram, root, pool);
    let there = there.expect("it is a tree").pages();
    assert_eq!(ran.run.pages, there);
}

fn final_of(lab: &Lab, seed: u64) -> Final {
    let mut root = Gpa::new(0);
    let ran = lab.run(|machine| {
        root = machine.root();
        Writer::new(machine, seed).program()
    });
    verify_known(&ran, root);
    assert_eq!(ran.run.findings.untracked, []);
    assert_eq!(ran.run.findings.verdict(), Verdict::Coherent);
    Final::of(&ran)
}

/// Pages mapped, moved and taken away, tables linked, unlinked and moved, entries written in odd
/// widths, and a device in between.
#[test]
fn all_trackers_come_to_the_same_page_table_and_the_same_memory() {
    with_kvm(|kvm| {
        let trackers = trackers(kvm);
        let names: Vec<_> = trackers
            .iter()
            .map(|tracker| format!("{tracker:?}"))
            .collect();
        say(&format!("compared: {}", names.join(", ")));
        for seed in 0..rounds(PROGRAMS) {
            let finals = trackers.iter().map(|tracker| {
                let lab = Lab {
                    kvm: vmm::host::open(vmm::host::DEVICE.as_ref()).expect("it was there"),
                    tracker: *tracker,
                };
                (*tracker, final_of(&lab, seed))
            });
            let finals: Vec<_> = finals.collect();
            let (first, expected) = &finals[0];
            assert!(expected.transfers.iter().any(|done| done.1 == 0));
            assert!(expected.transfers.iter().any(|done| done.1 != 0));
            for (tracker, found) in &finals[1..] {
                assert!(
                    found == expected,
                    "{first:?} and {tracker:?}, program {seed}"
                );
            }
        }
    });
}

fn scans(lab: &Lab, program: impl FnOnce(&Machine) -> Vec<Op>) -> ScanCounts {
    let counts = lab.run(program).run.scans;
    assert!(counts.scans > 0);
    counts
}

/// Pages that each scan may find although the guest wrote none. Under nested paging the processor's
/// own reading of page tables counts as writing them, and of the pool's 64 pages it reads at most
/// these tables: the root and what is below it for memory, devices and the window.
fn read_by_hardware(lab: &Lab, scans: ScanCounts) -> u64 {
    let tables = if can_trap(&lab.kvm) { 0 } else { 8 };
    tables * scans.scans
}

/// The pool has 64 pages. Only those are compared that may have been written.
#[test]
fn a_scan_costs_what_was_written_and_not_what_there_is() {
    on_scan(|lab| {
        let idle = scans(lab, |_| vec![op::check(FRAMES, 64 * PAGE, 0); 8]);
        assert!(idle.pages <= read_by_hardware(lab, idle), "{idle:?}");
        assert_eq!(idle.entries, 0, "{idle:?}");

        let one = scans(lab, |machine| {
            let entry = page::read_only(machine, 0);
            vec![op::set_entry(page::slot(machine, 0), entry, 8)]
        });
        let most = 1 + read_by_hardware(lab, one);
        assert!((1..=most).contains(&one.pages), "{one:?}");
        assert_eq!(one.entries, 1, "{one:?}");

        // A scan may come in the middle of a page, which is then compared twice.
        let many = scans(lab, |machine| {
            let spare = program::spare(machine, 0);
            (0..20)
                .map(|number| op::fill(spare + number * PAGE, PAGE, number))
                .collect()
        });
        let most = 20 + many.scans + read_by_hardware(lab, many);
        assert!((20..=most).contains(&many.pages), "{many:?}");
        assert!(many.entries >= 20 * 512, "{many:?}");
    });
}

/// Why the run ends in which the first vCPU does this and then works on for long.
fn ended(lab: &Lab, ops: impl Fn(&Machine) -> Vec<Op>) -> VcpuEnd {
    let config = MachineConfig {
        vcpus: 2,
        limit: Duration::from_secs(60),
        ..lab.config()
    };
    let ran = lab.attempt(&config, |machine| {
        let mut first = ops(machine);
        first.push(op::wait_until(FRAMES, 1));
        vec![first, vec![op::wait_until(FRAMES, 1)]]
    });
    assert!(
        ran.run.elapsed < config.limit,
        "it is not the limit that ends it"
    );
    end(ran.run.stopped.expect("the run is stopped"))
}

/// Neither vCPU comes to a point again, and neither ends.
#[test]
fn a_table_that_is_linked_twice_ends_the_run_though_the_guest_works_on() {
    on_every_tracker(|lab| {
        let found = ended(lab, |machine| {
            let twice = machine
                .format()
                .encode_table(Gpa::new(page::slot(machine, 0)));
            let parent = page::slot_at(machine, page::address(0), 1);
            vec![op::set_entry(parent + 8, twice, 8)]
        });
        let VcpuEnd::Mirror(MirrorError::Tree(TreeError::Shared(_))) = found else {
            panic!("it is shared: {found}");
        };
    });
}

/// The second half of the table above the window's, whose entries lead nowhere, is written over.
fn nonsense(lab: &Lab) {
    let found = ended(lab, |machine| {
        let parent = page::slot_at(machine, page::address(0), 1);
        // Where addresses are short, most of the nonsense has reserved bits and leads nowhere.
        let outside = machine.format().encode_table(Gpa::new(FRAMES));
        let last = parent + PAGE - 8;
        vec![
            op::fill(parent + PAGE / 2, PAGE / 2, 7),
            op::set_entry(last, outside, 8),
        ]
    });
    let VcpuEnd::Mirror(MirrorError::Tree(_)) = found else {
        panic!("it is no tree: {found}");
    };
}

#[test]
fn a_table_full_of_nonsense_ends_the_run() {
    on_trap(nonsense);
    on_scan(nonsense);
}

/// One vCPU writes nonsense over the window's pages for as long as the device uses them: pages come
/// and go, and lead anywhere; but no entry is ever seen half written.
#[test]
fn a_guest_that_scribbles_over_its_entries_harms_nobody() {
    on_scan(|lab| {
        let ran = lab.run_all(2, |machine| {
            let slot = page::slot(machine, 0);
            let scribble = |seed| op::fill(slot, 64 * 8, seed);
            let scribbler = (0..300).map(scribble).collect();
            let mut driver = Vec::new();
            for number in 0..16 {
                let read = transfer::read(page::address(number), 64);
                driver.extend(transfer::start(1, number, read));
                driver.push(transfer::finish(number));
            }
            vec![scribbler, driver]
        });
        assert_eq!(ran.run.findings.violations, []);
        assert_eq!(ran.run.findings.untracked, []);
    });
}

/// A scan waits for an access that the device holds open until the very vCPU lets it go whose ring is
/// full meanwhile. Only where KVM pages by shadow it names a page again and again: it makes each store
/// to a table above the lowest itself. Elsewhere no ring of a machine with so few tables gets full.
#[test]
fn a_full_ring_stops_nobody_while_a_scan_waits() {
    on_scan(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let wanted = transfer::held(transfer::read(page::address(0), 64));
            let mut ops = vec![op::set_entry(slot, page::read_write(machine, 0), 8)];
            ops.extend(transfer::start(0, 0, wanted));
            ops.push(op::wait_until(transfer::begun_word(0), 1));
            ops.push(op::set_entry(slot, 0, 8));
            let unused = machine.root().raw() + PAGE / 2 - 8;
            // Three stores each.
            ops.extend(std::iter::repeat_n(op::set_entry(unused, 0, 7), 480));
            ops.push(op::store(transfer::hold_word(0), 0, 8));
            ops.push(transfer::finish(0));
            ops
        });
        let is_full = lab.tracker == TrackerKind::Scan(DirtyPages::Ring) && can_trap(&lab.kvm);
        assert_eq!(ran.run.scans.full > 0, is_full, "{:?}", ran.run.scans);
        assert_eq!(ran.descriptor(0).begun, 1);
        assert_eq!(ran.run.findings.verdict(), Verdict::Coherent);
    });
}

/// The device is told of a change before it begins what a doorbell asks for, however soon that is.
#[test]
fn what_was_written_before_a_doorbell_is_known_before_the_device_begins() {
    on_scan(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let turn = |number: u64| {
                let (lower, upper) = (page::read_only(machine, 0), page::read_write(machine, 0));
                let entry = [lower, upper][usize::from(number.is_multiple_of(2))];
                let write = transfer::whole(number, transfer::write(page::address(0), 8, number));
                [op::set_entry(slot, entry, 8)].into_iter().chain(write)
            };
            (0..20).flat_map(turn).collect()
        });
        let faults = (0..20).map(|number| ran.descriptor(number).faults);
        assert_eq!(faults.collect::<Vec<_>>(), [0, 1].repeat(10));
        assert_eq!(ran.run.findings.verdict(), Verdict::Coherent);
        assert_eq!(
            ran.ram.read_entry(Gpa::new(FRAMES)),
            Ok(ran.word(page::frame(0)))
        );
    });
}
