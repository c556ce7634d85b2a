//! Operations of the guest's payload, as `guest::abi::op` describes them.

use guest::abi::op::{self, Op};

const fn op(code: u64, a: u64, b: u64, c: u64) -> Op {
    Op { code, a, b, c }
}

/// Stores the `width` low bytes of `value` at `slot`, by the protocol of the machine's tracker.
pub const fn set_entry(slot: u64, value: u64, width: u64) -> Op {
    op(op::SET_ENTRY, slot, value, width)
}

/// Invalidates the vCPU's translation of `address`.
pub const fn invalidate(address: u64) -> Op {
    op(op::INVALIDATE, address, 0, 0)
}

/// Loads `width` bytes.
pub const fn load(address: u64, width: u64) -> Op {
    op(op::LOAD, address, width, 0)
}

/// Stores the `width` low bytes of `value`.
pub const fn store(address: u64, value: u64, width: u64) -> Op {
    op(op::STORE, address, value, width)
}

/// Has the next write fault on the page at `address` set `bits` in the entry at `slot`.
pub const fn on_write_fault(address: u64, slot: u64, bits: u64) -> Op {
    op(op::ON_WRITE_FAULT, address, slot, bits)
}

/// Rings a doorbell.
pub const fn ring(register: u64) -> Op {
    op(op::RING, register, 1, 0)
}

/// Waits until the word at `address` is not `word`.
pub const fn wait_while(address: u64, word: u64) -> Op {
    op(op::WAIT_WHILE, address, word, 0)
}

/// Waits until the word at `address` is `word`.
pub const fn wait_until(address: u64, word: u64) -> Op {
    op(op::WAIT_UNTIL, address, word, 0)
}

/// Marks this point in the history.
pub const fn report(marker: u64) -> Op {
    op(op::REPORT, marker, 0, 0)
}

/// Writes `bytes` of the pattern with this seed.
pub const fn fill(address: u64, bytes: u64, seed: u64) -> Op {
    op(op::FILL, address, bytes, seed)
}

/// Counts the words of `bytes` that differ from the pattern with this seed.
pub const fn check(address: u64, bytes: u64, seed: u64) -> Op {
    op(op::CHECK, address, bytes, seed)
}

/// Configures the SMMU's driven stream for the machine's page table by its root.
pub const fn smmu_configure(root: u64, asid: u64, flags: u64) -> Op {
    op(op::SMMU_CONFIGURE, root, asid, flags)
}

/// Submits a command to the SMMU.
pub const fn smmu_command(words: [u64; 2]) -> Op {
    op(op::SMMU_COMMAND, words[0], words[1], 0)
}

/// Invalidates what the SMMU has of a page.
pub const fn smmu_invalidate_page(address: u64, asid: u64) -> Op {
    op(op::SMMU_INVALIDATE_PAGE, address, asid, 0)
}

/// Invalidates what the SMMU has of an address space.
pub const fn smmu_invalidate_asid(asid: u64) -> Op {
    op(op::SMMU_INVALIDATE_ASID, asid, 0, 0)
}

/// Waits for the completion of all commands, by CMDQ_CONS.
pub const fn smmu_sync() -> Op {
    op(op::SMMU_SYNC, 0, 0, 0)
}

/// The same by a message.
pub const fn smmu_sync_message(address: u64, data: u32) -> Op {
    op(op::SMMU_SYNC, address, data as u64, 0)
}

/// Reads the next event, if there is one.
pub const fn smmu_event(to: u64) -> Op {
    op(op::SMMU_EVENT, to, 0, 0)
}

/// Waits for the next event and reads it.
pub const fn smmu_wait_event(to: u64) -> Op {
    op(op::SMMU_EVENT, to, 1, 0)
}

/// Invalidates the translation of `address` on the vCPUs whose bits are set.
pub const fn shoot_down(address: u64, vcpus: u64) -> Op {
    op(op::SHOOT_DOWN, address, vcpus, 0)
}

/// Takes part in the scenario of the litmus area.
pub const fn litmus() -> Op {
    op(op::LITMUS, 0, 0, 0)
}
