//! SMMU drivers that write nonsense: the architected event or error, and a machine that goes on.

use std::time::Duration;

use guest::abi::dma::{self, MAX_RETRIES};
use guest::abi::layout::{FLAGS, PAGE};
use guest::abi::op::Op;
use guest::abi::pattern;
use guest::abi::smmu::{self, error, event};
use notifier::secondary::smmu::spec::GlobalErrors;
use tests::lab::{Lab, Ran, on_every_tracker};
use tests::{op, page, transfer};
use vmm::driver::SmmuDriver;
use vmm::machine::{Machine, MachineConfig};

/// An address at which no machine of this suite has memory, aligned for anything.
const NOWHERE: u64 = 1 << 40;
/// Where events go that are read.
const RECORD: u64 = FLAGS + 0x100;
const QUEUES: u64 = smmu::CR0_CMDQEN | smmu::CR0_EVENTQEN;

fn run(lab: &Lab, program: impl FnOnce(&Machine) -> Vec<Op>) -> Ran {
    run_all(lab, 1, |machine| vec![program(machine)])
}

fn run_all(lab: &Lab, vcpus: u64, programs: impl FnOnce(&Machine) -> Vec<Vec<Op>>) -> Ran {
    let config = MachineConfig {
        driver: SmmuDriver::Guest,
        vcpus,
        ..lab.config()
    };
    let ran = lab.attempt(&config, programs);
    assert_eq!(ran.run.stopped, None);
    ran
}

fn set(register: u64, value: u64) -> Op {
    op::store(smmu::register(register), value, 4)
}

fn set_base(register: u64, value: u64) -> Op {
    op::store(smmu::register(register), value, 8)
}

fn get(register: u64) -> Op {
    op::load(smmu::register(register), 4)
}

/// A page that is mapped, a driver that is well, and then what it does wrong.
fn begin(machine: &Machine) -> Vec<Op> {
    let slot = page::slot(machine, 0);
    vec![
        op::set_entry(slot, page::read_write(machine, 0), 8),
        op::smmu_configure(machine.root().raw(), smmu::ASID, smmu::CD_RECORD),
    ]
}

fn access() -> Vec<Op> {
    transfer::whole(0, transfer::driven(transfer::read(page::address(0), 8)))
}

/// What the operation so many before the end came to; the last is the end itself.
fn value(ran: &Ran, from_end: usize) -> u64 {
    let results = &ran.run.results[0];
    results[results.len() - 1 - from_end].value
}

/// The device's access after `wrong`, which it ends like this, and with this event.
fn verify_event(lab: &Lab, wrong: &dyn Fn(&Machine) -> Vec<Op>, fault: u64, kind: u64) {
    let ran = run(lab, |machine| {
        let mut ops = begin(machine);
        ops.extend(wrong(machine));
        ops.extend([op::smmu_command(smmu::CFGI_ALL), op::smmu_sync()]);
        ops.extend(access());
        ops.push(op::smmu_wait_event(RECORD));
        ops
    });
    let ended = ran.descriptor(0);
    assert_eq!((ended.status, ended.fault), (dma::STATUS_FAULTED, fault));
    assert_eq!(value(&ran, 1), kind);
    assert_eq!(ran.word(RECORD) >> 32, u64::from(smmu::STREAM));
}

/// Off, something else, and on again.
fn reprogram(between: &[Op]) -> Vec<Op> {
    let mut ops = vec![set(smmu::CR0, QUEUES)];
    ops.extend(between);
    ops.push(set(smmu::CR0, QUEUES | smmu::CR0_SMMUEN));
    ops
}

#[test]
fn garbage_structures_are_the_events_that_the_architecture_says() {
    on_every_tracker(|lab| {
        let entry = |first: u64| move |_: &Machine| vec![op::store(smmu::STREAM_ENTRY, first, 8)];
        let context = |first: u64| move |_: &Machine| vec![op::store(smmu::CONTEXT, first, 8)];
        let bad = dma::FAULT_CONFIGURATION;
        verify_event(lab, &entry(0), bad, event::BAD_STE);
        verify_event(lab, &entry(u64::MAX), bad, event::BAD_STE);
        verify_event(lab, &entry(1 | 5 << 1 | NOWHERE), bad, event::CD_FETCH);
        verify_event(lab, &context(0), bad, event::BAD_CD);
        verify_event(lab, &context(u64::MAX), bad, event::BAD_CD);
    });
}

