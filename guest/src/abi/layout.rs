//! Where things are in guest memory. Everything below [`MINIMUM_MEMORY`] is fixed except the
//! page-table pool, which the machine may place elsewhere.

/// Bytes in a page and in a page-table page.
pub const PAGE: u64 = 4096;

/// The most vCPUs a machine can have; every per-vCPU area is laid out for this many.
pub const MAX_VCPUS: u64 = 8;

/// Where the payload image is linked and loaded; its [`header`](super::header) is its first bytes.
pub const IMAGE: u64 = 0x10_0000;
/// End (exclusive) of what an image, zeroed data included, may occupy.
pub const IMAGE_END: u64 = 0x20_0000;

/// Descriptor tables, shared by all vCPUs and written by the machine.
pub const SYSTEM: u64 = 0x20_0000;
/// First per-vCPU system area: task state, ring-0 stack, ring-3 stack.
pub const VCPU_SYSTEM: u64 = 0x21_0000;
/// Bytes from one vCPU's system area to the next.
pub const VCPU_SYSTEM_STRIDE: u64 = 0x1_0000;
/// End (exclusive) of the system area.
pub const SYSTEM_END: u64 = VCPU_SYSTEM + MAX_VCPUS * VCPU_SYSTEM_STRIDE;

/// First per-vCPU program block, see [`program`](super::program).
pub const PROGRAMS: u64 = 0x30_0000;
/// Bytes from one vCPU's program block to the next.
pub const PROGRAM_STRIDE: u64 = 0x1_0000;
/// DMA descriptors: a scenario places as many as it needs from here on.
pub const DESCRIPTORS: u64 = PROGRAMS + MAX_VCPUS * PROGRAM_STRIDE;
/// Words through which vCPUs wait for each other.
pub const FLAGS: u64 = DESCRIPTORS + 0x1_0000;
/// End (exclusive) of what the machine and the payload share.
pub const SHARED_END: u64 = FLAGS + PAGE;

/// Where the guest's SMMU driver has its tables and queues, see [`smmu`](super::smmu).
pub const SMMU_TABLES: u64 = 0x3a_0000;
/// End (exclusive) of those.
pub const SMMU_TABLES_END: u64 = SMMU_TABLES + 0x1_0000;

/// Default place of the page-table pool.
pub const PAGE_TABLES: u64 = 0x40_0000;
/// Page-table pages in the pool.
pub const PAGE_TABLE_PAGES: u64 = 64;

/// Frames that scenarios map, read and write.
pub const FRAMES: u64 = 0x50_0000;
/// End (exclusive) of those frames.
pub const FRAMES_END: u64 = 0x60_0000;

/// The least memory a machine can have.
pub const MINIMUM_MEMORY: u64 = 0x80_0000;
/// The most memory a machine can have: devices begin there.
pub const MAXIMUM_MEMORY: u64 = MMIO;
/// How much of memory the payload's identity map reaches, at most.
pub const IDENTITY_END: u64 = 1 << 30;

/// Device registers, guest-physical and guest-virtual; below 2^39 so that every x86-64 host has it.
pub const MMIO: u64 = 0x70_0000_0000;
/// The SMMU's register frame, two pages of 64 KiB.
pub const SMMU_FRAME: u64 = MMIO + 0x2_0000;

/// Guest-virtual (and, since the device shares the page tables, I/O-virtual) addresses at which
/// scenarios map their pages; in a page-table subtree of its own.
pub const WINDOW: u64 = 0x4000_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{dma, litmus, program, smmu, x86_64};

    /// Half-open, in ascending order.
    const AREAS: [(u64, u64); 13] = [
        (IMAGE, IMAGE_END),
        (SYSTEM, VCPU_SYSTEM),
        (VCPU_SYSTEM, SYSTEM_END),
        (PROGRAMS, DESCRIPTORS),
        (DESCRIPTORS, FLAGS),
        (FLAGS, SHARED_END),
        (SMMU_TABLES, SMMU_TABLES_END),
        (PAGE_TABLES, PAGE_TABLES + PAGE_TABLE_PAGES * PAGE),
        (FRAMES, FRAMES_END),
        (litmus::LITMUS, litmus::LITMUS_END),
        (MMIO, MMIO + dma::SIZE.next_multiple_of(PAGE)),
        (x86_64::LOCAL_APIC, x86_64::LOCAL_APIC + PAGE),
        (SMMU_FRAME, SMMU_FRAME + smmu::FRAME_SIZE),
    ];

    #[test]
    fn areas_are_whole_pages_and_do_not_overlap() {
        for (start, end) in AREAS {
            assert!(start < end, "{start:#x}..{end:#x}");
            assert!(start.is_multiple_of(PAGE));
        }
        for pair in AREAS.windows(2) {
            assert!(
                pair[0].1 <= pair[1].0,
                "{:#x} and {:#x}",
                pair[0].1,
                pair[1].0
            );
        }
    }

    #[test]
    fn the_least_memory_holds_every_area_but_the_devices() {
        let last = AREAS
            .iter()
            .filter(|area| area.0 < MMIO)
            .map(|area| area.1)
            .max();
        assert!(last.unwrap() <= MINIMUM_MEMORY);
    }

    #[test]
    fn per_vcpu_areas_hold_what_is_in_them() {
        assert_eq!(x86_64::system(MAX_VCPUS), SYSTEM_END);
        assert_eq!(x86_64::USER_STACK_END, VCPU_SYSTEM_STRIDE);
        assert_eq!(program::block(MAX_VCPUS), DESCRIPTORS);
    }

    #[test]
    fn descriptor_tables_fit_between_their_neighbours() {
        let slots = u64::from(x86_64::TASK_STATE) + 16 * MAX_VCPUS;
        assert!(x86_64::GDT + slots <= x86_64::IDT);
        let gates = x86_64::IDT..x86_64::IDT + 16 * x86_64::GATES;
        assert!(gates.end <= VCPU_SYSTEM);
    }
}
