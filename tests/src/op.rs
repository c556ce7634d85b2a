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
