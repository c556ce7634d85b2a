//! Everything at once: vCPUs change entries while the device uses them.

use guest::abi::dma::{self, Descriptor};
use guest::abi::layout::FLAGS;
use guest::abi::op::Op;
use notifier::oracle::Verdict;
use notifier::paging::ChangeKind;
use tests::host::rounds;
use tests::lab::{Lab, Ran, on_every_tracker};
use tests::{op, page, transfer};
use vmm::machine::{Machine, MachineConfig};
use vmm::policy::UpgradePolicy;

/// Machines in a row; chance has another go in each.
const ROUNDS: u64 = 12;
/// How often an entry goes through all of its states.
const TURNS: usize = 60;
/// Transfers of one vCPU; no more than there are descriptors of it.
const TRANSFERS: u64 = 24;
/// vCPUs that change entries, one page each; as many more use all of these pages.
const WRITERS: u64 = 4;

/// Maps, upgrades, downgrades, moves and unmaps page `number`, again and again.
fn writer(machine: &Machine, number: u64) -> Vec<Op> {
    let slot = page::slot(machine, number);
    let (lower, upper) = (
        page::read_only(machine, number),
        page::read_write(machine, number),
    );
    let elsewhere = page::read_write(machine, number + WRITERS);
    let turn = [lower, upper, lower, elsewhere, 0].map(|entry| op::set_entry(slot, entry, 8));
    let turns = std::iter::repeat_n(turn, TURNS).flatten();
    turns
        .chain([op::invalidate(page::address(number))])
        .collect()
}

/// Reads and writes across all of these pages, by turns behind either MMU.
fn driver(vcpu: u64) -> Vec<Op> {
    let turn = |turn: u64| {
        let (number, iova) = (
            TRANSFERS * vcpu + turn,
            page::address((vcpu + turn) % WRITERS),
        );
        let wanted = Descriptor {
            command: [dma::READ, dma::WRITE][usize::from(turn.is_multiple_of(3))],
            stream: turn % 2,
            retries: 2,
            ..transfer::read(iova, 64)
        };
        let mut ops = transfer::start(vcpu, number, wanted);
        ops.push(transfer::finish(number));
        ops
    };
    (0..TRANSFERS).flat_map(turn).collect()
}

fn everything(lab: &Lab, policy: UpgradePolicy, round: u64) -> Ran {
    let config = MachineConfig {
        vcpus: 2 * WRITERS,
        policy,
        ..lab.config()
    };
    let ran = lab.attempt(&config, |machine| {
        let writers = (0..WRITERS).map(|number| writer(machine, number));
        writers.chain((WRITERS..2 * WRITERS).map(driver)).collect()
    });
    assert_eq!(ran.run.stopped, None, "round {round}");
    ran
}

/// No change was missed or counted twice, where each write is seen; no descriptor was left undone.
fn verify_complete(lab: &Lab, ran: &Ran) {
    let turns = TURNS as u64 * WRITERS;
    let expected = [
        (ChangeKind::Map, turns),
        (ChangeKind::Unmap, turns),
        (ChangeKind::Remap, turns),
        (ChangeKind::Downgrade, turns),
        (ChangeKind::Upgrade, turns),
    ];
    if lab.sees_each_write() {
        assert_eq!(ran.changes(), expected);
    }
    assert_eq!(ran.run.findings.untracked, []);
    assert_eq!(ran.run.dma.refused, 0);
    let sent = ran.run.notifications;
    assert_eq!(sent.range_start, sent.range_end);
    for number in TRANSFERS * WRITERS..TRANSFERS * 2 * WRITERS {
        let status = ran.descriptor(number).status;
        assert!(
            [dma::STATUS_DONE, dma::STATUS_FAULTED].contains(&status),
            "{status}"
        );
    }
}

#[test]
fn changes_and_transfers_at_once_stay_coherent_where_everybody_is_told() {
    on_every_tracker(|lab| {
        for round in 0..rounds(ROUNDS) {
            let ran = everything(lab, UpgradePolicy::SecondaryTlb, round);
            verify_complete(lab, &ran);
            assert_eq!(ran.run.findings.violations, [], "round {round}");
            assert_eq!(ran.run.findings.verdict(), Verdict::Coherent);
        }
    });
}

/// The event comes after the change, so between the two a stale refusal is possible; it is no
/// violation, since whoever made the change has not gone on yet.
#[test]
fn changes_and_transfers_at_once_stay_coherent_with_a_start_end_event() {
    on_every_tracker(|lab| {
        for round in 0..rounds(ROUNDS) {
            let ran = everything(lab, UpgradePolicy::Range, round);
            verify_complete(lab, &ran);
            assert_eq!(ran.run.findings.violations, [], "round {round}");
        }
    });
}