#[test]
fn a_stream_table_that_is_not_there_or_too_small_is_an_event() {
    on_every_tracker(|lab| {
        let nowhere = |_: &Machine| reprogram(&[set_base(smmu::STRTAB_BASE, NOWHERE)]);
        let bad = dma::FAULT_CONFIGURATION;
        verify_event(lab, &nowhere, bad, event::STE_FETCH);
        let small = |_: &Machine| reprogram(&[set(smmu::STRTAB_BASE_CFG, 0)]);
        verify_event(lab, &small, dma::FAULT_STREAM, event::BAD_STREAM);
    });
}

#[test]
fn a_page_table_that_is_not_there_is_an_abort_of_the_walk() {
    on_every_tracker(|lab| {
        let nowhere = |_: &Machine| vec![op::smmu_configure(NOWHERE, smmu::ASID, smmu::CD_RECORD)];
        verify_event(lab, &nowhere, dma::FAULT_ADDRESS, event::WALK_ABORT);
    });
}

/// Any memory can be called a page table: the walk ends, whatever it finds.
#[test]
fn tables_of_garbage_and_tables_that_lead_to_themselves_end() {
    on_every_tracker(|lab| {
        for entry in [u64::MAX, page::frame(1) | 0x67, NOWHERE | 0x67, 0] {
            let ran = run(lab, |machine| {
                let mut ops = begin(machine);
                let words = (page::frame(1)..).step_by(8).take(256);
                ops.extend(words.map(|at| op::store(at, entry, 8)));
                let root = page::frame(1);
                ops.push(op::smmu_configure(root, smmu::ASID + 1, smmu::CD_RECORD));
                ops.extend([op::smmu_command(smmu::CFGI_ALL), op::smmu_sync()]);
                ops.extend(access());
                ops
            });
            assert_ne!(ran.descriptor(0).status, dma::STATUS_PENDING);
        }
    });
}

#[test]
fn an_illegal_command_stops_the_queue_until_it_is_acknowledged() {
    on_every_tracker(|lab| {
        let ran = run(lab, |machine| {
            let mut ops = begin(machine);
            ops.extend([
                op::smmu_command([u64::MAX; 2]),
                op::smmu_command(smmu::CFGI_ALL),
                op::smmu_sync(),
                get(smmu::CMDQ_CONS),
                // The command that stopped it is made a good one.
                op::store(smmu::COMMANDS + 3 * smmu::COMMAND, smmu::SYNC[0], 8),
                op::store(smmu::COMMANDS + 3 * smmu::COMMAND + 8, smmu::SYNC[1], 8),
                set(smmu::GERRORN, smmu::GERROR_CMDQ),
                op::smmu_sync(),
                get(smmu::CMDQ_CONS),
            ]);
            ops
        });
        let stopped = [9, 8, 7].map(|from_end| value(&ran, from_end));
        assert_eq!(stopped, [error::ILLEGAL; 3]);
        assert_eq!(value(&ran, 6), error::ILLEGAL << smmu::CMDQ_ERROR | 3);
        assert_eq!(value(&ran, 2), guest::abi::op::CMDQ_OK);
        assert_eq!(
            value(&ran, 1) & 0xff,
            5,
            "the illegal one's place and a SYNC"
        );
    });
}

#[test]
fn a_command_queue_that_is_not_there_is_an_abort() {
    on_every_tracker(|lab| {
        let ran = run(lab, |machine| {
            let mut ops = begin(machine);
            ops.push(set(smmu::CR0, 0));
            ops.push(set_base(smmu::CMDQ_BASE, NOWHERE | 19));
            ops.push(set(smmu::CR0, QUEUES));
            ops.push(set(smmu::CMDQ_PROD, 0xf_ffff));
            ops.push(op::smmu_sync());
            ops
        });
        assert_eq!(value(&ran, 1), error::ABORT);
    });
}

/// Bits above the queue's size mean nothing, and more than fits is no more than what is there.
#[test]
fn a_producer_beyond_the_queue_is_one_inside_it() {
    on_every_tracker(|lab| {
        let began = std::time::Instant::now();
        let ran = run(lab, |machine| {
            let mut ops = begin(machine);
            for entry in 0..1 << smmu::QUEUE_BITS {
                let at = smmu::COMMANDS + smmu::COMMAND * entry;
                ops.push(op::store(at, smmu::CFGI_ALL[0], 8));
                ops.push(op::store(at + 8, smmu::CFGI_ALL[1], 8));
            }
            for value in [0xffff_ffff, 0x8000_0000, 0xf_ffff, 0x7f, 3 + 33] {
                ops.push(set(smmu::CMDQ_PROD, value));
            }
            ops.push(op::load(smmu::register(smmu::CR0ACK), 4));
            ops
        });
        assert_eq!(value(&ran, 1), QUEUES | smmu::CR0_SMMUEN);
        assert!(began.elapsed() < Duration::from_secs(20));
    });
}

