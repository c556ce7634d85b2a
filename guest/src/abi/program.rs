//! A vCPU's program block: control words, announcement, operations, results.

use super::layout::{PROGRAM_STRIDE, PROGRAMS};
use super::op::{Op, OpResult};
use super::words::words;

/// Operations, the final [`END`](super::op::END) included, that a block has room for.
pub const CAPACITY: u64 = 512;

/// Offset of the [`Control`] words in a block.
pub const CONTROL: u64 = 0;
/// Offset of the [`Announcement`].
pub const ANNOUNCEMENT: u64 = 0x80;
/// Offset of the first [`Op`].
pub const OPS: u64 = 0x100;
/// Offset of the first [`OpResult`].
pub const RESULTS: u64 = 0x8000;

const _: () = assert!(OPS + CAPACITY * Op::SIZE as u64 <= RESULTS);
const _: () = assert!(RESULTS + CAPACITY * OpResult::SIZE as u64 <= PROGRAM_STRIDE);

/// Address of the program block of vCPU `index`.
pub const fn block(index: u64) -> u64 {
    PROGRAMS + index * PROGRAM_STRIDE
}

words! {
    /// The words at the head of a block. The machine writes the first two, the payload the rest.
    pub struct Control {
        /// Number of operations; the payload runs no more of them than this.
        count,
        /// How page-table entries are stored: one of the `PROTOCOL_*` constants.
        protocol,
        /// Index of the operation that is being carried out.
        current,
        /// Vector of the fault that nobody asked for, when the exit code says there was one.
        fatal_vector,
        /// Its error code.
        fatal_error,
        /// Its faulting address.
        fatal_address,
        /// Its instruction pointer.
        fatal_instruction,
    }
}

words! {
    /// A page-table change that the payload announces before and after it makes it.
    pub struct Announcement {
        /// Guest-physical address of the first byte that is stored.
        address,
        /// The bytes, low byte first.
        value,
        /// How many bytes, 1 to 8.
        width,
    }
}

/// Entries are stored with plain stores.
pub const PROTOCOL_STORE: u64 = 0;
/// Each store is announced on [`port::ANNOUNCE`](super::port::ANNOUNCE) before and after.
pub const PROTOCOL_ANNOUNCE: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_block_do_not_overlap() {
        assert!(CONTROL + Control::SIZE as u64 <= ANNOUNCEMENT);
        assert!(ANNOUNCEMENT + Announcement::SIZE as u64 <= OPS);
    }

    #[test]
    fn blocks_are_a_stride_apart() {
        assert_eq!(block(0), PROGRAMS);
        assert_eq!(block(3) - block(2), PROGRAM_STRIDE);
    }
}