/// vCPUs that change one and the same entry without a lock of their own: what the page table says
/// is anybody's guess, but each store is a change, and the machine keeps up.
#[test]
fn vcpus_that_race_for_one_entry_harm_nobody() {
    on_every_tracker(|lab| {
        for _ in 0..rounds(ROUNDS) {
            let ran = lab.run_all(4, |machine| {
                let slot = page::slot(machine, 0);
                let (lower, upper) = (page::read_only(machine, 0), page::read_write(machine, 0));
                let turn = [lower, upper, 0].map(|entry| op::set_entry(slot, entry, 8));
                let writer: Vec<_> = std::iter::repeat_n(turn, 100).flatten().collect();
                vec![writer.clone(), writer.clone(), writer, driver(3)]
            });
            let sent = ran.run.notifications;
            assert_eq!(sent.range_start, sent.range_end);
            assert!(ran.run.changes[&ChangeKind::Map] >= 1 || !lab.sees_each_write());
            assert_eq!(ran.run.findings.untracked, []);
        }
    });
}

/// vCPUs that take the same write fault: all of them upgrade the page, and only one is first.
const FAULTING: u64 = 4;
/// How often they do.
const FAULTS: u64 = 8;

/// Lets the others go, upgrades the page with them, waits for them, and has the device write it.
fn first_of_many(machine: &Machine) -> Vec<Op> {
    let slot = page::slot(machine, 0);
    let turn = |turn: u64| {
        let read = transfer::whole(2 * turn, transfer::read(page::address(0), 64));
        let write = transfer::whole(2 * turn + 1, transfer::write(page::address(0), 64, turn));
        let others = (1..FAULTING).map(|other| op::wait_until(FLAGS + 8 * other, turn + 1));
        [op::set_entry(slot, page::read_only(machine, 0), 8)]
            .into_iter()
            .chain(read)
            .chain([
                op::store(FLAGS, turn + 1, 8),
                op::set_entry(slot, page::read_write(machine, 0), 8),
            ])
            .chain(others)
            .chain(write)
            .collect::<Vec<_>>()
    };
    (0..FAULTS).flat_map(turn).collect()
}

fn one_of_many(machine: &Machine, index: u64) -> Vec<Op> {
    let upgrade = op::set_entry(page::slot(machine, 0), page::read_write(machine, 0), 8);
    let turn = |turn: u64| {
        [
            op::wait_until(FLAGS, turn + 1),
            upgrade,
            op::store(FLAGS + 8 * index, turn + 1, 8),
        ]
    };
    (0..FAULTS).flat_map(turn).collect()
}

#[test]
fn vcpus_that_upgrade_a_page_together_upgrade_it_once() {
    on_every_tracker(|lab| {
        for round in 0..rounds(ROUNDS) {
            let ran = lab.run_all(FAULTING, |machine| {
                let others = (1..FAULTING).map(|index| one_of_many(machine, index));
                [first_of_many(machine)].into_iter().chain(others).collect()
            });
            assert_eq!(ran.run.findings.untracked, [], "round {round}");
            assert_eq!(ran.run.findings.violations, [], "round {round}");
            assert_eq!(ran.run.changes[&ChangeKind::Upgrade], FAULTS);
            let mut writes = (0..FAULTS).map(|turn| ran.descriptor(2 * turn + 1));
            assert!(writes.all(|write| (write.status, write.faults) == (dma::STATUS_DONE, 0)));
        }
    });
}

/// The window's table is taken out and put back while another vCPU and the device use its pages.
#[test]
fn a_table_that_comes_and_goes_takes_nobody_by_surprise() {
    on_every_tracker(|lab| {
        for _ in 0..rounds(ROUNDS) {
            let ran = lab.run_all(2, |machine| {
                let parent = page::slot_at(machine, page::address(0), 1);
                let table = page::slot(machine, 0);
                let table = machine
                    .format()
                    .encode_table(notifier::addr::Gpa::new(table));
                let map = op::set_entry(page::slot(machine, 0), page::read_write(machine, 0), 8);
                let turn = [op::set_entry(parent, 0, 8), op::set_entry(parent, table, 8)];
                let turns = std::iter::repeat_n(turn, 20).flatten();
                vec![[map].into_iter().chain(turns).collect(), driver(1)]
            });
            if lab.sees_each_write() {
                let changes = [(ChangeKind::Map, 21), (ChangeKind::Unmap, 20)];
                assert_eq!(ran.changes(), changes);
            }
            assert_eq!(ran.run.findings.untracked, []);
            assert_eq!(ran.run.findings.violations, []);
        }
    });
}
