//! What only an x86-64 payload and its machine share.

use super::layout::{MMIO, SYSTEM, VCPU_SYSTEM, VCPU_SYSTEM_STRIDE};

/// Bytes from one exception entry of the ring-0 stub to the next.
pub const VECTOR_STRIDE: u64 = 16;
/// Exceptions that the stub has entries for.
pub const VECTORS: u64 = 32;
/// The interrupt by which a vCPU has others invalidate a translation. The stub's entry for it is
/// where one more exception's would be.
pub const SHOOT_DOWN_VECTOR: u64 = VECTORS;
/// Gates in the interrupt descriptor table.
pub const GATES: u64 = SHOOT_DOWN_VECTOR + 1;

/// The local APIC's registers, the same address for every vCPU's own. Not where a reset leaves
/// them: here they are on a page that ring 3 reaches already.
pub const LOCAL_APIC: u64 = MMIO + 0x1_0000;
/// End of interrupt (Intel SDM vol. 3, §12.8.5): offset of the 32-bit register.
pub const APIC_EOI: u64 = 0xb0;
/// Interrupt command, low half: a write sends the interrupt (§12.6.1).
pub const APIC_COMMAND: u64 = 0x300;
/// Interrupt command, high half: in its highest byte the destination.
pub const APIC_DESTINATION: u64 = 0x310;

/// Global descriptor table; the per-vCPU task-state descriptors are in it.
pub const GDT: u64 = SYSTEM;
/// Interrupt descriptor table.
pub const IDT: u64 = SYSTEM + 0x1000;

/// Ring-0 code segment.
pub const KERNEL_CODE: u16 = 0x08;
/// Ring-0 data segment.
pub const KERNEL_DATA: u16 = 0x10;
/// Ring-3 code segment, requested privilege level included.
pub const USER_CODE: u16 = 0x18 | 3;
/// Ring-3 data segment, requested privilege level included.
pub const USER_DATA: u16 = 0x20 | 3;
/// Task-state segment of vCPU 0; each vCPU's is 16 bytes (a system descriptor) after the last.
pub const TASK_STATE: u16 = 0x30;

/// Offset of the task-state segment, I/O permission bitmap included, in a vCPU's system area.
pub const TASK: u64 = 0;
/// Offset of the one-page ring-0 stack; its lowest bytes are the [`stack words`](RECOVER).
pub const STUB_STACK: u64 = 0x4000;
/// Offset of the end (exclusive) of the ring-0 stack.
pub const STUB_STACK_END: u64 = 0x5000;
/// Offset of the end (exclusive) of the ring-3 stack, which begins where the ring-0 stack ends.
pub const USER_STACK_END: u64 = 0x1_0000;

/// System area of vCPU `index`.
pub const fn system(index: u64) -> u64 {
    VCPU_SYSTEM + index * VCPU_SYSTEM_STRIDE
}

/// Stack word (offset from the bottom of the ring-0 stack): where ring 3 continues after a fault,
/// 0 for none. The stub clears it when it uses it.
pub const RECOVER: u64 = 0x00;
/// Stack word: vector of the last fault.
pub const VECTOR: u64 = 0x08;
/// Stack word: error code of the last fault.
pub const ERROR: u64 = 0x10;
/// Stack word: CR2 of the last fault.
pub const ADDRESS: u64 = 0x18;
/// Stack word: instruction pointer of the last fault.
pub const INSTRUCTION: u64 = 0x20;
/// Stack word: where ring 3 continues after a fault with no recovery, set by the machine from the
/// image's header. The stub puts the address of the stack words into RDI and the end of the ring-3
/// stack into RSP on the way.
pub const FATAL: u64 = 0x28;
/// Stack words, one for each vCPU that may ask: the page whose translation this vCPU is to
/// invalidate at the shoot-down interrupt, with [`REQUESTED`], or 0. Who asks writes it, and the
/// stub clears it once it is done.
pub const REQUESTS: u64 = 0x40;
/// In a request, beside the address of a page: there is one. So page 0 is not nothing.
pub const REQUESTED: u64 = 1;
/// Stack word: 1 while this vCPU answers shoot-downs. Set by the machine before any vCPU runs, and
/// cleared by the vCPU when it runs no more.
pub const ONLINE: u64 = 0x80;

/// In RAX at an undefined instruction (`ud2`): invalidate the page that RDI points into.
pub const CALL_INVALIDATE: u64 = u64::from_le_bytes(*b"INVLPAGE");

/// Likewise: invalidate everything that is not global, by loading CR3 anew.
pub const CALL_INVALIDATE_ALL: u64 = u64::from_le_bytes(*b"INVLDALL");
/// Likewise: count RDI, which is not 0, down to 0.
pub const CALL_COUNT: u64 = u64::from_le_bytes(*b"COUNTRDI");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::layout::MAX_VCPUS;

    #[test]
    fn the_stack_words_are_distinct_and_aligned() {
        let requests = (0..MAX_VCPUS).map(|vcpu| REQUESTS + 8 * vcpu);
        let words = [RECOVER, VECTOR, ERROR, ADDRESS, INSTRUCTION, FATAL, ONLINE];
        let words: Vec<_> = words.into_iter().chain(requests).collect();
        for (index, &word) in words.iter().enumerate() {
            assert!(word.is_multiple_of(8));
            assert!(!words[..index].contains(&word));
        }
    }

    #[test]
    fn the_parts_of_a_system_area_follow_each_other() {
        let parts = [
            TASK,
            STUB_STACK,
            STUB_STACK_END,
            USER_STACK_END,
            VCPU_SYSTEM_STRIDE,
        ];
        assert!(parts.is_sorted());
        assert_eq!(system(1) - system(0), VCPU_SYSTEM_STRIDE);
    }
}
