//! The task state: where ring 0's stack is, and which ports ring 3 may use (Intel SDM vol. 3,
//! §7.7, and vol. 1, §18.5.2). Opening ports through IOPL instead does not work on every host.

use guest::abi::x86_64::{STUB_STACK, STUB_STACK_END, TASK, system};

/// Bytes of the 64-bit task state proper.
const STATE: usize = 104;
/// Offset of RSP0, which is not 8-byte aligned.
const RSP0: usize = 4;
/// Offset of the 16-bit offset of the permission bitmap.
const BITMAP_OFFSET: usize = 102;
/// Ports 0 to this (exclusive) are open to ring 3.
const PORTS: usize = 0x1000;
/// One bit a port, clear for open, then a byte of ones, which the processor reads beyond the last.
const SIZE: usize = STATE + PORTS / 8 + 1;

const _: () = assert!(TASK + SIZE as u64 <= STUB_STACK);

/// Offset of the last byte, as the descriptor has it.
#[expect(clippy::cast_possible_truncation, reason = "less than a page")]
pub(super) const LIMIT: u32 = SIZE as u32 - 1;

/// A vCPU's task state.
pub(super) struct TaskState {
    ring0_stack_end: u64,
}

impl TaskState {
    /// That of vCPU `index`.
    pub(super) fn of_vcpu(index: u64) -> Self {
        Self {
            ring0_stack_end: system(index) + STUB_STACK_END,
        }
    }

    /// As the processor reads it.
    pub(super) fn to_bytes(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[RSP0..RSP0 + 8].copy_from_slice(&self.ring0_stack_end.to_le_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "104 fits")]
        let bitmap = STATE as u16;
        bytes[BITMAP_OFFSET..STATE].copy_from_slice(&bitmap.to_le_bytes());
        bytes[SIZE - 1] = 0xff;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use guest::abi::port;

    use super::*;

    #[test]
    fn every_port_of_the_payload_is_open_and_the_end_is_closed() {
        let bytes = TaskState::of_vcpu(0).to_bytes();
        for port in [
            port::SERIAL,
            port::SERIAL + 7,
            port::EXIT,
            port::REPORT,
            port::ANNOUNCE,
        ] {
            let port = usize::from(port);
            assert!(port + 4 <= PORTS);
            assert_eq!(bytes[STATE + port / 8], 0, "port {port:#x}");
        }
        assert_eq!(bytes.last(), Some(&0xff));
    }

    #[test]
    fn ring_0_starts_at_the_end_of_its_own_stack() {
        let bytes = TaskState::of_vcpu(3).to_bytes();
        assert_eq!(bytes[4..12], (system(3) + STUB_STACK_END).to_le_bytes());
    }
}