/// An event queue in the page-table pool would change page tables behind the tracker's back.
#[test]
fn an_event_queue_in_the_page_tables_is_not_written() {
    on_every_tracker(|lab| {
        let ran = run(lab, |machine| {
            let mut ops = begin(machine);
            let pool = machine.ram().layout().page_tables().start().raw();
            ops.push(set(smmu::CR0, 0));
            ops.push(set_base(smmu::EVENTQ_BASE, pool | smmu::QUEUE_BITS));
            ops.push(set(smmu::CR0, QUEUES | smmu::CR0_SMMUEN));
            let nothing = transfer::read(page::address(1), 8);
            ops.extend(transfer::whole(0, transfer::driven(nothing)));
            // The record is tried by the device's thread; the sync comes after it.
            ops.push(op::smmu_sync());
            ops.push(get(smmu::GERROR));
            ops.push(op::store(page::address(0), 7, 8));
            ops
        });
        let aborted = u64::from(GlobalErrors::EVENTQ_ABT_ERR.bits());
        assert_eq!(value(&ran, 2) & aborted, aborted);
        assert_eq!(ran.run.findings.untracked, []);
        assert_eq!(ran.word(page::frame(0)), 7, "the page table is as it was");
    });
}

#[test]
fn more_events_than_the_queue_has_room_for_overflow_it() {
    on_every_tracker(|lab| {
        let ran = run(lab, |machine| {
            let mut ops = begin(machine);
            let nothing = dma::Descriptor {
                retries: MAX_RETRIES,
                ..transfer::read(page::address(1), 8)
            };
            ops.extend(transfer::whole(0, transfer::driven(nothing)));
            ops.push(op::smmu_sync());
            ops.push(get(smmu::EVENTQ_PROD));
            ops.extend([op::smmu_event(RECORD); 40]);
            ops
        });
        assert_eq!(ran.descriptor(0).faults, MAX_RETRIES + 1);
        let full = smmu::OVERFLOW | 1 << smmu::QUEUE_BITS;
        assert_eq!(value(&ran, 41), full);
        let results = &ran.run.results[0];
        let read = results[results.len() - 41..].iter();
        let events = read.filter(|it| it.value == event::TRANSLATION);
        assert_eq!(events.count(), 32);
    });
}

/// Every vCPU writes garbage all over the register frame, by every width, at the same time.
#[test]
fn garbage_in_every_register_harms_nobody() {
    on_every_tracker(|lab| {
        for seed in 0..4 {
            run_all(lab, 8, |machine| {
                let program = |vcpu: u64| {
                    let mut ops = begin(machine);
                    for index in 0..400 {
                        let word = pattern::word(seed * 8 + vcpu, 2 * index);
                        let value = pattern::word(seed * 8 + vcpu, 2 * index + 1);
                        let page1 = (word >> 62 & 1) * 0x1_0000;
                        let offset = (word & 0xff) + page1;
                        let width = 1 << (word >> 8 & 3);
                        // Often enough something that gets further than nonsense does.
                        let value = value & u64::MAX >> (word >> 16 & 63);
                        ops.push(op::store(
                            smmu::register(offset & !(width - 1)),
                            value,
                            width,
                        ));
                    }
                    ops.push(op::load(smmu::register(0), 8));
                    ops
                };
                // The first maps; the others only write.
                let first = program(0);
                let others = (1..8).map(|vcpu| program(vcpu).split_off(2));
                [first].into_iter().chain(others).collect()
            });
        }
    });
}

/// Whatever waits when the guest is gone is dropped.
#[test]
fn a_guest_that_leaves_accesses_open_and_stalled_ends() {
    on_every_tracker(|lab| {
        let ran = run(lab, |machine| {
            let mut ops = begin(machine);
            let held = transfer::held(transfer::write(page::address(0), PAGE, 1));
            ops.extend(transfer::start(0, 0, transfer::driven(held)));
            ops.push(op::wait_until(transfer::begun_word(0), 1));
            let stall = smmu::CD_RECORD | smmu::CD_STALL;
            ops.push(op::smmu_configure(machine.root().raw(), smmu::ASID, stall));
            ops.push(op::smmu_command(smmu::CFGI_CD));
            let nothing = transfer::driven(transfer::read(page::address(1), 8));
            ops.extend(transfer::start(1, 1, nothing));
            ops.push(op::smmu_command(smmu::SYNC));
            ops
        });
        assert_eq!(ran.word(page::frame(0)), 0, "it was never made");
        assert!(ran.run.elapsed < Duration::from_secs(20));
    });
}
