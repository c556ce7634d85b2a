//! The operations a payload can carry out. A scenario is a table of these, one table a vCPU, so
//! that a new scenario needs no new guest code. Operands are named `a`, `b`, `c` in [`Op`].

use super::words::words;

words! {
    /// One operation.
    pub struct Op {
        /// One of the constants of this module.
        code,
        /// First operand.
        a,
        /// Second operand.
        b,
        /// Third operand.
        c,
    }
}

words! {
    /// What became of the operation of the same index.
    pub struct OpResult {
        /// One of the `STATUS_*` constants.
        status,
        /// What was read, or what the operation's own description says.
        value,
        /// Faults that the operation met, the one that ended it included.
        faults,
        /// Upgrades that the fault handler made on its behalf.
        upgrades,
        /// Exception vector of the last fault.
        vector,
        /// Error code of the last fault.
        error,
        /// Faulting address (x86: CR2) of the last fault.
        address,
        /// Instruction pointer of the last fault.
        instruction,
    }
}

/// End of the program.
pub const END: u64 = 0;
/// Stores `c` (1 to 8) low bytes of `b` at guest-virtual address `a`, which lies in a page-table
/// page, by the block's page-table protocol. Widths of 1, 2, 4 and 8 are one store; others are the
/// fewest stores that don't overlap, low address first: 3 = 2+1, 5 = 4+1, 6 = 4+2, 7 = 4+2+1.
pub const SET_ENTRY: u64 = 1;
/// Invalidates this CPU's translation of guest-virtual address `a`.
pub const INVALIDATE: u64 = 2;
/// Loads `b` (1, 2, 4 or 8) bytes from guest-virtual address `a`; `value` is what was read.
pub const LOAD: u64 = 3;
/// Stores the `c` (1, 2, 4 or 8) low bytes of `b` at guest-virtual address `a`.
pub const STORE: u64 = 4;
/// Arms the fault handler: a write fault on a present page at `a` (page-aligned) makes it flip the
/// bits `c` (those in which the two entries differ, in any format) in the eight-byte entry at `b` by
/// the block's page-table protocol, invalidate the page, and try the store again. It answers the stores of [`STORE`] and [`FILL`], fires once, and a vCPU
/// can have 16 armed at a time; the oldest one for the page fires first.
pub const ON_WRITE_FAULT: u64 = 5;
/// Rings a device: stores the 32-bit value `b` at device register `a`.
pub const RING: u64 = 6;
/// Waits until the 64-bit word at `a` differs from `b`; `value` is what it became.
pub const WAIT_WHILE: u64 = 7;
/// Waits until the 64-bit word at `a` equals `b`.
pub const WAIT_UNTIL: u64 = 8;
/// Marks this point in the run's order of events with the 32-bit value `a`.
pub const REPORT: u64 = 9;
/// Writes `b` bytes (a multiple of 8) of the [`pattern`](super::pattern) with seed `c` from `a` on.
pub const FILL: u64 = 10;
/// Compares `b` bytes (a multiple of 8) from `a` on with the pattern with seed `c`; `value` is the
/// number of words that differ.
pub const CHECK: u64 = 11;

/// The SMMU's driver: writes the stream-table entry and the context descriptor of
/// [`smmu::STREAM`](super::smmu::STREAM) for the page table at `a`, ASID `b` and flags `c`
/// (`smmu::CD_*`). If the SMMU is off it then gives it its tables and queues, invalidates
/// everything, and turns it on; else it leaves it to the program to invalidate the configuration.
/// `value` is CR0ACK.
pub const SMMU_CONFIGURE: u64 = 12;
/// Puts the command with the words `a` and `b` into the SMMU's command queue, and tells the SMMU;
/// waits for room if there is none. `value` is [`CMDQ_OK`] or why the queue has stopped.
pub const SMMU_COMMAND: u64 = 13;
/// Invalidates the SMMU's translation of the page at `a` in ASID `b`, without waiting for
/// completion; as a command.
pub const SMMU_INVALIDATE_PAGE: u64 = 14;
/// The same for everything of ASID `a`.
pub const SMMU_INVALIDATE_ASID: u64 = 15;
/// CMD_SYNC, and waits until it is complete: until CMDQ_CONS is past it if `a` is 0, else until the
/// 32-bit value `b` has been written to the address `a`. `value` is as of a command.
pub const SMMU_SYNC: u64 = 16;
/// Reads the next event record into the 32 bytes at `a`; with `b` not 0 it waits for one. `value` is
/// its type, 0 for none.
pub const SMMU_EVENT: u64 = 17;
/// Invalidates the translation of guest-virtual address `a` on every vCPU whose bit is set in `b`,
/// and waits until each has. `value` is how many have, this one included: a vCPU that does not
/// exist or runs no more has not.
pub const SHOOT_DOWN: u64 = 18;

/// Runs the scenario in the [`litmus`](super::litmus) area on this vCPU, as many times as its control
/// words say; `value` is how many runs this vCPU made.
pub const LITMUS: u64 = 19;

/// A batch of what [`probe`](super::probe) lists under the number `a`; `b` and `c` are as it says.
pub const PROBE: u64 = 20;

/// Adds 1 to the 64-bit word at `a`, then to that one page further on, and so on for `b` pages (not
/// 0), again and again until the 64-bit word at `c` is not 0. Each addition is a load and a store.
/// `value` is how many there were.
pub const COUNT: u64 = 21;

/// The SMMU's command queue has not stopped; else the value is CMDQ_CONS.ERR, and 127 where that
/// says nothing.
pub const CMDQ_OK: u64 = 0;

/// Not reached.
pub const STATUS_NOT_RUN: u64 = 0;
/// Carried out.
pub const STATUS_DONE: u64 = 1;
/// Ended by a fault, which was recorded.
pub const STATUS_FAULT: u64 = 2;
/// Not an operation, or an operand it can't take.
pub const STATUS_BAD: u64 = 3;
