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
    /// Anything, but KVM writes down which pages it may have written, in whatever log there is.
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
    for mut mapping in mappings(ram) {
        if is_pool(ram, mapping.guest_phys_addr) {
            mapping.flags = pool.flags();
        }
        // SAFETY: the host range is one of `ram`'s mappings, whole; the caller keeps `ram`, and
        // with it the mapping, until after `vm` is gone. Regions do not overlap.
        unsafe { vm.set_user_memory_region(mapping)? };
    }
    Ok(())
}

/// Whether KVM writes down which pages of a slot the vCPUs write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirtyLogging {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// An ordinary memory slot, whose logging can be switched.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    mapping: kvm_userspace_memory_region,
    /// Keeps the mapping.
    _ram: Ram,
}

impl Slot {
    /// The slot that [`map_into`] makes of the region of `ram` with `address` in it; `None` if there
    /// is none, or if it is the page-table pool's.
    pub(crate) fn at(ram: &Ram, address: Gpa) -> Option<Self> {
        let has = |mapping: &kvm_userspace_memory_region| {
            let offset = address.raw().checked_sub(mapping.guest_phys_addr);
            offset.is_some_and(|offset| offset < mapping.memory_size)
        };
        let mapping = mappings(ram).find(has)?;
        (!ram.is_page_table(address, 1)).then(|| Self {
            mapping,
            _ram: ram.clone(),
        })
    }

    /// Its first address.
    pub(crate) fn start(&self) -> Gpa {
        Gpa::new(self.mapping.guest_phys_addr)
    }

    /// Switches the log.
    pub(crate) fn log(&self, vm: &VmFd, logging: DirtyLogging) -> Result<(), kvm_ioctls::Error> {
        let flags = match logging {
            DirtyLogging::On => KVM_MEM_LOG_DIRTY_PAGES,
            DirtyLogging::Off => 0,
        };
        let mapping = kvm_userspace_memory_region {
            flags,
            ..self.mapping
        };
        // SAFETY: the host range is the one that the slot has already, a mapping that the `Ram` of
        // this keeps; only the flags change, for which KVM keeps the slot.
        unsafe { vm.set_user_memory_region(mapping) }
    }

    /// One bit a page, the first page's lowest: what vCPUs wrote since the last time; from now on
    /// KVM writes down anew.
    pub(crate) fn take_log(&self, vm: &VmFd) -> Result<Vec<u64>, kvm_ioctls::Error> {
        let bytes = usize::try_from(self.mapping.memory_size).unwrap_or(usize::MAX);
        vm.get_dirty_log(self.mapping.slot, bytes)
    }
}

/// The regions as KVM is given them, without flags.
fn mappings(ram: &Ram) -> impl Iterator<Item = kvm_userspace_memory_region> {
    let regions = (0..).zip(ram.backend().iter());
    regions.map(|(slot, region)| kvm_userspace_memory_region {
        slot,
        flags: 0,
        guest_phys_addr: region.start_addr().0,
        memory_size: region.len(),
        userspace_addr: region.as_ptr() as u64,
    })
}
