//! Guest memory itself.
#![expect(
    unsafe_code,
    reason = "anonymous shared memory has no safe wrapper here"
)]

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use notifier::addr::{AddrRange, Address, Gpa};
use notifier::paging::{NoMemory, SystemMemory, TableMemory, TableMemoryMut};
use vm_memory::{
    Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
    VolatileMemory,
};

use super::Layout;

/// Guest memory, shared by everybody who has a copy of this.
#[derive(Clone, Debug)]
pub struct Ram {
    memory: GuestMemoryMmap,
    layout: Layout,
}

/// An access that is not wholly inside guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length:#x} bytes at {address} are not inside guest memory")]
pub struct OutsideMemory {
    /// First byte.
    pub address: Gpa,
    /// How many.
    pub length: usize,
}

impl Ram {
    /// Fresh zeroed memory, in one region before the page-table pool, one for it, and one after.
    ///
    /// It is shared anonymous memory: unmapping a page from this process loses nothing, and makes
    /// KVM forget what it derived from it.
    ///
    /// # Errors
    /// If the host does not give that much.
    pub fn new(layout: Layout) -> io::Result<Self> {
        let length = layout.memory().length().unwrap_or(u64::MAX);
        let file = Arc::new(anonymous_file(length)?);
        let regions: Vec<_> = regions(&layout)
            .filter_map(|region| mapping(region, &file))
            .collect();
        let memory = GuestMemoryMmap::from_ranges_with_files(&regions).map_err(io::Error::other)?;
        Ok(Self { memory, layout })
    }

    /// The memory map it was made for.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The same memory, mapped once more: what the host does to the first mapping's protection does
    /// not bind who uses this one, as it does not bind a device.
    ///
    /// # Errors
    /// If the host does not map it.
    pub fn alias(&self) -> io::Result<Self> {
        let regions = self.memory.iter().map(|region| {
            let length = usize::try_from(region.len()).unwrap_or(usize::MAX);
            (region.start_addr(), length, region.file_offset().cloned())
        });
        let memory = GuestMemoryMmap::from_ranges_with_files(regions);
        Ok(Self {
            memory: memory.map_err(io::Error::other)?,
            layout: self.layout,
        })
    }

    /// The memory as vm-memory has it.
    pub fn backend(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    /// Fills `bytes` from `address` on.
    ///
    /// # Errors
    /// [`OutsideMemory`]; some bytes may have been read.
    pub fn read(&self, address: Gpa, bytes: &mut [u8]) -> Result<(), OutsideMemory> {
        let length = bytes.len();
        let read = self.memory.read_slice(bytes, at(address));
        read.map_err(|_| OutsideMemory { address, length })
    }

    /// Writes `bytes` from `address` on.
    ///
    /// # Errors
    /// [`OutsideMemory`]; some bytes may have been written.
    pub fn write(&self, address: Gpa, bytes: &[u8]) -> Result<(), OutsideMemory> {
        let length = bytes.len();
        let written = self.memory.write_slice(bytes, at(address));
        written.map_err(|_| OutsideMemory { address, length })
    }

    /// Publishes a word, a multiple of 8, after everything that was written before it.
    ///
    /// # Errors
    /// [`OutsideMemory`].
    pub fn publish(&self, address: Gpa, word: u64) -> Result<(), OutsideMemory> {
        let stored = self
            .memory
            .store(word.to_le(), at(address), Ordering::Release);
        stored.map_err(|_| OutsideMemory { address, length: 8 })
    }

    /// Whether any of these bytes is in the page-table pool.
    pub fn is_page_table(&self, address: Gpa, length: u64) -> bool {
        let range = AddrRange::from_length(address, length);
        range.is_ok_and(|range| range.overlaps(self.layout.page_tables()))
    }
}

/// Page-table entries are little-endian on every architecture there is a format for.
impl TableMemory for Ram {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        let loaded = self.memory.load::<u64>(at(address), Ordering::Acquire);
        loaded.map(u64::from_le).map_err(|_| NoMemory(address))
    }
}

impl TableMemoryMut for Ram {
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.publish(address, entry).map_err(|_| NoMemory(address))
    }
}

