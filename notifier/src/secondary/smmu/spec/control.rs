//! The fields of registers that control, and of queue bases and MSIs (`IHI0070` 6.3).

use super::bits::Bits;
use super::registers::{CMDQEN, EVENTQEN, PRIQEN, SMMUEN};
use super::ring::Ring;
use crate::addr::Gpa;

bitflags::bitflags! {
    /// CR0: what is enabled.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Cr0: u32 {
        /// Transactions are translated.
        const SMMUEN = 1 << SMMUEN;
        /// Page requests are queued.
        const PRIQEN = 1 << PRIQEN;
        /// Events are queued.
        const EVENTQEN = 1 << EVENTQEN;
        /// Commands are consumed.
        const CMDQEN = 1 << CMDQEN;
        /// Translated transactions are checked against STE.EATS.
        const ATSCHK = 1 << 4;
    }
}

bitflags::bitflags! {
    /// GERROR: errors, each active while it differs from GERRORN.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct GlobalErrors: u32 {
        /// The command queue has stopped.
        const CMDQ_ERR = 1 << 0;
        /// An event could not be written.
        const EVENTQ_ABT_ERR = 1 << 2;
        /// A page request could not be written.
        const PRIQ_ABT_ERR = 1 << 3;
        /// A CMD_SYNC's MSI could not be written.
        const MSI_CMDQ_ABT_ERR = 1 << 4;
        /// The event queue's MSI could not be written.
        const MSI_EVENTQ_ABT_ERR = 1 << 5;
        /// The page request queue's MSI could not be written.
        const MSI_PRIQ_ABT_ERR = 1 << 6;
        /// The MSI of an error could not be written.
        const MSI_GERROR_ABT_ERR = 1 << 7;
        /// Service failure mode.
        const SFM_ERR = 1 << 8;
    }
}

bitflags::bitflags! {
    /// IRQ_CTRL.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InterruptEnables: u32 {
        /// Of errors.
        const GERROR = 1 << 0;
        /// Of the page request queue.
        const PRIQ = 1 << 1;
        /// Of the event queue.
        const EVENTQ = 1 << 2;
    }
}

/// GBPA: what transactions get while the SMMU is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalBypass(pub u32);

impl GlobalBypass {
    /// The bit that a write must have set, and that reads as set until it has taken effect.
    pub const UPDATE: u32 = 1 << 31;
    /// All fields.
    const FIELDS: u32 = 0x001f_3f1f;
    /// What comes out of reset: transactions pass, shareability as it comes in.
    pub const RESET: Self = Self(1 << 12);

    /// What a write with [`UPDATE`](Self::UPDATE) leaves.
    pub fn of(written: u32) -> Self {
        Self(written & Self::FIELDS)
    }

    /// Transactions are aborted, not passed.
    pub fn aborts(self) -> bool {
        self.0 & 1 << 20 != 0
    }
}

/// CMDQ_BASE, EVENTQ_BASE and PRIQ_BASE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueBase {
    /// The first entry, aligned to the queue's size, and to 32 bytes.
    pub address: Gpa,
    /// How many entries there are.
    pub ring: Ring,
}

const QUEUE_ADDRESS: Bits = Bits::new(51, 5);
const QUEUE_SIZE: Bits = Bits::new(4, 0);

impl QueueBase {
    /// From the register: a size over 2^`most` is cut to it, and the address is aligned, as hardware
    /// does. `entry` is the size of an entry in bytes.
    pub fn decode(register: u64, most: u8, entry: u64) -> Self {
        let ring = Ring::new(QUEUE_SIZE.u8(register).min(most));
        let bytes = u64::from(ring.entries()) * entry;
        let address = Gpa::new(register & QUEUE_ADDRESS.mask() & !(bytes - 1));
        Self { address, ring }
    }

    /// The register for a queue of 2^`bits` entries.
    pub fn encode(address: Gpa, bits: u8) -> u64 {
        address.raw() & QUEUE_ADDRESS.mask() | QUEUE_SIZE.put(u64::from(bits))
    }
}

/// The three registers of an MSI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsiConfig {
    /// IRQ_CFG0: where to write.
    pub address: u64,
    /// IRQ_CFG1: what to write.
    pub data: u32,
    /// IRQ_CFG2: how to write, which changes nothing here.
    pub attributes: u32,
}

impl MsiConfig {
    /// Where to write; `None` if no MSI is sent.
    pub fn target(&self) -> Option<Gpa> {
        let address = self.address & Bits::new(51, 2).mask();
        (address != 0).then_some(Gpa::new(address))
    }
}
