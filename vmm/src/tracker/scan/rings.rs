//! Which pages of the page-table pool were written: KVM's dirty rings, one for each vCPU.
#![expect(unsafe_code, reason = "KVM_RESET_DIRTY_RINGS has no safe wrapper")]

use std::io;
use std::sync::{Arc, Mutex};

use guest::abi::layout;
use kvm_bindings::{KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVMIO, kvm_enable_cap};
use kvm_ioctls::{VcpuFd, VmFd};
use notifier::addr::{AddrRange, Gpa};
use vmm_sys_util::ioctl::ioctl;
use vmm_sys_util::ioctl_io_nr;

use super::log::Log;
use super::ring::{BYTES, Entry, Ring};
use crate::lock::lock;
use crate::memory::{Ram, page_table_slot};

ioctl_io_nr!(KVM_RESET_DIRTY_RINGS, KVMIO, 0xc7);

/// The rings of all vCPUs of a virtual machine.
pub(crate) struct DirtyRings {
    vm: Arc<VmFd>,
    place: Place,
    /// Held for a whole harvest.
    rings: Mutex<Vec<Ring>>,
}

/// The pool, as entries name it.
#[derive(Clone, Copy)]
struct Place {
    slot: u32,
    pool: AddrRange<Gpa>,
}

impl DirtyRings {
    /// Gives `vm`, which has no vCPU yet, a ring for each one that it will have. From then on it has no
    /// dirty log.
    ///
    /// # Errors
    /// What KVM says; EINVAL if it has no rings.
    pub(crate) fn enable(vm: &VmFd) -> Result<(), kvm_ioctls::Error> {
        // Both are the same where stores are seen in order, and of the second not every processor's
        // KVM has one.
        let kinds = [KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING];
        let [first, second] = kinds.map(|cap| {
            let args = [BYTES as u64, 0, 0, 0];
            kvm_enable_cap {
                cap,
                args,
                ..kvm_enable_cap::default()
            }
        });
        vm.enable_cap(&first).or_else(|_| vm.enable_cap(&second))
    }

    /// The rings of `vm`, which has them enabled.
    pub(crate) fn new(vm: Arc<VmFd>, ram: &Ram) -> Self {
        let place = Place {
            slot: page_table_slot(ram),
            pool: ram.layout().page_tables(),
        };
        Self {
            vm,
            place,
            rings: Mutex::default(),
        }
    }

    /// From now on a write to what was harvested is written down again.
    fn reset(&self) -> io::Result<()> {
        loop {
            // SAFETY: this request takes no argument, and touches nothing but the rings.
            let done = unsafe { ioctl(&*self.vm, KVM_RESET_DIRTY_RINGS()) };
            if done >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            // A signal: KVM has not reset everything yet.
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl Log for DirtyRings {
    fn add(&self, vcpu: &VcpuFd) -> io::Result<()> {
        lock(&self.rings).push(Ring::of(vcpu)?);
        Ok(())
    }

    fn take(&self) -> io::Result<Vec<Gpa>> {
        let mut rings = lock(&self.rings);
        let entries: Vec<_> = rings.iter_mut().flat_map(Ring::harvest).collect();
        // Before the pages are compared, so that a write that comes later is written down anew.
        if !entries.is_empty() {
            self.reset()?;
        }
        let pages = entries
            .into_iter()
            .filter_map(|entry| self.place.page(entry));
        Ok(pages.collect())
    }
}

impl Place {
    /// The page that an entry names, if it is one of the pool.
    fn page(self, entry: Entry) -> Option<Gpa> {
        let offset = entry.offset.checked_mul(layout::PAGE);
        let address = offset.and_then(|offset| self.pool.start().raw().checked_add(offset));
        let page = address.map(Gpa::new);
        let page = page.filter(|page| entry.slot == self.slot && self.pool.contains(*page));
        if page.is_none() {
            log::warn!("a dirty ring names what has no log: {entry:?}");
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_pool_are_taken_from_a_ring() {
        let start = Gpa::new(0x40_0000);
        let pool = AddrRange::from_length(start, 64 * layout::PAGE).unwrap();
        let place = Place { slot: 3, pool };
        let page = |slot, offset| place.page(Entry { slot, offset });
        assert_eq!(page(3, 0), Some(start));
        assert_eq!(page(3, 63), Some(Gpa::new(0x43_f000)));
        // Past the end; another slot; another address space; nothing that is an address.
        let garbage = [
            (3, 64),
            (2, 0),
            (1 << 16 | 3, 0),
            (3, u64::MAX),
            (3, 1 << 52),
            (3, (1 << 52) - 1),
        ];
        assert_eq!(garbage.map(|(slot, offset)| page(slot, offset)), [None; 6]);
    }
}
