//! The SMMU on the bus: its register frame, for the guest's own driver. What registers and queues mean
//! is [`Front`]'s.

mod memory;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use notifier::secondary::smmu::interface::{Interrupt, Interrupts, Progress};
use notifier::secondary::smmu::spec::Width;
use notifier::secondary::smmu::{Front, Smmu};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::bus::{BusDevice, Flow, written};
use crate::memory::Ram;
use crate::vcpu::VcpuIndex;
use memory::QueueMemory;

/// The register frame. Registers are 32 or 64 bits wide; any other access reads as zero and is
/// ignored.
pub(crate) struct Frame {
    front: Front,
    /// Rings when something was written, after which there may be something that has to wait.
    bell: EventFd,
}

/// Devices have no interrupt controller: the driver looks at its queues, or at the word that an
/// MSI is to write, which is memory's.
struct NoController;

impl Interrupts for NoController {
    fn raise(&self, interrupt: Interrupt) {
        log::trace!("the SMMU raises {interrupt:?}, and nothing is connected");
    }

    fn wake(&self) {}
}

impl Frame {
    /// The frame of `smmu`, out of reset.
    ///
    /// # Errors
    /// If the host gives no event descriptor.
    pub(crate) fn new(smmu: Arc<Smmu>, ram: Ram) -> io::Result<Self> {
        let memory = Arc::new(QueueMemory::new(ram));
        Ok(Self {
            front: Front::new(smmu, memory, Arc::new(NoController)),
            bell: EventFd::new(EFD_NONBLOCK)?,
        })
    }

    /// What rings when a register was written.
    pub(crate) fn bell(&self) -> &EventFd {
        &self.bell
    }

    /// Goes on with what waited, and says whether anything still does.
    pub(crate) fn go_on(&self) -> bool {
        matches!(self.front.poke(), Progress::Syncing | Progress::More)
    }
}

fn width(length: usize) -> Option<Width> {
    match length {
        4 => Some(Width::Word),
        8 => Some(Width::Double),
        _ => None,
    }
}

impl BusDevice for Frame {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        let value = width(data.len()).map_or(0, |width| self.front.read(offset, width));
        for (place, byte) in data.iter_mut().zip(value.to_le_bytes()) {
            *place = byte;
        }
        Flow::Continue(())
    }

    fn write(&self, _: VcpuIndex, offset: u64, data: &[u8]) -> Flow {
        if let Some(width) = width(data.len()) {
            self.front.write(offset, width, written(data));
            if let Err(error) = self.bell.write(1) {
                log::debug!("the SMMU's bell is ringing already: {error}");
            }
        }
        Flow::Continue(())
    }
}
