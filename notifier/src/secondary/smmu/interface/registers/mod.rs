//! The register file: what software reads and writes, without a queue's contents.

mod access;

use super::super::spec::{
    Abilities, Access, Bit, Cons, Cr0, GlobalBypass, GlobalErrors, InterruptEnables, MsiConfig,
    OutputCons, OutputProd, Part, Prod, QueueBase, Register, StreamTable, Width,
};
use super::Global;
use super::commands::CommandFailure;
use crate::addr::Gpa;

/// What a write to a register brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something in [`Global`] changed: CR0, CR2, GBPA or the stream table.
    Configure,
    /// There may be commands to consume.
    Commands,
    /// The command queue was turned off.
    CommandsDisabled,
    /// Interrupts were enabled or disabled.
    Interrupts(InterruptEnables),
    /// Software acknowledged these errors.
    Acknowledged(GlobalErrors),
    /// Software read events, or turned their queue on: those that wait may be written.
    Events,
    /// Software read page requests, or turned their queue on.
    PageRequests,
}

/// A queue that the SMMU produces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    base: u64,
    pub(super) prod: OutputProd,
    pub(super) cons: OutputCons,
    pub(super) msi: MsiConfig,
}

/// Where the next command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    cons: Cons,
    pub(super) address: Gpa,
}

/// The registers' values.
///
/// Where the specification leaves a choice: a write to a guarded register while it is guarded is
/// ignored, as from revision 3.2 on it must be; likewise a GBPA write without Update. A 64-bit
/// access is two of 32 bits, the lower first. Accesses that are not aligned, and all to what is no
/// register, read as zero and are ignored.
#[derive(Clone, Debug)]
pub struct Registers {
    abilities: Abilities,
    cr0: Cr0,
    cr0_ack: Cr0,
    cr1: u32,
    cr2: u32,
    bypass: GlobalBypass,
    bypass_update: bool,
    interrupts: InterruptEnables,
    interrupts_ack: InterruptEnables,
    errors: GlobalErrors,
    acknowledged: GlobalErrors,
    pub(super) error_msi: MsiConfig,
    streams_base: u64,
    streams_config: u32,
    commands_base: u64,
    commands_prod: Prod,
    commands_cons: Cons,
    commands_error: u32,
    pub(super) events: Output,
    pub(super) pages: Output,
}

const E2H: u32 = 1 << 0;
const RECINVSID: u32 = 1 << 1;
const PTM: u32 = 1 << 2;
/// CR1: how queues, and how tables are accessed.
const QUEUE_ATTRIBUTES: u32 = 0x3f;
const TABLE_ATTRIBUTES: u32 = 0xfc0;
/// CMDQ_CONS.ERR.
const ERROR: u32 = 0x7f << 24;
/// RA or WA, and the address, of a base register.
const BASE: u64 = 1 << 62 | 0x000f_ffff_ffff_ffff;
const STREAMS_BASE: u64 = 1 << 62 | 0x000f_ffff_ffff_ffc0;
const STREAMS_CONFIG: u32 = 0x3_07ff;
const MSI_ADDRESS: u64 = 0x000f_ffff_ffff_fffc;
const MSI_ATTRIBUTES: u32 = 0x3f;
/// PRIQ_IRQ_CFG2.LO: interrupt on the last request of a group, not on the first in the queue.
pub(super) const LAST_ONLY: u32 = 1 << 31;

impl Registers {
    /// Out of reset.
    pub fn new(abilities: Abilities) -> Self {
        Self {
            abilities,
            cr0: Cr0::empty(),
            cr0_ack: Cr0::empty(),
            cr1: 0,
            cr2: 0,
            bypass: GlobalBypass::RESET,
            bypass_update: false,
            interrupts: InterruptEnables::empty(),
            interrupts_ack: InterruptEnables::empty(),
            errors: GlobalErrors::empty(),
            acknowledged: GlobalErrors::empty(),
            error_msi: MsiConfig::default(),
            streams_base: 0,
            streams_config: 0,
            commands_base: 0,
            commands_prod: Prod::default(),
            commands_cons: Cons::default(),
            commands_error: 0,
            events: Output::default(),
            pages: Output::default(),
        }
    }

