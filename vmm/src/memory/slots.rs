//! Guest memory as KVM memory slots.
#![expect(unsafe_code, reason = "KVM keeps addresses of host memory")]

use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use notifier::addr::Gpa;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::Ram;

/// What the guest may do with the page-table pool without the machine noticing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageTableSlot {
    /// Read only: every write is an exit.
    ReadOnly,
    /// Anything.
    Ordinary,
}

/// Gives `ram` to the virtual machine, one slot a region.
///
/// The caller keeps a copy of `ram` for as long as `vm` lives.
pub(crate) fn map_into(vm: &VmFd, ram: &Ram, pool: PageTableSlot) -> Result<(), kvm_ioctls::Error> {
    for (slot, region) in (0..).zip(ram.backend().iter()) {
        let start = Gpa::new(region.start_addr().0);
        let trapped = pool == PageTableSlot::ReadOnly && ram.is_page_table(start, 1);
        let mapping = kvm_userspace_memory_region {
            slot,
            flags: if trapped { KVM_MEM_READONLY } else { 0 },
            guest_phys_addr: start.raw(),
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the host range is one of `ram`'s mappings, whole; the caller keeps `ram`, and
        // with it the mapping, until after `vm` is gone. Regions do not overlap.
        unsafe { vm.set_user_memory_region(mapping)? };
    }
    Ok(())
}
