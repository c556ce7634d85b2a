//! Making KVM forget what it derived from page-table entries that it did not see change.
//!
//! A host that pages by shadow (the only kind on which trapping works) keeps page tables of its
//! own, made from the guest's. It watches the guest's tables for writes by the guest, not for those
//! that this process makes on the guest's behalf; and since the guest can't write them itself, not
//! even the guest's own INVLPG makes KVM look again. An upgrade or a new mapping is found by the
//! fault that it causes. Everything else must be taken from KVM's tables here, in one of two ways:
//!
//! * unmapping the *frames* that the old entries led to from this process, which KVM is told of by
//!   an mmu notifier of its own: cheap, and enough where only pages changed;
//! * adding and removing a memory slot that nobody uses, which makes KVM drop all of its tables:
//!   for entries that lead to tables.
#![expect(unsafe_code, reason = "talks to the kernel about memory by address")]

use std::io;
use std::sync::{Arc, Mutex};

use guest::abi::layout;
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use notifier::addr::{AddrRange, Gpa};
use notifier::paging::{Change, ChangeKind, Leaf};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, MmapRegion};

use crate::lock::lock;
use crate::memory::Ram;
use crate::mirror::{MirrorError, Window};

/// A slot that no region of memory has.
const SPARE_SLOT: u32 = 16;
/// Where it is for the moment that it exists: behind all devices.
const SPARE_ADDRESS: u64 = layout::MMIO + (1 << 30);

/// A virtual machine's own page tables.
pub(crate) struct ShadowPaging {
    vm: Arc<VmFd>,
    ram: Ram,
    /// What the spare slot shows; one user at a time.
    spare: Mutex<MmapRegion>,
}

impl ShadowPaging {
    pub(crate) fn new(vm: Arc<VmFd>, ram: Ram) -> io::Result<Self> {
        let length = usize::try_from(layout::PAGE).unwrap_or(0);
        let spare = MmapRegion::new(length).map_err(io::Error::other)?;
        let spare = Mutex::new(spare);
        Ok(Self { vm, ram, spare })
    }

    /// Makes KVM look at the guest's tables again wherever the write of this window matters.
    pub(crate) fn forget(&self, window: &Window) -> Result<(), MirrorError> {
        let forgotten = if window.is_structural() {
            self.forget_everything()
        } else {
            let mut old = window.changes().iter().filter_map(stale_frames);
            old.try_for_each(|leaf| self.forget_frames(&leaf))
        };
        forgotten.map_err(|error| MirrorError::Host(error.kind()))
    }

    /// Unmaps the frames of `leaf` from this process until the next access.
    fn forget_frames(&self, leaf: &Leaf) -> io::Result<()> {
        let Ok(frames) = AddrRange::from_length(leaf.output, leaf.size.bytes()) else {
            return Ok(());
        };
        for region in self.ram.backend().iter() {
            let start = Gpa::new(region.start_addr().0);
            let Ok(whole) = AddrRange::from_length(start, region.len()) else {
                continue;
            };
            if whole.overlaps(frames) {
                let first = frames.start().max(whole.start()).raw() - start.raw();
                let last = frames.last().min(whole.last()).raw() - start.raw();
                discard(region.as_ptr(), first, last)?;
            }
        }
        Ok(())
    }

    fn forget_everything(&self) -> io::Result<()> {
        let spare = lock(&self.spare);
        for memory_size in [layout::PAGE, 0] {
            let slot = kvm_userspace_memory_region {
                slot: SPARE_SLOT,
                flags: KVM_MEM_READONLY,
                guest_phys_addr: SPARE_ADDRESS,
                memory_size,
                userspace_addr: spare.as_ptr() as u64,
            };
            // SAFETY: the slot shows one page of `spare`, which lives longer than the slot does:
            // the second round removes it, and the lock keeps others from using it meanwhile.
            let set = unsafe { self.vm.set_user_memory_region(slot) };
            set.map_err(|error| io::Error::from_raw_os_error(error.errno()))?;
        }
        Ok(())
    }
}

/// The page that KVM must forget after this change, if it would not find out by itself.
fn stale_frames(change: &Change) -> Option<Leaf> {
    let found_by_fault = matches!(change.kind, ChangeKind::Map | ChangeKind::Upgrade);
    change.old.filter(|_| !found_by_fault)
}

/// Unmaps the pages from byte `first` to byte `last` (inclusive) of a mapping of guest memory.
fn discard(mapping: *mut u8, first: u64, last: u64) -> io::Result<()> {
    let (Ok(first), Ok(last)) = (usize::try_from(first), usize::try_from(last)) else {
        return Ok(());
    };
    // SAFETY: both offsets are inside the region that `mapping` is the start of. The region maps
    // shared memory, so its contents stay and come back with the next access; nobody holds a Rust
    // reference into guest memory.
    let result = unsafe {
        let start = mapping.add(first);
        libc::madvise(start.cast(), last - first + 1, libc::MADV_DONTNEED)
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