    /// What software reads at `offset`, in bytes from the start of the frame.
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        if !offset.is_multiple_of(width.bytes()) {
            return 0;
        }
        match width {
            Width::Word => u64::from(self.read_word(offset)),
            Width::Double => {
                let high = u64::from(self.read_word(offset.wrapping_add(4)));
                high << 32 | u64::from(self.read_word(offset))
            }
        }
    }

    /// Software writes `value` at `offset`; bits above `width` count for nothing. CR0ACK,
    /// IRQ_CTRLACK and GBPA.Update follow with [`settle`](Self::settle).
    pub fn write(&mut self, offset: u64, width: Width, value: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !offset.is_multiple_of(width.bytes()) {
            return effects;
        }
        self.write_word(offset, low(value), &mut effects);
        if width == Width::Double {
            self.write_word(offset.wrapping_add(4), low(value >> 32), &mut effects);
        }
        effects
    }

    /// What was written has taken effect.
    pub fn settle(&mut self) {
        self.cr0_ack = self.cr0;
        self.interrupts_ack = self.interrupts;
        self.bypass_update = false;
    }

    /// What they say of the whole SMMU.
    pub fn global(&self) -> Global {
        let stream_bits = self.abilities.stream_bits;
        Global {
            enabled: self.cr0,
            streams: StreamTable::decode(self.streams_base, self.streams_config, stream_bits),
            bypass: self.bypass,
            record_bad_streams: self.cr2 & RECINVSID != 0,
            e2h: self.cr2 & E2H != 0,
            private_tlb: self.cr2 & PTM != 0,
        }
    }

    /// The errors that software has not acknowledged.
    pub fn active_errors(&self) -> GlobalErrors {
        self.errors ^ self.acknowledged
    }

    /// The interrupts that are enabled.
    pub fn interrupts(&self) -> InterruptEnables {
        self.interrupts
    }

    /// PRIQEN counts only with SMMUEN.
    pub(super) fn takes_page_requests(&self) -> bool {
        self.cr0.contains(Cr0::PRIQEN | Cr0::SMMUEN)
    }

    pub(super) fn takes_events(&self) -> bool {
        self.cr0.contains(Cr0::EVENTQEN)
    }

    pub(super) fn event_queue(&self) -> QueueBase {
        QueueBase::decode(self.events.base, self.abilities.event_queue, 32)
    }

    pub(super) fn page_queue(&self) -> QueueBase {
        QueueBase::decode(self.pages.base, self.abilities.page_queue, 16)
    }

    pub(super) fn command_queue(&self) -> QueueBase {
        QueueBase::decode(self.commands_base, self.abilities.command_queue, 16)
    }

    /// Activates an error; false if it is active already.
    pub(super) fn raise(&mut self, error: GlobalErrors) -> bool {
        let fresh = error & !self.active_errors();
        self.errors ^= fresh;
        !fresh.is_empty()
    }

    /// Where the next command is, if any may be consumed.
    pub(super) fn next_command(&self) -> Option<Slot> {
        let queue = self.command_queue();
        let cons = self.commands_cons;
        let stopped = self.active_errors().contains(GlobalErrors::CMDQ_ERR);
        let empty = queue.ring.is_empty(self.commands_prod, cons);
        if stopped || empty || !self.cr0.contains(Cr0::CMDQEN) {
            return None;
        }
        let offset = 16 * u64::from(queue.ring.read_index(cons));
        Some(Slot {
            cons,
            // Within 52 bits and 2^23 bytes of it.
            address: Gpa::new(queue.address.raw() + offset),
        })
    }

    /// The command there is consumed. True if the queue was full.
    pub(super) fn consume(&mut self, slot: Slot) -> bool {
        let ring = self.command_queue().ring;
        self.commands_cons = ring.consumed(slot.cons);
        ring.is_full(self.commands_prod, slot.cons)
    }

    /// The next command is why the queue stops.
    pub(super) fn stop(&mut self, why: CommandFailure) {
        self.commands_error = why.code() << 24;
        self.raise(GlobalErrors::CMDQ_ERR);
    }
}

fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}
