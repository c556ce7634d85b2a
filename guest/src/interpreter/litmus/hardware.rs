//! Operations of real hardware: accesses through a page, invalidations, DMA.

use core::mem::offset_of;
use core::sync::atomic::Ordering::Acquire;

use super::area;
use super::processor::{Instruction, Processor};
use super::{Break, Flow};
use crate::abi::dma::{self, Descriptor};
use crate::abi::layout::{DESCRIPTORS, PAGE};
use crate::abi::litmus::{DMA, INCREMENT, INVALIDATE, LOAD, NOTIFY, SHOOT_DOWN, STORE};
use crate::abi::port;
use crate::rt::{Fault, VcpuSet, Width, arch, shoot_down};

/// Where in a page [`STORE`] stores.
const STORE_OFFSET: u64 = 8;
/// Where the device reads and writes.
const DMA_OFFSET: u64 = 16;
/// How much.
const DMA_LENGTH: u64 = 8;

impl Processor<'_> {
    pub(super) fn hardware(&mut self, instruction: Instruction) -> Flow {
        let Instruction {
            operation, a, b, ..
        } = instruction;
        let page = self.page(a)?;
        match operation {
            LOAD => self.got_through(self.memory.load(page, Width::Eight)),
            STORE => {
                let at = page.wrapping_add(STORE_OFFSET);
                self.got_through(self.memory.store(at, self.run.number, Width::Eight))
            }
            INCREMENT => self.got_through(self.memory.increment(page)),
            INVALIDATE => {
                arch::invalidate(page);
                Ok(())
            }
            SHOOT_DOWN => {
                shoot_down(VcpuSet::of_bits(b), page);
                Ok(())
            }
            NOTIFY => notify(a, b),
            DMA => self.transfer(page, b),
            _ => Err(Break::Bad),
        }
    }

    /// Guest-virtual address of a page.
    fn page(&self, number: u64) -> Flow<u64> {
        let control = &self.setup.control;
        if number >= control.pages {
            return Err(Break::Bad);
        }
        Ok(control.window.wrapping_add(PAGE * number))
    }

    fn got_through<T>(&mut self, access: Result<T, Fault>) -> Flow {
        self.push(i64::from(access.is_ok()))
    }

    /// Has the device on this vCPU's channel make an access, and waits for its end.
    fn transfer(&mut self, page: u64, writes: u64) -> Flow {
        let command = match writes {
            0 => dma::READ,
            1 => dma::WRITE,
            _ => return Err(Break::Bad),
        };
        let descriptor = DESCRIPTORS + PAGE * self.vcpu;
        let wanted = Descriptor {
            command,
            stream: dma::STREAM_SMMU,
            iova: page.wrapping_add(DMA_OFFSET),
            length: DMA_LENGTH,
            seed: self.run.number,
            ..Descriptor::default()
        };
        area::write_descriptor(descriptor, wanted);
        self.ring(descriptor)?;
        let status = area::word(descriptor + offset_of!(Descriptor, status) as u64);
        loop {
            match status.load(Acquire) {
                dma::STATUS_PENDING => self.wait_unless_stopped()?,
                status => return self.push(i64::from(status == dma::STATUS_DONE)),
            }
        }
    }

    /// Starts the descriptor on this vCPU's channel.
    fn ring(&self, descriptor: u64) -> Flow {
        let at = dma::register(self.vcpu, dma::DESCRIPTOR);
        let doorbell = dma::register(self.vcpu, dma::DOORBELL);
        self.memory
            .store(at, descriptor, Width::Eight)
            .and_then(|()| self.memory.store(doorbell, 1, Width::Four))
            .map_err(|_| Break::Bad)
    }
}

/// Has the machine tell secondary MMUs of a page.
fn notify(page: u64, kind: u64) -> Flow {
    let page = u16::try_from(page).map_err(|_| Break::Bad)?;
    let kind = u16::try_from(kind).map_err(|_| Break::Bad)?;
    arch::port::write_u32(port::NOTIFY, u32::from(kind) << 16 | u32::from(page));
    Ok(())
}
