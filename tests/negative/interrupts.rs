//! Guests that misuse interrupts: each comes to an end that is told.

use std::time::Duration;

use guest::abi::port::EXIT_DONE;
use guest::abi::x86_64::{APIC_COMMAND, APIC_DESTINATION, LOCAL_APIC};
use guest::images::hostile;
use tests::image;
use tests::lab::{Lab, end, on_announce};
use vmm::machine::MachineConfig;
use vmm::vcpu::VcpuEnd;

/// What a guest gets that may never end.
const LIMIT: Duration = Duration::from_secs(1);
/// What one gets that ends by itself.
const PLENTY: Duration = Duration::from_secs(60);

/// Logical destination, assert.
const COMMAND: u32 = 1 << 11 | 1 << 14;
const NMI: u32 = 4 << 8;
const INIT: u32 = 5 << 8;
/// At guest-physical address `0x10_0000` less a page, where nothing is.
const START: u32 = 6 << 8 | 0xff;

/// `movabs rax, address; mov dword ptr [rax], value`
fn store(address: u64, value: u32) -> Vec<u8> {
    let mut code = vec![0x48, 0xb8];
    code.extend(address.to_le_bytes());
    code.extend([0xc7, 0x00]);
    code.extend(value.to_le_bytes());
    code
}

/// The first vCPU sends itself this interrupt; then it leaves.
fn to_itself(command: u32) -> Vec<u8> {
    let mut code = store(LOCAL_APIC + APIC_DESTINATION, 1 << 24);
    code.extend(store(LOCAL_APIC + APIC_COMMAND, COMMAND | command));
    code.extend(image::exit(EXIT_DONE));
    image::of_code(&code)
}

/// How a machine of one vCPU with this code ends.
fn ends(lab: &Lab, image: &[u8]) -> VcpuEnd {
    end(lab.stopped(image, 1, PLENTY))
}

/// A vector without a gate, a non-maskable interrupt, a reset, a start at an address of its choice:
/// what these do to a guest differs from host to host, but its run has an end, and a reason if it
/// is not that of its program.
#[test]
fn any_interrupt_to_itself_leaves_the_run_with_an_end() {
    on_announce(|lab| {
        for command in [0x80, 0x08, NMI, INIT, START] {
            let image = to_itself(command);
            let config = MachineConfig {
                image: &image,
                limit: LIMIT,
                ..lab.config()
            };
            let ran = lab.attempt(&config, |_| Vec::new());
            assert!(ran.run.elapsed < LIMIT + PLENTY, "{command:#x}");
            let reason = ran.run.stopped.map(|stopped| stopped.to_string());
            assert_eq!(reason.unwrap_or("finished".into()).lines().count(), 1);
        }
    });
}

/// `cli`, `hlt`: privileged, so interrupts stay on and the vCPU stays awake.
#[test]
fn ring_3_can_neither_turn_interrupts_off_nor_halt() {
    on_announce(|lab| {
        for instruction in [0xfa, 0xf4] {
            let ended = ends(lab, &image::of_code(&[instruction]));
            assert!(
                matches!(ended, VcpuEnd::Fatal { vector: 13, .. }),
                "{ended}"
            );
        }
    });
}

#[test]
fn every_interrupt_at_everybody_ends_with_one_line() {
    on_announce(|lab| {
        let image = hostile("interrupts").expect("there is such an image");
        for vcpus in [1, 2, 8] {
            let stopped = lab.stopped(image, vcpus, LIMIT).to_string();
            assert_eq!(stopped.lines().count(), 1, "{stopped}");
        }
    });
}

/// `int 0x20`: the gate is the processor's own. That is a fault, unless the host takes the instruction
/// for none.
#[test]
fn a_shoot_down_by_an_instruction_is_none() {
    on_announce(|lab| {
        let code = [vec![0xcd, 0x20], vec![0x90; 8], image::exit(EXIT_DONE)].concat();
        let image = image::of_code(&code);
        let config = MachineConfig {
            image: &image,
            ..lab.config()
        };
        let ended = lab.attempt(&config, |_| Vec::new()).run.stopped.map(end);
        assert!(
            matches!(ended, None | Some(VcpuEnd::Fatal { vector: 13, .. })),
            "{ended:?}"
        );
    });
}
