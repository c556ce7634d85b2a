//! A vCPU's program block in memory.
#![allow(
    unsafe_code,
    reason = "the block is memory that the machine shares with the payload"
)]

use core::ptr::with_exposed_provenance_mut;

use crate::abi::op::{Op, OpResult};
use crate::abi::program::{self, Announcement, Control};

/// One vCPU's block. All accesses are volatile: the machine reads it behind the compiler's back.
pub(super) struct Block {
    control: *mut Control,
    announcement: *mut Announcement,
    ops: *const Op,
    results: *mut OpResult,
}

impl Block {
    pub(super) fn of_vcpu(vcpu: u64) -> Self {
        let block = program::block(vcpu);
        Self {
            control: pointer(block + program::CONTROL),
            announcement: pointer(block + program::ANNOUNCEMENT),
            ops: pointer(block + program::OPS),
            results: pointer(block + program::RESULTS),
        }
    }

    /// Number of operations, at most the block's capacity.
    pub(super) fn count(&self) -> u64 {
        // SAFETY: the layout sets the block aside for this; any bytes are valid words.
        unsafe { (&raw const (*self.control).count).read_volatile() }.min(program::CAPACITY)
    }

    pub(super) fn protocol(&self) -> u64 {
        // SAFETY: as for `count`.
        unsafe { (&raw const (*self.control).protocol).read_volatile() }
    }

    pub(super) fn set_current(&self, index: u64) {
        // SAFETY: as for `count`; only this vCPU writes here.
        unsafe { (&raw mut (*self.control).current).write_volatile(index) }
    }

    /// The operation at `index`, which is below [`count`](Self::count).
    pub(super) fn op(&self, index: u64) -> Op {
        // SAFETY: as for `count`, which bounds the index by the block's capacity.
        unsafe { self.ops.add(offset(index)).read_volatile() }
    }

    /// Sets the result at `index`, which is below [`count`](Self::count).
    pub(super) fn set_result(&self, index: u64, result: OpResult) {
        // SAFETY: as for `op`; only this vCPU writes here.
        unsafe { self.results.add(offset(index)).write_volatile(result) }
    }

    pub(super) fn set_announcement(&self, announcement: Announcement) {
        // SAFETY: as for `set_current`.
        unsafe { self.announcement.write_volatile(announcement) }
    }
}

fn pointer<T>(address: u64) -> *mut T {
    with_exposed_provenance_mut(offset(address))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "every payload is a 64-bit one"
)]
fn offset(value: u64) -> usize {
    value as usize
}
