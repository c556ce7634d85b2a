//! Guest memory as KVM memory slots.
#![expect(unsafe_code, reason = "KVM keeps addresses of host memory")]

use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use notifier::addr::Gpa;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::Ram;

/// What the guest may do with the page-table pool without the machine noticing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageTableSlot {
    /// Read only: every write is an exit.
    ReadOnly,
    /// Anything, but KVM writes down which pages it may have written.
    Logged,
    /// Anything.
    Ordinary,
}

impl PageTableSlot {
    fn flags(self) -> u32 {
        match self {
            Self::ReadOnly => KVM_MEM_READONLY,
            Self::Logged => KVM_MEM_LOG_DIRTY_PAGES,
            Self::Ordinary => 0,
        }
    }
}

/// The number of the page-table pool's slot.
pub(crate) fn page_table_slot(ram: &Ram) -> u32 {
    let mut regions = (0..).zip(ram.backend().iter());
    let pool = regions.find(|(_, region)| is_pool(ram, region.start_addr().0));
    pool.map_or(0, |(slot, _)| slot)
}

fn is_pool(ram: &Ram, start: u64) -> bool {
    ram.is_page_table(Gpa::new(start), 1)
}

/// Gives `ram` to the virtual machine, one slot a region.
///
/// The caller keeps a copy of `ram` for as long as `vm` lives.
pub(crate) fn map_into(vm: &VmFd, ram: &Ram, pool: PageTableSlot) -> Result<(), kvm_ioctls::Error> {
    for (slot, region) in (0..).zip(ram.backend().iter()) {
        let start = region.start_addr().0;
        let mapping = kvm_userspace_memory_region {
            slot,
            flags: if is_pool(ram, start) { pool.flags() } else { 0 },
            guest_phys_addr: start,
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the host range is one of `ram`'s mappings, whole; the caller keeps `ram`, and
        // with it the mapping, until after `vm` is gone. Regions do not overlap.
        unsafe { vm.set_user_memory_region(mapping)? };
    }
    Ok(())
}
