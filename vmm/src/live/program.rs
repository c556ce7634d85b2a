//! Writing programs for the guest.

use guest::abi::op::{self, Op, OpResult};
use notifier::addr::Gpa;

/// A program that is being written.
#[derive(Debug, Default)]
pub(crate) struct Program {
    ops: Vec<Op>,
}

/// Which operation of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpIndex(usize);

impl OpIndex {
    /// What it came to; as if not run where there is no result.
    pub(crate) fn of(self, results: &[OpResult]) -> OpResult {
        results.get(self.0).copied().unwrap_or_default()
    }
}

impl Program {
    /// The operations so far.
    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    fn push(&mut self, code: u64, a: u64, b: u64, c: u64) -> OpIndex {
        self.ops.push(Op { code, a, b, c });
        OpIndex(self.ops.len() - 1)
    }

    /// Stores a whole page-table entry.
    pub(crate) fn set_entry(&mut self, slot: Gpa, entry: u64) -> OpIndex {
        self.push(op::SET_ENTRY, slot.raw(), entry, 8)
    }

    /// Invalidates the CPU's translation of an address.
    pub(crate) fn invalidate(&mut self, address: u64) -> OpIndex {
        self.push(op::INVALIDATE, address, 0, 0)
    }

    /// Loads a word.
    pub(crate) fn load(&mut self, address: u64) -> OpIndex {
        self.push(op::LOAD, address, 8, 0)
    }

    /// Stores a word.
    pub(crate) fn store(&mut self, address: u64, word: u64) -> OpIndex {
        self.push(op::STORE, address, word, 8)
    }

    /// Has a write fault on the page at `address` flip `bits` in the entry at `slot`.
    pub(crate) fn on_write_fault(&mut self, address: u64, slot: Gpa, bits: u64) -> OpIndex {
        self.push(op::ON_WRITE_FAULT, address, slot.raw(), bits)
    }

    /// Rings a doorbell.
    pub(crate) fn ring(&mut self, register: u64) -> OpIndex {
        self.push(op::RING, register, 1, 0)
    }

    /// Waits until the word at `address` is something else.
    pub(crate) fn wait_while(&mut self, address: u64, word: u64) -> OpIndex {
        self.push(op::WAIT_WHILE, address, word, 0)
    }

    /// Waits until the word at `address` is this.
    pub(crate) fn wait_until(&mut self, address: u64, word: u64) -> OpIndex {
        self.push(op::WAIT_UNTIL, address, word, 0)
    }

    /// Configures the stream that the guest drives.
    pub(crate) fn smmu_configure(&mut self, root: Gpa, asid: u64, flags: u64) -> OpIndex {
        self.push(op::SMMU_CONFIGURE, root.raw(), asid, flags)
    }

    /// Invalidates what the SMMU has of a page, and waits until that is complete.
    pub(crate) fn smmu_invalidate(&mut self, address: u64, asid: u64) {
        self.push(op::SMMU_INVALIDATE_PAGE, address, asid, 0);
        self.push(op::SMMU_SYNC, 0, 0, 0);
    }

    /// Marks this point.
    pub(crate) fn report(&mut self, marker: u32) -> OpIndex {
        self.push(op::REPORT, marker.into(), 0, 0)
    }

    /// Writes a pattern.
    pub(crate) fn fill(&mut self, address: u64, bytes: u64, seed: u64) -> OpIndex {
        self.push(op::FILL, address, bytes, seed)
    }

    /// Counts the words that differ from a pattern.
    pub(crate) fn check(&mut self, address: u64, bytes: u64, seed: u64) -> OpIndex {
        self.push(op::CHECK, address, bytes, seed)
    }
}
