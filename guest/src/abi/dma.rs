//! The DMA engine: registers and descriptor.
//!
//! Eight channels, one 256-byte register block each, from [`layout::MMIO`](super::layout::MMIO) on.
//! A channel does one descriptor at a time: write the descriptor's guest-physical address to
//! `DESCRIPTOR`, then anything to `DOORBELL`, then watch the descriptor's `status` word.

use super::layout::{MAX_VCPUS, MMIO};
use super::words::words;

/// Channels, one for each vCPU.
pub const CHANNELS: u64 = MAX_VCPUS;
/// Bytes from one channel's registers to the next.
pub const CHANNEL_STRIDE: u64 = 0x100;
/// Bytes of register space.
pub const SIZE: u64 = CHANNELS * CHANNEL_STRIDE;

/// Read-only, 32 bits: [`ID_VALUE`].
pub const ID: u64 = 0x00;
/// Read-only, 32 bits: how the channel's last descriptor ended, one of the `STATUS_*` constants;
/// [`STATUS_PENDING`] once `DESCRIPTOR` is written anew.
pub const STATUS: u64 = 0x04;
/// Read-write, 64 bits (or two 32-bit halves): guest-physical address of the descriptor.
pub const DESCRIPTOR: u64 = 0x08;
/// Write-only, any width: start. Not emulated as a register: it is an ioeventfd.
pub const DOORBELL: u64 = 0x10;

/// `"SDMA"`, little-endian.
pub const ID_VALUE: u32 = u32::from_le_bytes(*b"SDMA");

/// Address of register `offset` of channel `channel`.
pub const fn register(channel: u64, offset: u64) -> u64 {
    MMIO + channel * CHANNEL_STRIDE + offset
}

words! {
    /// One transfer. The driver writes the first six words, a `status` of [`STATUS_PENDING`], and
    /// the last two; the device fills in the rest and writes all of it back, `status` last.
    pub struct Descriptor {
        /// [`READ`] or [`WRITE`].
        command,
        /// Which translation the device is behind: [`STREAM_SMMU`], [`STREAM_SHADOW`] or
        /// [`STREAM_DRIVEN`].
        stream,
        /// I/O-virtual address of the first byte, a multiple of 8.
        iova,
        /// Bytes, a multiple of 8, 8 to [`MAX_LENGTH`].
        length,
        /// Seed of the [`pattern`](super::pattern) that a write writes.
        seed,
        /// How often a faulted access is tried again before the device gives up; at most
        /// [`MAX_RETRIES`].
        retries,
        /// One of the `STATUS_*` constants.
        status,
        /// One of the `FAULT_*` constants, of the fault the device gave up on.
        fault,
        /// I/O-virtual address of that fault.
        fault_iova,
        /// Accesses that faulted.
        faults,
        /// Checksum of what a read read.
        checksum,
        /// Bytes transferred.
        transferred,
        /// Anything but 0: once the first access is translated the device waits, and makes it when
        /// the driver clears this word. Not behind the shadow MMU.
        hold,
        /// 0 from the driver; the device makes it 1 once the access that it holds is translated.
        begun,
    }
}

/// Offset of `status` in a [`Descriptor`].
pub const DESCRIPTOR_STATUS: u64 = 48;
/// Offset of `checksum` in a [`Descriptor`].
pub const DESCRIPTOR_CHECKSUM: u64 = 80;
/// Offset of `hold` in a [`Descriptor`].
pub const DESCRIPTOR_HOLD: u64 = 96;
/// Offset of `begun` in a [`Descriptor`].
pub const DESCRIPTOR_BEGUN: u64 = 104;

/// Device reads memory.
pub const READ: u64 = 1;
/// Device writes memory.
pub const WRITE: u64 = 2;

/// Behind the SMMU, sharing the guest's page tables.
pub const STREAM_SMMU: u64 = 0;
/// Behind page tables of its own, filled from the guest's (like KVM's or a GPU's).
pub const STREAM_SHADOW: u64 = 1;
/// Behind the same SMMU, as the stream that the guest configures by itself
/// ([`smmu::STREAM`](super::smmu::STREAM)).
pub const STREAM_DRIVEN: u64 = 2;

/// Largest transfer.
pub const MAX_LENGTH: u64 = 1 << 20;
/// Largest retry budget.
pub const MAX_RETRIES: u64 = 1024;
/// How long a stalled access waits for the guest's answer, in microseconds; then the device gives
/// up.
pub const MAX_STALL_US: u64 = 1_000_000;

/// Not finished.
pub const STATUS_PENDING: u64 = 0;
/// Everything was transferred.
pub const STATUS_DONE: u64 = 1;
/// The device gave up on a fault.
pub const STATUS_FAULTED: u64 = 2;
/// The descriptor makes no sense, or a valid translation led outside memory.
pub const STATUS_REFUSED: u64 = 3;

/// No fault.
pub const FAULT_NONE: u64 = 0;
/// Nothing is mapped there.
pub const FAULT_TRANSLATION: u64 = 1;
/// What is mapped there does not allow the access.
pub const FAULT_PERMISSION: u64 = 2;
/// The entry's accessed bit is clear and the SMMU does not set it.
pub const FAULT_ACCESS: u64 = 3;
/// An entry has a reserved bit set, or a table or its output lies outside memory.
pub const FAULT_ADDRESS: u64 = 4;
/// The stream is bound to no address space.
pub const FAULT_STREAM: u64 = 5;
/// The address was being invalidated for as long as the device tried.
pub const FAULT_INVALIDATING: u64 = 6;
/// What the stream table says of the stream can't be used.
pub const FAULT_CONFIGURATION: u64 = 7;
/// The stream's traffic is terminated.
pub const FAULT_ABORTED: u64 = 8;
/// The access was stalled for software, which ended it or did not answer.
pub const FAULT_STALLED: u64 = 9;

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn named_offsets_are_those_of_the_descriptor() {
        assert_eq!(DESCRIPTOR_STATUS, offset_of!(Descriptor, status) as u64);
        assert_eq!(DESCRIPTOR_CHECKSUM, offset_of!(Descriptor, checksum) as u64);
        assert_eq!(DESCRIPTOR_HOLD, offset_of!(Descriptor, hold) as u64);
        assert_eq!(DESCRIPTOR_BEGUN, offset_of!(Descriptor, begun) as u64);
    }

    #[test]
    fn registers_of_a_channel_stay_in_its_block() {
        for offset in [ID, STATUS, DESCRIPTOR, DOORBELL] {
            assert!(offset + 8 <= CHANNEL_STRIDE);
        }
        assert_eq!(register(1, STATUS) - register(0, STATUS), CHANNEL_STRIDE);
        assert_eq!(register(CHANNELS, ID), MMIO + SIZE);
    }
}
