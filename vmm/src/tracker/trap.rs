//! The trapping tracker: the page-table pool as a device.

use std::sync::{Arc, Mutex};

use notifier::addr::{AddrRange, Address, Gpa};

use super::PageTableWrite;
use super::shadow_paging::ShadowPaging;
use crate::bus::{BusDevice, Flow};
use crate::lock::lock;
use crate::memory::Ram;
use crate::mirror::{Mirror, MirrorError};
use crate::vcpu::{VcpuEnd, VcpuIndex};

/// Stands on the bus where the page-table pool is. The pool is in a read-only memory slot, so the
/// guest reads it as memory, and each of its writes comes here, with its exact bytes.
pub(crate) struct Trap {
    pool: AddrRange<Gpa>,
    ram: Ram,
    mirror: Arc<Mirror>,
    shadow_paging: ShadowPaging,
    /// Held from before a write is announced until it is settled, so that what is announced is what
    /// is made. No guest code runs in between.
    writer: Mutex<()>,
}

impl Trap {
    pub(crate) fn new(ram: Ram, mirror: Arc<Mirror>, shadow_paging: ShadowPaging) -> Self {
        let pool = ram.layout().page_tables();
        Self {
            pool,
            ram,
            mirror,
            shadow_paging,
            writer: Mutex::new(()),
        }
    }

    /// Makes the write for the guest, and makes KVM see it.
    fn store(&self, write: PageTableWrite) -> Result<(), MirrorError> {
        let _one_at_a_time = lock(&self.writer);
        let window = self.mirror.prepare(write)?;
        self.mirror.commit(window, |window| {
            window.write().make(&self.ram)?;
            self.shadow_paging.forget(window)
        })
    }

    fn at(&self, offset: u64) -> Gpa {
        self.pool
            .start()
            .checked_add(offset)
            .unwrap_or(self.pool.last())
    }
}

impl BusDevice for Trap {
    /// Only KVM's own emulator comes this way; it gets what memory says.
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        match self.ram.read(self.at(offset), data) {
            Ok(()) => Flow::Continue(()),
            Err(error) => Flow::Break(VcpuEnd::Mirror(error.into())),
        }
    }

    fn write(&self, _: VcpuIndex, offset: u64, data: &[u8]) -> Flow {
        let write = PageTableWrite::new(self.at(offset), data).map_err(VcpuEnd::from);
        let stored = write.and_then(|write| Ok(self.store(write)?));
        stored.map_or_else(Flow::Break, Flow::Continue)
    }
}
