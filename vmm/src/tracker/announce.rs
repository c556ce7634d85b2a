//! The announcing tracker: a port on which the guest says what it does.

use std::sync::{Arc, Mutex};

use guest::abi::program::{self, Announcement};
use guest::abi::{layout, port};
use notifier::addr::Gpa;

use super::{NotAWrite, PageTableWrite};
use crate::bus::{BusDevice, Flow, written};
use crate::lock::lock;
use crate::memory::Ram;
use crate::mirror::{Mirror, Window};
use crate::vcpu::{VcpuEnd, VcpuIndex};

/// One announcement at a time for each vCPU: *prepare*, the guest's own store, *commit*. A second
/// *prepare* calls the first off. Reads as zero.
pub(crate) struct AnnouncePort {
    ram: Ram,
    mirror: Arc<Mirror>,
    /// By vCPU.
    open: Vec<Mutex<Option<Window>>>,
}

impl AnnouncePort {
    pub(crate) fn new(ram: Ram, mirror: Arc<Mirror>) -> Self {
        let open = (0..layout::MAX_VCPUS).map(|_| Mutex::default()).collect();
        Self { ram, mirror, open }
    }

    fn announced(&self, from: VcpuIndex) -> Result<PageTableWrite, VcpuEnd> {
        let mut bytes = [0; Announcement::SIZE];
        let place = Gpa::new(program::block(from.0) + program::ANNOUNCEMENT);
        let read = self.ram.read(place, &mut bytes);
        read.map_err(|error| VcpuEnd::Mirror(error.into()))?;
        let Announcement {
            address,
            value,
            width,
        } = Announcement::from_bytes(&bytes);
        let address = Gpa::new(address);
        let value = value.to_le_bytes();
        let refused = NotAWrite {
            address,
            length: width,
        };
        let width = usize::try_from(width).map_err(|_| refused)?;
        let bytes = value.get(..width).ok_or(refused)?;
        Ok(PageTableWrite::new(address, bytes)?)
    }

    fn prepare(&self, from: VcpuIndex) -> Result<(), VcpuEnd> {
        let mut open = self.window_of(from)?;
        drop(open.take());
        *open = Some(self.mirror.prepare(self.announced(from)?)?);
        Ok(())
    }

    fn commit(&self, from: VcpuIndex) -> Result<(), VcpuEnd> {
        let window = self.window_of(from)?.take();
        let window = window.ok_or(VcpuEnd::NothingAnnounced)?;
        Ok(self.mirror.commit(window, |_| Ok(()))?)
    }

    fn window_of(
        &self,
        from: VcpuIndex,
    ) -> Result<std::sync::MutexGuard<'_, Option<Window>>, VcpuEnd> {
        let open = usize::try_from(from.0)
            .ok()
            .and_then(|index| self.open.get(index));
        let open = open.ok_or(VcpuEnd::NothingAnnounced)?;
        Ok(lock(open))
    }
}

impl BusDevice for AnnouncePort {
    fn read(&self, _: u64, data: &mut [u8]) -> Flow {
        data.fill(0);
        Flow::Continue(())
    }

    fn write(&self, from: VcpuIndex, _: u64, data: &[u8]) -> Flow {
        let done = match u32::try_from(written(data)) {
            Ok(port::ANNOUNCE_PREPARE) => self.prepare(from),
            Ok(port::ANNOUNCE_COMMIT) => self.commit(from),
            _ => Err(VcpuEnd::NothingAnnounced),
        };
        done.map_or_else(Flow::Break, Flow::Continue)
    }
}
