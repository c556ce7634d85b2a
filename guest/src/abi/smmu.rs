//! The SMMU as the guest's own driver sees it (Arm `IHI0070`): its register frame, where the driver
//! has its structures, and the words of what it writes. Section numbers are the specification's.

use super::layout::{SMMU_FRAME, SMMU_TABLES};

/// The StreamID of the device behind [`dma::STREAM_DRIVEN`](super::dma::STREAM_DRIVEN).
pub const STREAM: u32 = 1;
/// The ASID by which the machine knows the guest's address space: the one that CPUs broadcast.
pub const ASID: u64 = 1;

/// Bytes of the register frame: two pages of 64 KiB (6.1).
pub const FRAME_SIZE: u64 = 0x2_0000;

/// Address of the register at `offset`, one of the constants below.
pub const fn register(offset: u64) -> u64 {
    SMMU_FRAME + offset
}

/// What is enabled: `CR0_*`.
pub const CR0: u64 = 0x20;
/// The same, as far as it has taken effect.
pub const CR0ACK: u64 = 0x24;
/// More control; [`CR2_RECINVSID`].
pub const CR2: u64 = 0x2c;
/// Errors, each active if it differs from [`GERRORN`].
pub const GERROR: u64 = 0x60;
/// Errors as software knows them.
pub const GERRORN: u64 = 0x64;
/// 64 bits: the stream table.
pub const STRTAB_BASE: u64 = 0x80;
/// Its size.
pub const STRTAB_BASE_CFG: u64 = 0x88;
/// 64 bits: the command queue.
pub const CMDQ_BASE: u64 = 0x90;
/// Where the driver is in it.
pub const CMDQ_PROD: u64 = 0x98;
/// Where the SMMU is in it, and why it stopped.
pub const CMDQ_CONS: u64 = 0x9c;
/// 64 bits: the event queue.
pub const EVENTQ_BASE: u64 = 0xa0;
/// Page 1: where the SMMU is in it.
pub const EVENTQ_PROD: u64 = 0x1_00a8;
/// Page 1: where the driver is in it.
pub const EVENTQ_CONS: u64 = 0x1_00ac;

/// CR0.SMMUEN: translation.
pub const CR0_SMMUEN: u64 = 1 << 0;
/// CR0.EVENTQEN: the event queue.
pub const CR0_EVENTQEN: u64 = 1 << 2;
/// CR0.CMDQEN: the command queue.
pub const CR0_CMDQEN: u64 = 1 << 3;
/// CR2.RECINVSID: `C_BAD_STREAMID` is recorded.
pub const CR2_RECINVSID: u64 = 1 << 1;
/// GERROR.CMDQ_ERR: the command queue has stopped.
pub const GERROR_CMDQ: u64 = 1 << 0;
/// CMDQ_CONS.ERR, as a shift; 7 bits.
pub const CMDQ_ERROR: u64 = 24;
/// An output queue's overflow bit, and the driver's acknowledgement of it.
pub const OVERFLOW: u64 = 1 << 31;

/// Base-two logarithm of the number of streams in the driver's stream table.
pub const STREAM_BITS: u64 = 2;
/// Base-two logarithm of the number of entries of either queue.
pub const QUEUE_BITS: u64 = 5;
/// Bytes of a stream-table entry and of a context descriptor.
pub const STRUCTURE: u64 = 64;
/// Bytes of a command.
pub const COMMAND: u64 = 16;
/// Bytes of an event record.
pub const EVENT: u64 = 32;

/// The driver's stream table.
pub const STREAMS: u64 = SMMU_TABLES;
/// Its context descriptor.
pub const CONTEXT: u64 = SMMU_TABLES + 0x1000;
/// Its command queue.
pub const COMMANDS: u64 = SMMU_TABLES + 0x2000;
/// Its event queue.
pub const EVENTS: u64 = SMMU_TABLES + 0x3000;
/// A 32-bit word for the MSI of a CMD_SYNC.
pub const MESSAGE: u64 = SMMU_TABLES + 0x4000;

/// The entry of [`STREAM`] in the driver's stream table.
pub const STREAM_ENTRY: u64 = STREAMS + STRUCTURE * STREAM as u64;

/// CD.R: faults are recorded.
pub const CD_RECORD: u64 = 1 << 45;
/// CD.S: faults stall.
pub const CD_STALL: u64 = 1 << 44;
/// CD.HA: hardware sets the accessed bit.
pub const CD_ACCESS: u64 = 1 << 43;
/// CD.HD: hardware sets the dirty bit.
pub const CD_DIRTY: u64 = 1 << 42;

/// The first word of a stream-table entry for stage 1, with one context descriptor at
/// [`CONTEXT`] (5.2: V, Config = stage 1). The others are zero, but for SHCFG in the second:
/// [`STREAM_ENTRY_SECOND`].
pub const STREAM_ENTRY_FIRST: u64 = 1 | 5 << 1 | CONTEXT;
/// SHCFG: attributes as they come in.
pub const STREAM_ENTRY_SECOND: u64 = 1 << 44;

