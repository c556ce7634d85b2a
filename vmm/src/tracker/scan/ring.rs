//! One vCPU's dirty ring: memory that KVM and this side share, in which KVM names the pages that the
//! vCPU writes. Linux, Documentation/virt/kvm/api.rst, section 8.29.
//!
//! ```text
//! free --KVM fills it in--> DIRTY --harvested here--> RESET --KVM_RESET_DIRTY_RINGS--> free
//! ```
#![expect(unsafe_code, reason = "the memory is shared with the kernel")]

use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use guest::abi::layout;
use kvm_bindings::{KVM_DIRTY_LOG_PAGE_OFFSET, kvm_dirty_gfn};
use kvm_ioctls::VcpuFd;

/// Entries of a ring, a power of two. KVM keeps 64 of them for itself, and up to 512 more where the
/// processor logs pages (Intel's PML).
pub(super) const ENTRIES: u32 = 1024;

/// Bytes of a ring.
pub(super) const BYTES: usize = ENTRIES as usize * size_of::<kvm_dirty_gfn>();

/// KVM has filled the entry in.
const DIRTY: u32 = 1;
/// The entry was harvested.
const RESET: u32 = 1 << 1;

/// What an entry says, not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Address space (upper half) and slot.
    pub(super) slot: u32,
    /// Pages from the slot's first one.
    pub(super) offset: u64,
}

/// A ring and how far it was harvested.
pub(super) struct Ring {
    memory: Memory,
    /// Entries harvested so far; the next one is this modulo [`ENTRIES`].
    harvested: u32,
}

impl Ring {
    /// The ring of `vcpu`, whose virtual machine has them enabled.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn of(vcpu: &VcpuFd) -> io::Result<Self> {
        let memory = Memory::map(vcpu.as_raw_fd())?;
        Ok(Self {
            memory,
            harvested: 0,
        })
    }

    /// What was written down since the last call, at most a whole ring of it.
    pub(super) fn harvest(&mut self) -> Vec<Entry> {
        let next = |_| self.next();
        (0..ENTRIES).map_while(next).collect()
    }

    fn next(&mut self) -> Option<Entry> {
        let entry = self.memory.take(self.harvested % ENTRIES)?;
        self.harvested = self.harvested.wrapping_add(1);
        Some(entry)
    }
}

/// The mapping. It keeps the vCPU's ring alive even after the vCPU's last descriptor is closed.
struct Memory(NonNull<kvm_dirty_gfn>);

// SAFETY: it is memory of the process, which no thread owns; `Memory` alone has the pointer.
unsafe impl Send for Memory {}

impl Memory {
    fn map(vcpu: libc::c_int) -> io::Result<Self> {
        let offset = u64::from(KVM_DIRTY_LOG_PAGE_OFFSET) * layout::PAGE;
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let nowhere = std::ptr::null_mut();
        // SAFETY: a new mapping at a place that the kernel chooses touches no other memory.
        let mapped =
            unsafe { libc::mmap(nowhere, BYTES, protection, libc::MAP_SHARED, vcpu, offset) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(mapped.cast()).map(Self);
        memory.ok_or_else(|| io::Error::other("a mapping at address 0"))
    }

    /// Entry `index` (modulo the ring's length), if KVM has filled it in; it is KVM's again once
    /// the rings are reset.
    fn take(&self, index: u32) -> Option<Entry> {
        // SAFETY: the mapping has `ENTRIES` entries, and the index is below that.
        let entry = unsafe { self.0.add((index % ENTRIES) as usize) }.as_ptr();
        // SAFETY: the flags are in the mapping, aligned, and changed by both sides with atomic
        // operations only.
        let flags = unsafe { AtomicU32::from_ptr(&raw mut (*entry).flags) };
        if flags.load(Ordering::Acquire) & (DIRTY | RESET) != DIRTY {
            return None;
        }
        // SAFETY: they are in the mapping and aligned; from DIRTY, acquired, to RESET, released, KVM
        // leaves them alone. Any bits are integers.
        let (slot, offset) = unsafe {
            let slot = (&raw const (*entry).slot).read_volatile();
            let offset = (&raw const (*entry).offset).read_volatile();
            (slot, offset)
        };
        flags.store(RESET, Ordering::Release);
        Some(Entry { slot, offset })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it is the mapping that `map` made, whole, and nobody has a reference into it.
        let unmapped = unsafe { libc::munmap(self.0.as_ptr().cast(), BYTES) };
        if unmapped != 0 {
            let error = io::Error::last_os_error();
            log::error!("a dirty ring can't be unmapped: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// A file in place of a vCPU.
    fn ring() -> Ring {
        let file = tempfile::tempfile().unwrap();
        let offset = u64::from(KVM_DIRTY_LOG_PAGE_OFFSET) * layout::PAGE;
        file.set_len(offset + BYTES as u64).unwrap();
        Ring {
            memory: map(&file),
            harvested: 0,
        }
    }

    fn map(file: &File) -> Memory {
        Memory::map(file.as_raw_fd()).unwrap()
    }

    /// Does what KVM does.
    fn set(ring: &Ring, index: u32, flags: u32, offset: u64) {
        let slot = 3;
        let entry = kvm_dirty_gfn {
            flags,
            slot,
            offset,
        };
        // SAFETY: the mapping has so many entries, and nobody else uses it now.
        unsafe { ring.memory.0.add(index as usize).write(entry) };
    }

    fn flags(ring: &Ring, index: u32) -> u32 {
        // SAFETY: the mapping has so many entries, and nobody else uses it now.
        unsafe { ring.memory.0.add(index as usize).read() }.flags
    }

    fn offsets(ring: &mut Ring) -> Vec<u64> {
        let entries = ring.harvest().into_iter();
        entries.map(|entry| entry.offset).collect()
    }

    #[test]
    fn what_is_dirty_is_harvested_once_and_marked_for_reset() {
        let mut ring = ring();
        set(&ring, 0, DIRTY, 7);
        set(&ring, 1, DIRTY, 8);
        // Not reached: entries are filled in in order.
        set(&ring, 3, DIRTY, 9);
        assert_eq!(offsets(&mut ring), [7, 8]);
        let now: Vec<_> = (0..4).map(|index| flags(&ring, index)).collect();
        assert_eq!(now, [RESET, RESET, 0, DIRTY]);
        assert!(ring.harvest().is_empty());
    }

    #[test]
    fn a_ring_goes_round_and_never_twice_over_what_is_not_reset() {
        let mut ring = ring();
        for index in 0..ENTRIES {
            set(&ring, index, DIRTY, index.into());
        }
        assert_eq!(offsets(&mut ring).len(), ENTRIES as usize);
        assert!(ring.harvest().is_empty());
        set(&ring, 0, DIRTY, 5);
        assert_eq!(offsets(&mut ring), [5]);
    }

    #[test]
    fn an_entry_that_is_marked_for_reset_already_is_not_taken() {
        let mut ring = ring();
        set(&ring, 0, DIRTY | RESET, 7);
        assert!(ring.harvest().is_empty());
    }
}