impl SystemMemory for Ram {
    fn compare_exchange(&self, address: Gpa, old: u64, new: u64) -> Result<u64, NoMemory> {
        let nowhere = |_| NoMemory(address);
        let slice = self.memory.get_slice(at(address), 8).map_err(nowhere)?;
        let word = slice
            .get_atomic_ref::<AtomicU64>(0)
            .map_err(|_| NoMemory(address))?;
        let (old, new) = (old.to_le(), new.to_le());
        let done = word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        Ok(u64::from_le(done.unwrap_or_else(|found| found)))
    }

    fn write_u32(&self, address: Gpa, value: u32) -> Result<(), NoMemory> {
        let stored = self
            .memory
            .store(value.to_le(), at(address), Ordering::Release);
        stored.map_err(|_| NoMemory(address))
    }
}

fn at(address: Gpa) -> GuestAddress {
    GuestAddress(address.raw())
}

/// Memory before the pool, the pool, memory after it; the first and the last may be nothing.
fn regions(layout: &Layout) -> impl Iterator<Item = AddrRange<Gpa>> {
    let (memory, pool) = (layout.memory(), layout.page_tables());
    let before = AddrRange::new(memory.start(), pool.start()).ok();
    let end = pool.last().checked_add(1);
    let after = end.and_then(|end| AddrRange::through(end, memory.last()).ok());
    [before, Some(pool), after].into_iter().flatten()
}

/// Guest-physical addresses are offsets in the file.
fn mapping(
    region: AddrRange<Gpa>,
    file: &Arc<File>,
) -> Option<(GuestAddress, usize, Option<FileOffset>)> {
    let length = usize::try_from(region.length()?).ok()?;
    let place = FileOffset::from_arc(Arc::clone(file), region.start().raw());
    Some((at(region.start()), length, Some(place)))
}

/// Memory with a descriptor and without a name: it goes when its last user goes.
fn anonymous_file(length: u64) -> io::Result<File> {
    // SAFETY: the name is a terminated string, and the call has no other precondition.
    let descriptor = unsafe { libc::memfd_create(c"guest-memory".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened just now and is nobody else's.
    let file = unsafe { File::from_raw_fd(descriptor) };
    file.set_len(length)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::MemoryConfig;
    use super::*;

    fn ram() -> Ram {
        Ram::new(Layout::new(&MemoryConfig::default()).unwrap()).unwrap()
    }

    #[test]
    fn memory_is_one_piece_for_who_uses_it() {
        let ram = ram();
        let seam = ram.layout().page_tables().start().raw() - 4;
        ram.write(Gpa::new(seam), &[1; 8]).unwrap();
        let mut read = [0; 8];
        ram.read(Gpa::new(seam), &mut read).unwrap();
        assert_eq!(read, [1; 8]);
    }

    #[test]
    fn a_word_is_exchanged_in_memory_and_nowhere_else() {
        let ram = ram();
        let at = Gpa::new(0x2000);
        ram.write_entry(at, 3).unwrap();
        assert_eq!(ram.compare_exchange(at, 2, 9), Ok(3));
        assert_eq!(ram.compare_exchange(at, 3, 9), Ok(3));
        ram.write_u32(Gpa::new(0x2004), 1).unwrap();
        assert_eq!(ram.read_entry(at), Ok(1 << 32 | 9));
        let end = Gpa::new(ram.layout().memory().last().raw() + 1);
        assert_eq!(ram.compare_exchange(end, 0, 1), Err(NoMemory(end)));
        let between = Gpa::new(0x2001);
        assert_eq!(ram.compare_exchange(between, 0, 1), Err(NoMemory(between)));
    }

    #[test]
    fn nothing_reaches_past_the_end() {
        let ram = ram();
        let end = ram.layout().memory().last().raw() + 1;
        assert!(ram.write(Gpa::new(end - 4), &[0; 8]).is_err());
        assert!(ram.read(Gpa::new(u64::MAX), &mut [0; 8]).is_err());
        assert_eq!(ram.read_entry(Gpa::new(end)), Err(NoMemory(Gpa::new(end))));
    }

    #[test]
    fn the_pool_is_known_by_any_of_its_bytes() {
        let ram = ram();
        let pool = ram.layout().page_tables();
        assert!(ram.is_page_table(Gpa::new(pool.start().raw() - 1), 2));
        assert!(!ram.is_page_table(Gpa::new(pool.start().raw() - 1), 1));
        assert!(ram.is_page_table(pool.last(), 1));
    }
}
