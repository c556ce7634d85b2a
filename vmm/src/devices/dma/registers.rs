//! The register block.

use std::io;
use std::sync::{Mutex, MutexGuard};

use guest::abi::dma;
use notifier::addr::Gpa;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::bus::{BusDevice, Flow};
use crate::lock::lock;
use crate::vcpu::VcpuIndex;

/// One channel's registers.
#[derive(Clone, Copy, Debug, Default)]
struct Channel {
    descriptor: u64,
    status: u64,
}

/// The registers of all channels, and the doorbells that KVM rings.
///
/// A register that does not exist, or is accessed with a width that it does not have, reads as
/// zero and ignores writes.
pub(crate) struct Registers {
    channels: Mutex<Vec<Channel>>,
    doorbells: Vec<EventFd>,
}

impl Registers {
    /// Registers after reset.
    pub(crate) fn new() -> io::Result<Self> {
        let count = usize::try_from(dma::CHANNELS).unwrap_or(0);
        let doorbells = (0..count).map(|_| EventFd::new(EFD_NONBLOCK));
        Ok(Self {
            channels: Mutex::new(vec![Channel::default(); count]),
            doorbells: doorbells.collect::<io::Result<_>>()?,
        })
    }

    /// What rings when a channel's doorbell is written, in order of channels.
    pub(crate) fn doorbells(&self) -> &[EventFd] {
        &self.doorbells
    }

    /// The descriptor that a channel is to carry out.
    pub(crate) fn descriptor(&self, channel: usize) -> Gpa {
        let channels = self.lock();
        Gpa::new(
            channels
                .get(channel)
                .map_or(0, |channel| channel.descriptor),
        )
    }

    /// Says how a channel's last descriptor ended.
    pub(crate) fn set_status(&self, channel: usize, status: u64) {
        if let Some(channel) = self.lock().get_mut(channel) {
            channel.status = status;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Channel>> {
        lock(&self.channels)
    }

    /// The channel at `offset`, and the offset in its block.
    fn locate(offset: u64) -> (usize, u64) {
        let channel = offset / dma::CHANNEL_STRIDE;
        let channel = usize::try_from(channel).unwrap_or(usize::MAX);
        (channel, offset % dma::CHANNEL_STRIDE)
    }
}

/// The part of a 64-bit register at `at` that an access of `length` bytes at `offset` means, as a
/// shift in bits: the whole, or either half.
fn part(at: u64, offset: u64, length: usize) -> Option<u32> {
    match (offset.checked_sub(at)?, length) {
        (0, 4 | 8) => Some(0),
        (4, 4) => Some(32),
        _ => None,
    }
}

impl BusDevice for Registers {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        let (channel, offset) = Self::locate(offset);
        let channel = self.lock().get(channel).copied().unwrap_or_default();
        let value = if offset == dma::ID && data.len() == 4 {
            u64::from(dma::ID_VALUE)
        } else if offset == dma::STATUS && data.len() == 4 {
            channel.status
        } else {
            let part = part(dma::DESCRIPTOR, offset, data.len());
            part.map_or(0, |shift| channel.descriptor >> shift)
        };
        for (place, byte) in data.iter_mut().zip(value.to_le_bytes()) {
            *place = byte;
        }
        Flow::Continue(())
    }

    fn write(&self, from: VcpuIndex, offset: u64, data: &[u8]) -> Flow {
        let (channel, offset) = Self::locate(offset);
        if offset == dma::DOORBELL {
            // Only where the host's KVM did not take it for the ioeventfd.
            log::debug!("{from} rang channel {channel} by an exit");
            let rung = self.doorbells.get(channel).map(|bell| bell.write(1));
            if let Some(Err(error)) = rung {
                log::debug!("{from} rang channel {channel}, which is ringing: {error}");
            }
            return Flow::Continue(());
        }
        let mut bytes = [0; 8];
        let held = bytes.get_mut(..data.len());
        let part = part(dma::DESCRIPTOR, offset, data.len());
        if let (Some(held), Some(shift)) = (held, part) {
            held.copy_from_slice(data);
            let mask = if data.len() == 8 {
                u64::MAX
            } else {
                0xffff_ffff
            };
            let value = u64::from_le_bytes(bytes) << shift;
            if let Some(channel) = self.lock().get_mut(channel) {
                channel.descriptor = channel.descriptor & !(mask << shift) | value;
                channel.status = dma::STATUS_PENDING;
            }
        }
        Flow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(registers: &Registers, offset: u64, length: usize) -> u64 {
        let mut bytes = [0; 8];
        assert!(registers.read(offset, &mut bytes[..length]).is_continue());
        u64::from_le_bytes(bytes)
    }

    fn write(registers: &Registers, offset: u64, data: &[u8]) {
        assert!(registers.write(VcpuIndex(0), offset, data).is_continue());
    }

    #[test]
    fn the_descriptor_register_has_two_halves() {
        let registers = Registers::new().unwrap();
        let at = dma::CHANNEL_STRIDE + dma::DESCRIPTOR;
        write(&registers, at, &0x1122_3344_5566_7788_u64.to_le_bytes());
        assert_eq!(read(&registers, at + 4, 4), 0x1122_3344);
        write(&registers, at, &[0xff; 4]);
        assert_eq!(registers.descriptor(1), Gpa::new(0x1122_3344_ffff_ffff));
        assert_eq!(registers.descriptor(0), Gpa::new(0));
    }

    #[test]
    fn identification_and_status_are_read_only() {
        let registers = Registers::new().unwrap();
        registers.set_status(0, dma::STATUS_REFUSED);
        write(&registers, dma::ID, &[0; 4]);
        write(&registers, dma::STATUS, &[0; 4]);
        assert_eq!(read(&registers, dma::ID, 4), u64::from(dma::ID_VALUE));
        assert_eq!(read(&registers, dma::STATUS, 4), dma::STATUS_REFUSED);
    }

    #[test]
    fn odd_widths_and_places_do_nothing() {
        let registers = Registers::new().unwrap();
        for length in [1, 2, 3, 5, 8] {
            write(&registers, dma::DESCRIPTOR + 4, &vec![0xff; length]);
            assert_eq!(read(&registers, dma::DESCRIPTOR + 1, length), 0);
        }
        assert_eq!(registers.descriptor(0), Gpa::new(0));
        assert_eq!(read(&registers, 0xf8, 8), 0);
    }

    #[test]
    fn a_doorbell_that_comes_as_an_exit_rings_all_the_same() {
        let registers = Registers::new().unwrap();
        write(&registers, 2 * dma::CHANNEL_STRIDE + dma::DOORBELL, &[1]);
        assert_eq!(registers.doorbells()[2].read().unwrap(), 1);
        assert!(registers.doorbells()[0].read().is_err());
    }
}
