//! Memory as the SMMU's queues see it.

use notifier::addr::Gpa;
use notifier::paging::{NoMemory, SystemMemory, TableMemory, TableMemoryMut};

use crate::memory::Ram;

/// Guest memory, in which the page-table pool can be read and not written, as by any device: an event
/// record or an MSI there would go past the tracker. To the SMMU it is as if there were no memory.
pub(super) struct QueueMemory(Ram);

impl QueueMemory {
    pub(super) fn new(ram: Ram) -> Self {
        Self(ram)
    }

    fn writable(&self, address: Gpa, length: u64) -> Result<&Ram, NoMemory> {
        if self.0.is_page_table(address, length) {
            Err(NoMemory(address))
        } else {
            Ok(&self.0)
        }
    }
}

impl TableMemory for QueueMemory {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        self.0.read_entry(address)
    }
}

impl TableMemoryMut for QueueMemory {
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.writable(address, 8)?.write_entry(address, entry)
    }
}

impl SystemMemory for QueueMemory {
    fn compare_exchange(&self, address: Gpa, old: u64, new: u64) -> Result<u64, NoMemory> {
        let ram = self.writable(address, 8)?;
        ram.compare_exchange(address, old, new)
    }

    fn write_u32(&self, address: Gpa, value: u32) -> Result<(), NoMemory> {
        self.writable(address, 4)?.write_u32(address, value)
    }
}