/// The first word of a context descriptor (5.4): valid, of AArch64's kind, 48 bits in and out, no
/// upper half, with `flags` of `CD_*`. The second is the root of the page table; the others are zero.
///
/// The tables are in the processor's own format whatever this says.
pub const fn context(asid: u64, flags: u64) -> u64 {
    const T0SZ: u64 = 16;
    const EPD1: u64 = 1 << 30;
    const VALID: u64 = 1 << 31;
    const IPS: u64 = 5 << 32;
    const AA64: u64 = 1 << 41;
    T0SZ | EPD1 | VALID | IPS | AA64 | flags | asid << 48
}

/// CMD_TLBI_NH_VA: a page in one ASID, all levels (4.4.1.2).
pub const fn tlbi_va(address: u64, asid: u64) -> [u64; 2] {
    [0x12 | asid << 48, address & !0xfff]
}

/// CMD_TLBI_NH_ASID: everything of one ASID.
pub const fn tlbi_asid(asid: u64) -> [u64; 2] {
    [0x11 | asid << 48, 0]
}

/// CMD_TLBI_NSNH_ALL: everything.
pub const TLBI_ALL: [u64; 2] = [0x30, 0];

/// CMD_CFGI_ALL: every configuration (4.3.3).
pub const CFGI_ALL: [u64; 2] = [0x04, 31];

/// CMD_CFGI_CD: the context descriptor of [`STREAM`] (4.3.4).
pub const CFGI_CD: [u64; 2] = [0x05 | (STREAM as u64) << 32, 1];

/// CMD_SYNC without a signal (4.7.3).
pub const SYNC: [u64; 2] = [0x46, 0];

/// CMD_SYNC that writes `data` to the 32-bit word at `address` when it is complete.
pub const fn sync_message(address: u64, data: u32) -> [u64; 2] {
    [0x46 | 1 << 12 | (data as u64) << 32, address]
}

/// What becomes of a stalled access (4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It reads zero, or its write is lost.
    Terminate,
    /// It is tried again.
    Retry,
    /// It is aborted.
    Abort,
}

/// CMD_RESUME of the stalled access of [`STREAM`] with this STAG.
pub const fn resume(stag: u64, answer: Answer) -> [u64; 2] {
    let action = match answer {
        Answer::Terminate => 0,
        Answer::Retry => 1 << 12,
        Answer::Abort => 1 << 13,
    };
    [0x44 | action | (STREAM as u64) << 32, stag & 0xffff]
}

/// CMD_STALL_TERM: every stalled access of [`STREAM`] is aborted.
pub const STALL_TERM: [u64; 2] = [0x45 | (STREAM as u64) << 32, 0];

/// The type of an event, from the first word of its record (7.3).
pub const fn event_type(first: u64) -> u64 {
    first & 0xff
}

/// The STAG of a stalled access, from the second word of its record.
pub const fn event_stag(second: u64) -> u64 {
    second & 0xffff
}

/// Event types.
pub mod event {
    /// `C_BAD_STREAMID`.
    pub const BAD_STREAM: u64 = 0x02;
    /// `F_STE_FETCH`.
    pub const STE_FETCH: u64 = 0x03;
    /// `C_BAD_STE`.
    pub const BAD_STE: u64 = 0x04;
    /// `F_CD_FETCH`.
    pub const CD_FETCH: u64 = 0x09;
    /// `C_BAD_CD`.
    pub const BAD_CD: u64 = 0x0a;
    /// `F_WALK_EABT`.
    pub const WALK_ABORT: u64 = 0x0b;
    /// `F_TRANSLATION`.
    pub const TRANSLATION: u64 = 0x10;
    /// `F_PERMISSION`.
    pub const PERMISSION: u64 = 0x13;
}

/// Why the command queue stopped (7.1).
pub mod error {
    /// `CERROR_ILL`.
    pub const ILLEGAL: u64 = 1;
    /// `CERROR_ABT`.
    pub const ABORT: u64 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::layout::SMMU_TABLES_END;

    #[test]
    fn the_drivers_structures_do_not_overlap() {
        let ends = [
            (STREAMS, STRUCTURE << STREAM_BITS),
            (CONTEXT, STRUCTURE),
            (COMMANDS, COMMAND << QUEUE_BITS),
            (EVENTS, EVENT << QUEUE_BITS),
            (MESSAGE, 4),
            (SMMU_TABLES_END, 0),
        ];
        for pair in ends.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0);
        }
    }

    #[test]
    fn structures_are_aligned_to_their_size() {
        for (at, bytes) in [
            (STREAMS, STRUCTURE << STREAM_BITS),
            (CONTEXT, STRUCTURE),
            (COMMANDS, COMMAND << QUEUE_BITS),
            (EVENTS, EVENT << QUEUE_BITS),
        ] {
            assert!(at.is_multiple_of(bytes));
        }
    }
}
