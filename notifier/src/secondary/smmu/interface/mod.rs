//! The programming interface of an SMMU: its registers, and its queues in guest memory. What a
//! command does, and what a transaction gets, is a [`Core`]'s.
//!
//! Nothing here blocks or spawns a thread: whoever sees a register written calls
//! [`Interface::run`], again when a CMD_SYNC that was waiting can go on.

mod commands;
mod interrupts;
mod records;
mod registers;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use super::spec::{Abilities, Command, Cr0, GlobalBypass, Register, Signal, StreamTable, Width};
use crate::paging::SystemMemory;
use crate::sync::lock;

pub use commands::{CommandFailure, Progress};
pub use interrupts::{Interrupt, Interrupts};
pub use records::{AutoResponse, Recorded};
pub use registers::{Effect, Registers};

/// What carries out commands.
///
/// It is called without a lock of the interface that [`Interface::record`] and
/// [`Interface::page_request`] need, so it may record events meanwhile. It must not call
/// [`Interface::run`] or [`Interface::write`].
pub trait Core: Send + Sync {
    /// Takes a command other than CMD_SYNC, in the order of the queue. It need not be complete on
    /// return, but for CMD_RESUME and CMD_STALL_TERM (`IHI0070` 4.8).
    ///
    /// # Errors
    /// [`CommandError`] stops the queue at it.
    fn command(&self, command: Command) -> Result<(), CommandError>;

    /// Begins to complete every command that was taken so far. The ticket may be abandoned, if
    /// software turns the queue off before it is done.
    fn begin_sync(&self) -> SyncTicket;

    /// How far this one is. Called again for as long as it is pending.
    fn poll_sync(&self, ticket: SyncTicket) -> SyncState;

    /// Takes what the registers say from now on. CR0ACK and GBPA.Update tell software only after
    /// it returned.
    fn configure(&self, global: Global);
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It can't be: `CERROR_ILL`.
    #[error("the command is illegal")]
    Illegal,
    /// It needed memory that is not there: `CERROR_ABT`.
    #[error("the command was aborted by memory")]
    Abort,
}

/// Names a CMD_SYNC that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SyncTicket(pub u64);

/// How far a CMD_SYNC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// Something it waits for is not complete.
    Pending,
    /// All is complete and visible.
    Done,
    /// A device did not answer an ATC_INV in time: `CERROR_ATC_INV_SYNC`. The CMD_SYNC is not
    /// consumed, and begun again once software acknowledged.
    AtcTimeout,
}

/// What the registers say of the whole SMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global {
    /// What is enabled.
    pub enabled: Cr0,
    /// Where streams are configured.
    pub streams: StreamTable,
    /// What transactions get while SMMUEN is clear.
    pub bypass: GlobalBypass,
    /// CR2.RECINVSID: `C_BAD_STREAMID` is recorded.
    pub record_bad_streams: bool,
    /// CR2.E2H: streams of EL2 have ASIDs.
    pub e2h: bool,
    /// CR2.PTM: broadcast invalidations are ignored.
    pub private_tlb: bool,
}

/// An SMMU as its driver sees it.
///
/// Locks, each taken only while holding those before it or none: writes, the command queue, the
/// registers. A register is written under the first, a command carried out under the second.
pub struct Interface<C> {
    core: C,
    abilities: Abilities,
    memory: Arc<dyn SystemMemory>,
    interrupts: Arc<dyn Interrupts>,
    writes: Mutex<()>,
    consumer: Mutex<Option<PendingSync>>,
    registers: Mutex<Registers>,
}

/// A CMD_SYNC that was fetched and waits. It is not fetched again.
#[derive(Clone, Copy, Debug)]
struct PendingSync {
    slot: registers::Slot,
    ticket: SyncTicket,
    signal: Signal,
}

impl<C: Core> Interface<C> {
    /// An SMMU out of reset: all is off, and transactions pass.
    pub fn new(
        core: C,
        abilities: Abilities,
        memory: Arc<dyn SystemMemory>,
        interrupts: Arc<dyn Interrupts>,
    ) -> Self {
        Self {
            core,
            abilities,
            memory,
            interrupts,
            writes: Mutex::default(),
            consumer: Mutex::default(),
            registers: Mutex::new(Registers::new(abilities)),
        }
    }

    /// What carries out the commands.
    pub fn core(&self) -> &C {
        &self.core
    }

    /// What it can do.
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// Reads a register; see [`Registers::read`].
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        lock(&self.registers).read(offset, width)
    }

    /// Writes a register; see [`Registers::write`]. The core is configured on return. A write of CR0
    /// waits for the one command that is being carried out, which is the last if it turns the
    /// command queue off.
    ///
    /// On [`Effect::Commands`] call [`run`](Self::run), here or on another thread.
    pub fn write(&self, offset: u64, width: Width, value: u64) -> Vec<Effect> {
        let _one_at_a_time = lock(&self.writes);
        // CMDQEN is not cleared under a command: it would be carried out and not consumed.
        let is_cr0 = offset == Register::Cr0.offset();
        let consumer = is_cr0.then(|| lock(&self.consumer));
        let mut registers = lock(&self.registers);
        let effects = registers.write(offset, width, value);
        let global = registers.global();
        drop(registers);
        if let Some(mut pending) = consumer
            && effects.contains(&Effect::CommandsDisabled)
        {
            *pending = None;
        }
        if effects.contains(&Effect::Configure) {
            self.core.configure(global);
        }
        lock(&self.registers).settle();
        effects
    }
}
