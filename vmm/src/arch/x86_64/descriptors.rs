//! Segment descriptors and interrupt gates (Intel SDM vol. 3, §3.4.5, §6.14.1, §7.2.3), and their
//! unpacked form as KVM takes it for the segment caches.

use guest::abi::layout::MAX_VCPUS;
use guest::abi::x86_64::{
    GATES, KERNEL_CODE, KERNEL_DATA, TASK_STATE, USER_CODE, USER_DATA, VECTORS, system,
};
use kvm_bindings::{kvm_dtable, kvm_segment};

use super::cpuid::Vendor;
use super::task;

/// Data, read-write, accessed.
const DATA: u8 = 0x3;
/// Code, execute-read, accessed.
const CODE: u8 = 0xb;
/// Busy 64-bit task state.
const BUSY_TASK: u8 = 0xb;
/// 64-bit task state that is not busy.
const AVAILABLE_TASK: u8 = 0x9;
/// Present 64-bit interrupt gate, type 0xe, DPL 0.
const GATE: u128 = 0x8e;
/// DPL 3 in a gate.
const CALLABLE: u128 = 0x60;

/// Entries of the GDT: null, four flat segments, one unused so that task states are at 16-byte
/// steps, and two slots for each task state.
#[expect(clippy::cast_possible_truncation, reason = "a handful")]
const ENTRIES: usize = TASK_STATE as usize / 8 + 2 * MAX_VCPUS as usize;

/// The GDT's contents.
pub(super) fn global_table() -> [u64; ENTRIES] {
    let mut table = [0; ENTRIES];
    for segment in [
        code(KERNEL_CODE),
        data(KERNEL_DATA),
        code(USER_CODE),
        data(USER_DATA),
    ] {
        table[slot(segment.selector)] = descriptor(&segment);
    }
    for index in 0..MAX_VCPUS {
        let segment = task_state(index);
        let slot = slot(segment.selector);
        table[slot] = descriptor(&segment);
        // A system descriptor's base goes on in a second slot.
        table[slot + 1] = segment.base >> 32;
    }
    table
}

/// GDTR.
pub(super) fn global_register() -> kvm_dtable {
    kvm_dtable {
        base: guest::abi::x86_64::GDT,
        limit: limit(8 * ENTRIES as u64),
        ..Default::default()
    }
}

/// IDTR.
pub(super) fn interrupt_register() -> kvm_dtable {
    kvm_dtable {
        base: guest::abi::x86_64::IDT,
        limit: limit(16 * GATES),
        ..Default::default()
    }
}

/// The gate of vector `vector` to ring-0 code at `entry`, on the stack that the task state names. Ring
/// 3 may also call those of exceptions.
pub(super) fn gate(vector: u64, entry: u64) -> u128 {
    let entry = u128::from(entry);
    let callable = if vector < VECTORS { CALLABLE } else { 0 };
    (entry & 0xffff)
        | u128::from(KERNEL_CODE) << 16
        | (GATE | callable) << 40
        | (entry >> 16 & 0xffff) << 48
        | (entry >> 32) << 64
}

/// A flat 64-bit code segment of the privilege level that the selector asks for.
pub(super) fn code(selector: u16) -> kvm_segment {
    kvm_segment {
        l: 1,
        ..flat(selector, CODE)
    }
}

/// A flat data segment of the privilege level that the selector asks for.
pub(super) fn data(selector: u16) -> kvm_segment {
    kvm_segment {
        db: 1,
        ..flat(selector, DATA)
    }
}

/// The task state of vCPU `index`, which is below [`MAX_VCPUS`].
pub(super) fn task_state(index: u64) -> kvm_segment {
    #[expect(clippy::cast_possible_truncation, reason = "16 * MAX_VCPUS fits")]
    let selector = TASK_STATE + 16 * index as u16;
    kvm_segment {
        base: system(index) + guest::abi::x86_64::TASK,
        limit: task::LIMIT,
        selector,
        type_: BUSY_TASK,
        present: 1,
        ..Default::default()
    }
}

/// What TR holds on a vCPU whose task state is that of vCPU `index`.
///
/// Intel's processors have a busy type there and refuse to enter a guest with another (SDM vol. 3,
/// §26.3.1.2). AMD's have no busy bit in TR; KVM adds it when it is asked, and an emulated one
/// takes a task state with it for one of another kind, whose I/O permissions do not count.
pub(super) fn task_register(index: u64, vendor: Vendor) -> kvm_segment {
    kvm_segment {
        type_: match vendor {
            Vendor::Amd => AVAILABLE_TASK,
            Vendor::Other => BUSY_TASK,
        },
        ..task_state(index)
    }
}

fn flat(selector: u16, type_: u8) -> kvm_segment {
    kvm_segment {
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        dpl: (selector & 3) as u8,
        s: 1,
        g: 1,
        ..Default::default()
    }
}

/// The first eight bytes of a segment's descriptor.
fn descriptor(segment: &kvm_segment) -> u64 {
    let limit = u64::from(if segment.g == 1 {
        segment.limit >> 12
    } else {
        segment.limit
    });
    let access = u64::from(segment.type_)
        | u64::from(segment.s) << 4
        | u64::from(segment.dpl) << 5
        | u64::from(segment.present) << 7;
    let flags = u64::from(segment.l) << 1 | u64::from(segment.db) << 2 | u64::from(segment.g) << 3;
    (limit & 0xffff)
        | (segment.base & 0xff_ffff) << 16
        | access << 40
        | (limit >> 16 & 0xf) << 48
        | flags << 52
        | (segment.base >> 24 & 0xff) << 56
}

fn slot(selector: u16) -> usize {
    usize::from(selector >> 3)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "both tables are far below 64 KiB"
)]
fn limit(bytes: u64) -> u16 {
    (bytes - 1) as u16
}

#[cfg(test)]
mod tests {
    use guest::abi::x86_64::SHOOT_DOWN_VECTOR;

    use super::*;

    #[test]
    fn flat_segments_have_their_well_known_encodings() {
        let table = global_table();
        assert_eq!(table[0], 0);
        assert_eq!(table[slot(KERNEL_CODE)], 0x00af_9b00_0000_ffff);
        assert_eq!(table[slot(KERNEL_DATA)], 0x00cf_9300_0000_ffff);
        assert_eq!(table[slot(USER_CODE)], 0x00af_fb00_0000_ffff);
        assert_eq!(table[slot(USER_DATA)], 0x00cf_f300_0000_ffff);
    }

    #[test]
    fn a_task_state_descriptor_names_its_area_and_its_limit() {
        let low = global_table()[slot(TASK_STATE) + 2];
        let base = low >> 16 & 0xff_ffff | (low >> 56) << 24;
        assert_eq!(base, system(1));
        assert_eq!(low & 0xffff, u64::from(task::LIMIT));
        assert_eq!(low >> 40 & 0xff, 0x8b);
    }

    #[test]
    fn a_gate_scatters_the_entry_address() {
        let gate = gate(0, 0x1234_5678_9abc_def0);
        assert_eq!(gate, 0x1234_5678_9abc_ee00_0008_def0);
    }

    #[test]
    fn ring_3_may_call_exceptions_but_not_the_interrupt() {
        let callable = [0, VECTORS - 1, SHOOT_DOWN_VECTOR].map(|vector| gate(vector, 0) >> 45 & 3);
        assert_eq!(callable, [3, 3, 0]);
    }
}
