//! Shoot-downs: what one vCPU changes, and the others' cached translations.

use guest::abi::layout::{FLAGS, MAX_VCPUS};
use guest::abi::op::{Op, STATUS_DONE, STATUS_FAULT};
use guest::abi::x86_64::{self, APIC_COMMAND, APIC_DESTINATION, LOCAL_APIC};
use tests::host::rounds;
use tests::lab::{Ran, on_announce, on_every_tracker};
use tests::{image, op, page};
use vmm::machine::{Machine, MachineConfig};

/// How many vCPUs the machines have.
const SIZES: [u64; 4] = [1, 2, 4, 8];
/// Every vCPU there could be.
const EVERYBODY: u64 = u64::MAX;

/// A word through which vCPUs wait for each other.
const fn flag(number: u64) -> u64 {
    FLAGS + 8 * number
}

/// The stack word `offset` of vCPU `vcpu`.
const fn stack_word(vcpu: u64, offset: u64) -> u64 {
    x86_64::system(vcpu) + x86_64::STUB_STACK + offset
}

/// Waits until vCPU `vcpu` runs no more.
const fn wait_for_end(vcpu: u64) -> Op {
    op::wait_until(stack_word(vcpu, x86_64::ONLINE), 0)
}

/// Waits until all of the first `vcpus` are here; each turn, from 1, has flags of its own.
fn meet(vcpu: u64, vcpus: u64, turn: u64) -> Vec<Op> {
    let flag = |vcpu| flag(turn * MAX_VCPUS + vcpu);
    let set = [op::store(flag(vcpu), 1, 8)];
    let others = (0..vcpus).map(|other| op::wait_until(flag(other), 1));
    set.into_iter().chain(others).collect()
}

/// What operations with this code came to on vCPU `vcpu`.
fn values(ran: &Ran, vcpu: usize, ops: &[Op], code: u64) -> Vec<u64> {
    let results = ops.iter().zip(&ran.run.results[vcpu]);
    let wanted = results.filter(|(op, _)| op.code == code);
    let done = wanted.inspect(|(_, result)| assert_eq!(result.status, STATUS_DONE));
    done.map(|(_, result)| result.value).collect()
}

const OLD: u64 = 0x4f4c_4421;
const NEW: u64 = 0x4e45_5721;

/// Everybody reads page 0; the first maps it elsewhere and shoots at the others, who read again, and
/// only then at itself: an invalidation of its own may reach the others on some hosts.
fn remap(machine: &Machine, vcpu: u64, vcpus: u64) -> Vec<Op> {
    let slot = page::slot(machine, 0);
    let (old, new) = (page::read_only(machine, 0), page::read_only(machine, 1));
    let first = |ops: Vec<Op>| if vcpu == 0 { ops } else { Vec::new() };
    let other = |ops: Vec<Op>| if vcpu != 0 { ops } else { Vec::new() };
    [
        first(vec![
            op::store(page::frame(0), OLD, 8),
            op::store(page::frame(1), NEW, 8),
            op::set_entry(slot, old, 8),
        ]),
        meet(vcpu, vcpus, 1),
        vec![op::load(page::address(0), 8)],
        meet(vcpu, vcpus, 2),
        first(vec![
            op::set_entry(slot, new, 8),
            op::shoot_down(page::address(0), !1),
        ]),
        meet(vcpu, vcpus, 3),
        other(vec![op::load(page::address(0), 8)]),
        meet(vcpu, vcpus, 4),
        first(vec![
            op::shoot_down(page::address(0), 1),
            op::load(page::address(0), 8),
        ]),
    ]
    .concat()
}

#[test]
fn after_a_shoot_down_everybody_reads_the_new_frame() {
    on_every_tracker(|lab| {
        for vcpus in SIZES {
            let mut programs = Vec::new();
            let ran = lab.run_all(vcpus, |machine| {
                programs = (0..vcpus).map(|vcpu| remap(machine, vcpu, vcpus)).collect();
                programs.clone()
            });
            for (vcpu, program) in programs.iter().enumerate() {
                let read = values(&ran, vcpu, program, guest::abi::op::LOAD);
                assert_eq!(read, [OLD, NEW], "vCPU {vcpu} of {vcpus}");
            }
            let answered = values(&ran, 0, &programs[0], guest::abi::op::SHOOT_DOWN);
            assert_eq!(answered, [vcpus - 1, 1]);
        }
    });
}

#[test]
fn only_vcpus_that_exist_and_are_meant_answer() {
    on_announce(|lab| {
        let masks = [0b1, 0b10, 0b11, 0, !0b11, EVERYBODY, 1 << MAX_VCPUS, 0b110];
        let expected = [1, 1, 2, 0, 0, 2, 0, 1];
        let shots = masks.map(|mask| op::shoot_down(page::address(0), mask));
        let end = [op::store(flag(0), 1, 8)];
        let program = [&shots[..], &end].concat();
        let ran = lab.run_all(2, |_| {
            vec![program.clone(), vec![op::wait_until(flag(0), 1)]]
        });
        let answered = values(&ran, 0, &program, guest::abi::op::SHOOT_DOWN);
        assert_eq!(answered, expected);
    });
}

