//! The bus: which device answers at an address.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::vcpu::{VcpuEnd, VcpuIndex};

/// Which of the two address spaces of a machine without memory in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Guest-physical addresses outside memory.
    Mmio,
    /// I/O ports.
    Port,
}

/// Whether the vCPU that made an access goes on.
pub type Flow = ControlFlow<VcpuEnd>;

/// Something that answers accesses. Offsets are in bytes from the start of its range; an access
/// lies wholly inside the range, and has 1 to 8 bytes.
pub trait BusDevice: Send + Sync {
    /// A vCPU reads: fill `data`.
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow;

    /// A vCPU writes `data`.
    fn write(&self, from: VcpuIndex, offset: u64, data: &[u8]) -> Flow;
}

/// What a write of these bytes, 8 at most, writes: little-endian, however wide.
pub(crate) fn written(data: &[u8]) -> u64 {
    let bytes = data.iter().rev();
    bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The devices of one address space.
pub struct Bus {
    space: Space,
    /// By first address: last address (inclusive), and who is there.
    devices: BTreeMap<u64, (u64, Arc<dyn BusDevice>)>,
}

/// Why a device can't be where it was to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Something is there.
    #[error("a device at [{start:#x}, {start:#x} + {size:#x}) overlaps the one at {other:#x}")]
    Overlap {
        /// First address.
        start: u64,
        /// Bytes.
        size: u64,
        /// First address of the device that is there.
        other: u64,
    },
    /// It has no addresses, or runs past the end of them.
    #[error("{size:#x} bytes from {start:#x} on are no place for a device")]
    Range {
        /// First address.
        start: u64,
        /// Bytes.
        size: u64,
    },
}

impl Bus {
    /// A bus with nothing on it.
    pub fn new(space: Space) -> Self {
        Self {
            space,
            devices: BTreeMap::new(),
        }
    }

    /// Puts `device` at the `size` bytes from `start` on.
    ///
    /// # Errors
    /// [`BusError`] if they overlap another device or are none.
    pub fn insert(
        &mut self,
        start: u64,
        size: u64,
        device: Arc<dyn BusDevice>,
    ) -> Result<(), BusError> {
        let last = size
            .checked_sub(1)
            .and_then(|beyond| start.checked_add(beyond));
        let last = last.ok_or(BusError::Range { start, size })?;
        let below = self.devices.range(..=last).next_back();
        if let Some((&other, _)) = below.filter(|(_, (end, _))| *end >= start) {
            return Err(BusError::Overlap { start, size, other });
        }
        self.devices.insert(start, (last, device));
        Ok(())
    }

    /// A vCPU reads from `address`.
    pub fn read(&self, address: u64, data: &mut [u8]) -> Flow {
        match self.find(address, data.len()) {
            Some((offset, device)) => device.read(offset, data),
            None => self.unclaimed(address, data.len(), "read from"),
        }
    }

    /// A vCPU writes to `address`.
    pub fn write(&self, from: VcpuIndex, address: u64, data: &[u8]) -> Flow {
        match self.find(address, data.len()) {
            Some((offset, device)) => device.write(from, offset, data),
            None => self.unclaimed(address, data.len(), "write to"),
        }
    }

    /// The device that has all of these bytes, and the offset of the first.
    fn find(&self, address: u64, length: usize) -> Option<(u64, &dyn BusDevice)> {
        let last = address.checked_add(length as u64)?.checked_sub(1)?;
        let (start, (end, device)) = self.devices.range(..=address).next_back()?;
        (last <= *end).then_some((address - start, &**device))
    }

    fn unclaimed(&self, address: u64, length: usize, what: &'static str) -> Flow {
        Flow::Break(VcpuEnd::Unclaimed {
            what,
            space: self.space,
            address,
            length,
        })
    }
}

impl Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ranges = self.devices.iter().map(|(start, (last, _))| (start, last));
        write!(f, "{:?} ", self.space)?;
        f.debug_map().entries(ranges).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Remembers the last access.
    #[derive(Default)]
    struct Probe(Mutex<Option<(u64, usize)>>);

    impl BusDevice for Probe {
        fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
            *self.0.lock().unwrap() = Some((offset, data.len()));
            Flow::Continue(())
        }

        fn write(&self, _: VcpuIndex, offset: u64, data: &[u8]) -> Flow {
            *self.0.lock().unwrap() = Some((offset, data.len()));
            Flow::Continue(())
        }
    }

    fn bus() -> (Bus, Arc<Probe>) {
        let (mut bus, probe) = (Bus::new(Space::Mmio), Arc::new(Probe::default()));
        bus.insert(0x1000, 0x100, probe.clone()).unwrap();
        (bus, probe)
    }

    #[test]
    fn a_device_gets_offsets_from_its_start() {
        let (bus, probe) = bus();
        let from = VcpuIndex(0);
        assert!(bus.write(from, 0x10f8, &[0; 8]).is_continue());
        assert_eq!(*probe.0.lock().unwrap(), Some((0xf8, 8)));
        assert!(bus.read(0x1000, &mut [0; 1]).is_continue());
        assert_eq!(*probe.0.lock().unwrap(), Some((0, 1)));
    }

    #[test]
    fn an_access_not_wholly_inside_a_device_is_unclaimed() {
        let (bus, probe) = bus();
        for address in [0xfff, 0x10f9, 0x1100, u64::MAX - 3] {
            let flow = bus.write(VcpuIndex(0), address, &[0; 8]);
            assert!(matches!(flow, Flow::Break(VcpuEnd::Unclaimed { .. })));
        }
        assert_eq!(*probe.0.lock().unwrap(), None);
    }

    #[test]
    fn overlaps_are_refused_from_either_side() {
        let (mut bus, probe) = bus();
        for (start, size) in [(0xf01, 0x100), (0x10ff, 1), (0, 0x2000), (0x1010, 0x10)] {
            let refused = bus.insert(start, size, probe.clone());
            assert!(
                matches!(refused, Err(BusError::Overlap { .. })),
                "{start:#x}"
            );
        }
        bus.insert(0xf00, 0x100, probe.clone()).unwrap();
        bus.insert(0x1100, 0x100, probe).unwrap();
    }

    #[test]
    fn a_range_that_is_none_is_refused() {
        let (mut bus, probe) = bus();
        for (start, size) in [(0, 0), (u64::MAX, 2)] {
            let refused = bus.insert(start, size, probe.clone());
            assert!(matches!(refused, Err(BusError::Range { .. })));
        }
    }
}
