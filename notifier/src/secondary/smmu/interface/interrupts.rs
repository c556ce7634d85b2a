//! Interrupts: by wire, or by a write to memory (`IHI0070` 3.18).

use super::super::spec::{GlobalErrors, InterruptEnables, MsiConfig, Signal};
use super::{Core, Interface};
use crate::addr::Gpa;
use crate::paging::NoMemory;
use crate::sync::lock;

/// Which interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interrupt {
    /// The event queue is no longer empty.
    Events,
    /// The page request queue is no longer empty, or a group is complete.
    PageRequests,
    /// An error became active in GERROR.
    GlobalError,
    /// A CMD_SYNC is complete.
    Sync,
}

/// Where interrupts go.
pub trait Interrupts: Send + Sync {
    /// An edge on the wire of this interrupt.
    fn raise(&self, interrupt: Interrupt);

    /// An MSI to an address at which there is no memory, but perhaps an interrupt controller.
    ///
    /// # Errors
    /// [`NoMemory`] if nothing is there.
    fn message(&self, address: Gpa, data: u32) -> Result<(), NoMemory> {
        let _ = data;
        Err(NoMemory(address))
    }

    /// Wakes CPUs that wait in WFE.
    fn wake(&self);
}

impl Interrupt {
    fn enable(self) -> Option<InterruptEnables> {
        match self {
            Self::Events => Some(InterruptEnables::EVENTQ),
            Self::PageRequests => Some(InterruptEnables::PRIQ),
            Self::GlobalError => Some(InterruptEnables::GERROR),
            // By what the command says alone.
            Self::Sync => None,
        }
    }

    /// The error of an MSI that could not be written.
    fn aborted(self) -> GlobalErrors {
        match self {
            Self::Events => GlobalErrors::MSI_EVENTQ_ABT_ERR,
            Self::PageRequests => GlobalErrors::MSI_PRIQ_ABT_ERR,
            Self::GlobalError => GlobalErrors::MSI_GERROR_ABT_ERR,
            Self::Sync => GlobalErrors::MSI_CMDQ_ABT_ERR,
        }
    }
}

impl<C: Core> Interface<C> {
    /// Interrupts, if it is enabled: by MSI if there is an address, else by wire.
    pub(super) fn interrupt(&self, interrupt: Interrupt) {
        let registers = lock(&self.registers);
        let enabled = interrupt.enable();
        if enabled.is_some_and(|enable| !registers.interrupts().contains(enable)) {
            return;
        }
        let msi: MsiConfig = match interrupt {
            Interrupt::Events => registers.events.msi,
            Interrupt::PageRequests => registers.pages.msi,
            Interrupt::GlobalError => registers.error_msi,
            // Its MSI is in the command.
            Interrupt::Sync => MsiConfig::default(),
        };
        drop(registers);
        match msi.target() {
            Some(address) => self.message(interrupt, address, msi.data),
            None => self.interrupts.raise(interrupt),
        }
    }

    /// Signals a CMD_SYNC. All of it is visible on return.
    pub(super) fn signal(&self, signal: Signal) {
        match signal {
            Signal::None => {}
            Signal::Sev if self.abilities.sev => self.interrupts.wake(),
            Signal::Sev => {}
            Signal::Irq(msi) => {
                if let Some(address) = msi.address.filter(|_| self.abilities.msi) {
                    self.message(Interrupt::Sync, address, msi.data);
                }
                self.interrupt(Interrupt::Sync);
            }
        }
    }

    /// An MSI that can't be written is an error, whose own MSI that can't be written is one too; no
    /// third follows.
    fn message(&self, interrupt: Interrupt, address: Gpa, data: u32) {
        let address = Gpa::new(address.raw() & ((1 << self.abilities.output.bits()) - 1));
        let written = self
            .memory
            .write_u32(address, data)
            .or_else(|NoMemory(address)| self.interrupts.message(address, data));
        if written.is_err() {
            self.raise(interrupt.aborted());
        }
    }

    /// Activates an error and interrupts, unless it is active.
    pub(super) fn raise(&self, error: GlobalErrors) {
        let fresh = lock(&self.registers).raise(error);
        if fresh {
            self.interrupt(Interrupt::GlobalError);
        }
    }
}