#[test]
fn a_vcpu_that_has_ended_is_not_waited_for() {
    on_announce(|lab| {
        let program = [
            wait_for_end(1),
            op::shoot_down(page::address(0), 0b10),
            op::shoot_down(page::address(0), EVERYBODY),
        ];
        let ran = lab.run_all(2, |_| vec![program.to_vec(), Vec::new()]);
        let answered = values(&ran, 0, &program, guest::abi::op::SHOOT_DOWN);
        assert_eq!(answered, [0, 1]);
    });
}

/// They end while they are shot at, at any instruction; nobody hangs, and who has ended stays so.
#[test]
fn vcpus_that_end_meanwhile_are_not_waited_for() {
    on_announce(|lab| {
        let shots = vec![op::shoot_down(page::address(0), EVERYBODY); 200];
        for _ in 0..rounds(12) {
            let ran = lab.run_all(8, |_| {
                let others = (1..8).map(|vcpu| vec![op::invalidate(0); 5 * vcpu]);
                [shots.clone()].into_iter().chain(others).collect()
            });
            let answered = values(&ran, 0, &shots, guest::abi::op::SHOOT_DOWN);
            assert!(answered.is_sorted_by(|a, b| a >= b), "{answered:?}");
            assert!(answered.iter().all(|answered| (1..=8).contains(answered)));
        }
    });
}

#[test]
fn all_at_each_other_at_once_all_answer() {
    on_announce(|lab| {
        for vcpus in SIZES {
            let program = |vcpu: u64| {
                let shots = vec![op::shoot_down(page::address(vcpu), EVERYBODY); 40];
                [meet(vcpu, vcpus, 1), shots, meet(vcpu, vcpus, 2)].concat()
            };
            let programs: Vec<_> = (0..vcpus).map(program).collect();
            let ran = lab.run_all(vcpus, |_| programs.clone());
            for (vcpu, program) in programs.iter().enumerate() {
                let answered = values(&ran, vcpu, program, guest::abi::op::SHOOT_DOWN);
                assert_eq!(answered, [vcpus; 40], "vCPU {vcpu}");
            }
        }
    });
}

/// How often two vCPUs shoot at a third at once.
const DUELS: u64 = 15;

/// vCPUs 0 and 1 map a page each elsewhere and shoot at vCPU 2, which has read both pages and reads
/// them again.
fn duel(machine: &Machine, vcpu: u64) -> Vec<Op> {
    let frames = |turn| [turn % 2, 1 - turn % 2].map(|parity| 2 * parity + vcpu);
    let map = |frame| {
        let leaf = page::read_only(machine, frame);
        op::set_entry(page::slot(machine, vcpu), leaf, 8)
    };
    let turn = |turn: u64| {
        let [before, after] = frames(turn);
        let meeting = |number| meet(vcpu, 3, 3 * turn + number);
        let reads = vec![op::load(page::address(0), 8), op::load(page::address(1), 8)];
        let shot = vec![map(after), op::shoot_down(page::address(vcpu), 0b100)];
        let first = if turn == 0 && vcpu < 2 {
            vec![
                op::store(page::frame(before), before, 8),
                op::store(page::frame(after), after, 8),
                map(before),
            ]
        } else {
            Vec::new()
        };
        let [read, shot] = match vcpu {
            2 => [reads.clone(), Vec::new()],
            _ => [Vec::new(), shot],
        };
        [
            first,
            meeting(1),
            read.clone(),
            meeting(2),
            shot,
            meeting(3),
            read,
        ]
        .concat()
    };
    (0..DUELS).flat_map(turn).collect()
}

#[test]
fn two_that_shoot_at_a_third_do_not_lose_each_other() {
    on_announce(|lab| {
        let mut programs = Vec::new();
        let ran = lab.run_all(3, |machine| {
            programs = (0..3).map(|vcpu| duel(machine, vcpu)).collect();
            programs.clone()
        });
        let read = values(&ran, 2, &programs[2], guest::abi::op::LOAD);
        let turns = (0..DUELS).map(|turn| turn % 2 * 2);
        let expected = turns.flat_map(|before| [before, before + 1, 2 - before, 3 - before]);
        assert_eq!(read, expected.collect::<Vec<_>>());
    });
}

/// Bytes of the pattern that the interrupted vCPU writes and checks.
const BYTES: u64 = 4096;

