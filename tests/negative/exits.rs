//! Raw machine code that leaves the machine in ways that no operation knows.

use std::time::Duration;

use guest::abi::layout::MMIO;
use guest::abi::port;
use tests::image;
use tests::lab::{Lab, end, on_every_tracker};
use vmm::bus::Space;
use vmm::vcpu::VcpuEnd;

const PLENTY: Duration = Duration::from_secs(60);

/// How a vCPU ends that runs `code`.
fn ends(lab: &Lab, code: &[u8]) -> VcpuEnd {
    end(lab.stopped(&image::of_code(code), 1, PLENTY))
}

#[test]
fn an_exit_code_that_means_nothing_is_told() {
    on_every_tracker(|lab| {
        for code in [4, 0x1234, u32::MAX] {
            assert_eq!(ends(lab, &image::exit(code)), VcpuEnd::BadExit(code.into()));
        }
    });
}

/// `out 0xf4, al` of a narrower register is the same port with a smaller value.
#[test]
fn an_exit_code_may_have_any_width() {
    on_every_tracker(|lab| {
        // mov al, 0x77; out 0xf4, al; jmp $
        let byte = [0xb0, 0x77, 0xe6, 0xf4, 0xeb, 0xfe];
        assert_eq!(ends(lab, &byte), VcpuEnd::BadExit(0x77));
        // mov ax, 0x7788; out 0xf4, ax; jmp $
        let word = [0x66, 0xb8, 0x88, 0x77, 0x66, 0xe7, 0xf4, 0xeb, 0xfe];
        assert_eq!(ends(lab, &word), VcpuEnd::BadExit(0x7788));
    });
}

/// The stub's own exit codes, of a guest that lies.
#[test]
fn an_exit_that_pretends_a_fault_is_believed_and_ends_the_run() {
    on_every_tracker(|lab| {
        let nothing = VcpuEnd::Fatal {
            vector: 0,
            error: 0,
            address: 0,
        };
        let found = [port::EXIT_FATAL, port::EXIT_PANIC, port::EXIT_STUB]
            .map(|code| ends(lab, &image::exit(code)));
        assert_eq!(found, [nothing, VcpuEnd::Panicked, VcpuEnd::StubFault]);
    });
}

#[test]
fn a_port_where_nothing_is_ends_the_run() {
    on_every_tracker(|lab| {
        let place = |what, length| VcpuEnd::Unclaimed {
            what,
            space: Space::Port,
            address: 0x80,
            length,
        };
        assert_eq!(ends(lab, &image::out(0x80, 1)), place("write to", 4));
        // in al, 0x80; jmp $
        assert_eq!(ends(lab, &[0xe4, 0x80, 0xeb, 0xfe]), place("read from", 1));
    });
}

/// Two bytes of the exit port and two of nothing.
#[test]
fn an_access_across_the_end_of_a_port_is_unclaimed() {
    on_every_tracker(|lab| {
        let expected = VcpuEnd::Unclaimed {
            what: "write to",
            space: Space::Port,
            address: 0xf6,
            length: 4,
        };
        assert_eq!(ends(lab, &image::out(0xf6, 1)), expected);
    });
}

#[test]
fn a_load_from_device_space_where_nothing_is_ends_the_run() {
    on_every_tracker(|lab| {
        // movabs rbx, address; mov rax, [rbx]; jmp $
        let mut code = vec![0x48, 0xbb];
        code.extend((MMIO + 0x10_0000).to_le_bytes());
        code.extend([0x48, 0x8b, 0x03, 0xeb, 0xfe]);
        let expected = VcpuEnd::Unclaimed {
            what: "read from",
            space: Space::Mmio,
            address: MMIO + 0x10_0000,
            length: 8,
        };
        assert_eq!(ends(lab, &code), expected);
    });
}

/// HLT is ring 0's: #GP.
#[test]
fn a_privileged_instruction_is_a_fault_that_nobody_asked_for() {
    on_every_tracker(|lab| {
        let found = ends(lab, &[0xf4]);
        assert!(
            matches!(found, VcpuEnd::Fatal { vector: 13, .. }),
            "{found}"
        );
    });
}

/// UD2, with nothing that the stub would know in RAX.
#[test]
fn an_undefined_instruction_is_a_fault_that_nobody_asked_for() {
    on_every_tracker(|lab| {
        // xor eax, eax; ud2
        let found = ends(lab, &[0x31, 0xc0, 0x0f, 0x0b]);
        assert!(matches!(found, VcpuEnd::Fatal { vector: 6, .. }), "{found}");
    });
}

/// String output to the console, which nothing of the payload uses: never a crash.
#[test]
fn a_string_of_port_writes_reaches_its_one_port() {
    on_every_tracker(|lab| {
        // mov edx, EXIT; mov esi, IMAGE; mov ecx, 2; cld; rep outsd; jmp $
        let mut code = vec![0xba, 0xf4, 0, 0, 0, 0xbe, 0, 0, 0x10, 0];
        code.extend([0xb9, 2, 0, 0, 0, 0xfc, 0xf3, 0x6f, 0xeb, 0xfe]);
        // The first four bytes of the image's header.
        let expected = VcpuEnd::BadExit(u32::from_le_bytes(*b"STAL").into());
        assert_eq!(ends(lab, &code), expected);
    });
}
