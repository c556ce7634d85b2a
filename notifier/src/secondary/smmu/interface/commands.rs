//! The command queue (`IHI0070` 4.1.2 to 4.1.4, 7.1).

use super::super::spec::{Command, Signal};
use super::registers::Slot;
use super::{CommandError, Core, Interface, Interrupt, PendingSync, SyncState, SyncTicket};
use crate::addr::Gpa;
use crate::paging::NoMemory;
use crate::sync::lock;

/// Why the command queue stopped (CMDQ_CONS.ERR). It goes on once software acknowledged GERROR's
/// CMDQ_ERR, at the command that stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandFailure {
    /// `CERROR_ILL`.
    Illegal,
    /// `CERROR_ABT`: the command could not be read, or what it needed.
    Abort,
    /// `CERROR_ATC_INV_SYNC`: a device did not answer an ATC_INV before this CMD_SYNC.
    AtcInvSync,
}

impl CommandFailure {
    /// The field: 1 to 3.
    pub fn code(self) -> u32 {
        match self {
            Self::Illegal => 1,
            Self::Abort => 2,
            Self::AtcInvSync => 3,
        }
    }
}

impl From<CommandError> for CommandFailure {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Illegal => Self::Illegal,
            CommandError::Abort => Self::Abort,
        }
    }
}

/// Where [`Interface::run`] came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The queue is empty or off, or has stopped before.
    Idle,
    /// At a CMD_SYNC that is pending: run again later.
    Syncing,
    /// It stopped now.
    Stopped(CommandFailure),
    /// After as many commands as are consumed in a row: run again.
    More,
}

/// Commands that are consumed in a row, unless the queue has fewer entries: whoever wrote the register
/// is not to wait for all of the 2^19 that there may be.
const IN_A_ROW: u32 = 1024;

/// What came of one command.
enum Step {
    Consumed,
    End(Progress),
}

impl<C: Core> Interface<C> {
    /// Consumes commands: until there are none, one fails, a CMD_SYNC is pending, or as many were
    /// consumed as the queue has entries, or 1,024. It never waits for one, so whoever else runs it too gets a
    /// turn after each.
    pub fn run(&self) -> Progress {
        let entries = lock(&self.registers).command_queue().ring.entries();
        let most = entries.min(IN_A_ROW);
        for _ in 0..most {
            match self.step() {
                Step::Consumed => {}
                Step::End(progress) => return progress,
            }
        }
        let more = lock(&self.registers).next_command().is_some();
        if more { Progress::More } else { Progress::Idle }
    }

    fn step(&self) -> Step {
        let mut pending = lock(&self.consumer);
        let Some(slot) = lock(&self.registers).next_command() else {
            return Step::End(Progress::Idle);
        };
        let done = match *pending {
            Some(sync) if sync.slot == slot => self.poll(sync.ticket, sync.signal),
            _ => self.begin(slot, &mut pending),
        };
        match done {
            Ok(SyncState::Pending) => return Step::End(Progress::Syncing),
            Ok(_) => {}
            Err(failure) => {
                *pending = None;
                return self.stop(failure);
            }
        }
        *pending = None;
        let was_full = lock(&self.registers).consume(slot);
        if was_full && self.abilities.sev {
            // Software that waits for room may do so in WFE (`IHI0070` 4.1.2).
            self.interrupts.wake();
        }
        Step::Consumed
    }

    /// Fetches the command and carries it out.
    fn begin(
        &self,
        slot: Slot,
        pending: &mut Option<PendingSync>,
    ) -> Result<SyncState, CommandFailure> {
        let words = self
            .fetch(slot.address)
            .map_err(|_| CommandFailure::Abort)?;
        let command = Command::decode(words)
            .and_then(|command| self.abilities.accept(command))
            .map_err(|_| CommandFailure::Illegal)?;
        let Command::Sync(signal) = command else {
            self.core.command(command)?;
            return Ok(SyncState::Done);
        };
        let ticket = self.core.begin_sync();
        *pending = Some(PendingSync {
            slot,
            ticket,
            signal,
        });
        self.poll(ticket, signal)
    }

    fn fetch(&self, address: Gpa) -> Result<[u64; 2], NoMemory> {
        let second = Gpa::new(address.raw() + 8);
        Ok([
            self.memory.read_entry(address)?,
            self.memory.read_entry(second)?,
        ])
    }

    /// The signal of a CMD_SYNC is visible before it is consumed.
    fn poll(&self, ticket: SyncTicket, signal: Signal) -> Result<SyncState, CommandFailure> {
        let state = self.core.poll_sync(ticket);
        match state {
            SyncState::Pending => {}
            SyncState::Done => self.signal(signal),
            SyncState::AtcTimeout => return Err(CommandFailure::AtcInvSync),
        }
        Ok(state)
    }

    fn stop(&self, failure: CommandFailure) -> Step {
        lock(&self.registers).stop(failure);
        self.interrupt(Interrupt::GlobalError);
        Step::End(Progress::Stopped(failure))
    }
}