/// Faults, calls the stub, and writes and checks a pattern.
fn busy(machine: &Machine) -> Vec<Op> {
    let map = op::set_entry(page::slot(machine, 1), page::read_write(machine, 1), 8);
    let turn = |seed: u64| {
        [
            op::load(page::address(0), 8),
            op::store(page::address(0), 0, 8),
            op::invalidate(page::address(1)),
            op::fill(page::address(1), BYTES, seed),
            op::check(page::address(1), BYTES, seed),
        ]
    };
    let turns = (0..20).flat_map(turn);
    let end = [op::store(flag(1), 1, 8)];
    [map].into_iter().chain(turns).chain(end).collect()
}

/// Whatever a shoot-down interrupts goes on as if nothing had been: accesses with a recovery point
/// behind them, faults, calls to the stub.
#[test]
fn what_is_interrupted_does_not_notice() {
    on_announce(|lab| {
        for _ in 0..rounds(6) {
            let mut program = Vec::new();
            let ran = lab.run_all(3, |machine| {
                program = busy(machine);
                let shots = vec![op::shoot_down(page::address(1), 0b10); 500];
                vec![shots.clone(), program.clone(), shots]
            });
            for (op, result) in program.iter().zip(&ran.run.results[1]) {
                let address = page::address(0);
                let expected = if op.a == address {
                    (STATUS_FAULT, 0, 1, 14, address)
                } else {
                    (STATUS_DONE, 0, 0, 0, 0)
                };
                let (faults, vector) = (result.faults, result.vector);
                let became = (result.status, result.value, faults, vector, result.address);
                assert_eq!(became, expected, "{op:?}");
            }
        }
    });
}

/// `mov register, value`, of which the number is that of the processor.
fn set(register: u8, value: u64) -> Vec<u8> {
    let mut code = vec![0x48 | register >> 3, 0xb8 | register & 7];
    code.extend(value.to_le_bytes());
    code
}

const RAX: u8 = 0;
const RCX: u8 = 1;
const RBX: u8 = 3;
/// `popfq` of these sets every status flag and the direction flag.
const FLAGS_SET: u32 = 0xcd7;

/// Asks itself for the invalidation of page 0, interrupts itself, and leaves with 0 if registers,
/// flags and stack are what they were and the request has been answered, else with another code.
fn interrupts_itself() -> Vec<u8> {
    let request = stack_word(0, x86_64::REQUESTS);
    let mut code = Vec::new();
    code.extend(set(RAX, request));
    // mov qword ptr [rax], REQUESTED
    code.extend([0x48, 0xc7, 0x00, 0x01, 0, 0, 0]);
    code.extend(set(RAX, LOCAL_APIC + APIC_DESTINATION));
    // mov dword ptr [rax], 1 << 24
    code.extend([0xc7, 0x00, 0, 0, 0, 0x01]);
    code.extend(set(RAX, LOCAL_APIC + APIC_COMMAND));
    code.extend(set(RBX, 0x1111_2222_3333_4444));
    code.extend(set(RCX, 0x5555_6666_7777_8888));
    // push FLAGS_SET; popfq
    code.push(0x68);
    code.extend(FLAGS_SET.to_le_bytes());
    code.push(0x9d);
    // mov dword ptr [rax], LOGICAL | ASSERT | SHOOT_DOWN_VECTOR
    code.extend([0xc7, 0x00, 0x20, 0x48, 0, 0]);
    // pushfq; pop rdx; and edx, FLAGS_SET; xor edx, FLAGS_SET; cld
    code.extend([0x9c, 0x5a, 0x81, 0xe2]);
    code.extend(FLAGS_SET.to_le_bytes());
    code.extend([0x81, 0xf2]);
    code.extend(FLAGS_SET.to_le_bytes());
    code.push(0xfc);
    // xor rbx, rcx; or rdx, (what that leaves differs); the constants' exclusive or is known
    code.extend([0x48, 0x31, 0xcb]);
    code.extend(set(RAX, 0x1111_2222_3333_4444 ^ 0x5555_6666_7777_8888));
    // xor rbx, rax; or rdx, rbx
    code.extend([0x48, 0x31, 0xc3, 0x48, 0x09, 0xda]);
    code.extend(set(RAX, request));
    // or rdx, [rax]
    code.extend([0x48, 0x0b, 0x10]);
    // xor eax, eax; test rdx, rdx; setne al; mov edx, EXIT; out dx, eax; jmp $
    code.extend([0x31, 0xc0, 0x48, 0x85, 0xd2, 0x0f, 0x95, 0xc0, 0xba]);
    code.extend(u32::from(guest::abi::port::EXIT).to_le_bytes());
    code.extend([0xef, 0xeb, 0xfe]);
    code
}

#[test]
fn registers_and_flags_survive_a_shoot_down() {
    on_announce(|lab| {
        let image = image::of_code(&interrupts_itself());
        let config = MachineConfig {
            image: &image,
            ..lab.config()
        };
        let ran = lab.attempt(&config, |_| Vec::new());
        assert_eq!(ran.run.stopped, None);
        assert_eq!(ran.word(stack_word(0, x86_64::REQUESTS)), 0);
    });
}
