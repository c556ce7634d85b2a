//! The copy of the page-table pool: what the secondary MMUs walk while the guest writes the pool.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use guest::abi::layout;
use notifier::addr::{AddrRange, Gpa};
use notifier::paging::{NoMemory, SystemMemory, TableMemory, TableMemoryMut};

use crate::lock::lock;
use crate::memory::Ram;

/// Bytes of an entry.
const ENTRY: u64 = 8;

/// The pool as of the last scan. Everything outside the pool is guest memory itself.
///
/// Walkers read tables here and not in the guest's memory: else they would find entries that the
/// mirror has not heard of, and the oracle would have to take what is merely late for wrong.
pub(crate) struct ShadowCopy {
    ram: Ram,
    pool: AddrRange<Gpa>,
    /// By place in the pool, the entries.
    entries: Vec<AtomicU64>,
    /// Entries with a mark by hardware that found no place in the guest's memory: the guest had
    /// changed them since the last scan.
    unstored: Mutex<BTreeSet<Gpa>>,
}

impl ShadowCopy {
    /// A copy of the pool as it is now.
    ///
    /// # Errors
    /// [`NoMemory`] if the pool is not wholly in memory.
    pub(crate) fn new(ram: Ram) -> Result<Self, NoMemory> {
        let pool = ram.layout().page_tables();
        let slots = slots(pool.start(), pool.length().unwrap_or(0));
        let entries = slots.map(|slot| Ok(AtomicU64::new(ram.read_entry(slot)?)));
        let entries = entries.collect::<Result<_, NoMemory>>()?;
        Ok(Self {
            ram,
            pool,
            entries,
            unstored: Mutex::default(),
        })
    }

    /// The entries of the table page at `page` that the guest has changed, with what they are now.
    /// Each is read in one access; the guest may change others meanwhile.
    pub(super) fn changed(&self, page: Gpa) -> Result<Vec<(Gpa, u64)>, NoMemory> {
        let mut changed = Vec::new();
        for slot in slots(page, layout::PAGE) {
            let entry = self.written(slot)?;
            if self.read_entry(slot)? != entry {
                changed.push((slot, entry));
            }
        }
        Ok(changed)
    }

    /// What the guest has written at `slot`, known or not.
    pub(super) fn written(&self, slot: Gpa) -> Result<u64, NoMemory> {
        self.ram.read_entry(slot)
    }

    /// Brings one entry up to what the guest made of it.
    pub(super) fn store(&self, slot: Gpa, entry: u64) {
        if let Some(place) = self.entry(slot) {
            place.store(entry, Ordering::Release);
        }
    }

    /// The same for an entry of a table, unless it is not `before` any more. Says whether it was.
    pub(super) fn replace(&self, slot: Gpa, before: u64, entry: u64) -> bool {
        self.entry(slot).is_none_or(|place| {
            let done = place.compare_exchange(before, entry, Ordering::AcqRel, Ordering::Acquire);
            done.is_ok()
        })
    }

    /// What hardware made of the entry here and could not in the guest's memory; once.
    pub(super) fn take_unstored(&self, slot: Gpa) -> Option<u64> {
        let marked = lock(&self.unstored).remove(&slot);
        let entry = self.entry(slot).filter(|_| marked)?;
        Some(entry.load(Ordering::Acquire))
    }

    fn entry(&self, slot: Gpa) -> Option<&AtomicU64> {
        let offset = slot.raw().checked_sub(self.pool.start().raw())?;
        let index = usize::try_from(offset / ENTRY).ok()?;
        let whole = offset.is_multiple_of(ENTRY);
        self.entries.get(index).filter(|_| whole)
    }
}

fn slots(start: Gpa, length: u64) -> impl Iterator<Item = Gpa> {
    let offsets = (0..length / ENTRY).map(|index| index * ENTRY);
    offsets.map(move |offset| Gpa::new(start.raw() + offset))
}

impl TableMemory for ShadowCopy {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        match self.entry(address) {
            Some(entry) => Ok(entry.load(Ordering::Acquire)),
            None => self.ram.read_entry(address),
        }
    }
}

impl TableMemoryMut for ShadowCopy {
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.store(address, entry);
        self.ram.write_entry(address, entry)
    }
}

impl SystemMemory for ShadowCopy {
    /// A mark belongs to the entry that was walked, which is the copy's. It reaches the guest's
    /// memory if the guest still has that entry there; else it is as if the access had come before
    /// the guest's change, and only the copy has it.
    fn compare_exchange(&self, address: Gpa, old: u64, new: u64) -> Result<u64, NoMemory> {
        let Some(entry) = self.entry(address) else {
            return self.ram.compare_exchange(address, old, new);
        };
        let done = entry.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        if let Err(found) = done {
            return Ok(found);
        }
        if self.ram.compare_exchange(address, old, new)? != old {
            lock(&self.unstored).insert(address);
        }
        Ok(old)
    }

    fn write_u32(&self, address: Gpa, value: u32) -> Result<(), NoMemory> {
        self.ram.write_u32(address, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Layout, MemoryConfig};

    fn copy() -> (Ram, ShadowCopy, Gpa) {
        let ram = Ram::new(Layout::new(&MemoryConfig::default()).unwrap()).unwrap();
        let slot = Gpa::new(ram.layout().page_tables().start().raw() + 0x18);
        ram.publish(slot, 5).unwrap();
        let copy = ShadowCopy::new(ram.clone()).unwrap();
        (ram, copy, slot)
    }

    #[test]
    fn what_the_guest_writes_is_seen_when_it_is_stored() {
        let (ram, copy, slot) = copy();
        ram.publish(slot, 7).unwrap();
        assert_eq!(copy.read_entry(slot), Ok(5));
        let page = Gpa::new(slot.raw() & !0xfff);
        assert_eq!(copy.changed(page), Ok(vec![(slot, 7)]));
        assert!(!copy.replace(slot, 6, 7));
        assert!(copy.replace(slot, 5, 7));
        assert_eq!(copy.changed(page), Ok(vec![]));
        assert_eq!(copy.read_entry(slot), Ok(7));
    }

    #[test]
    fn a_mark_reaches_the_guest_unless_the_guest_was_faster() {
        let (ram, copy, slot) = copy();
        assert_eq!(copy.compare_exchange(slot, 5, 0x25), Ok(5));
        assert_eq!(
            (ram.read_entry(slot), copy.read_entry(slot)),
            (Ok(0x25), Ok(0x25))
        );
        assert_eq!(copy.take_unstored(slot), None);

        ram.publish(slot, 0).unwrap();
        assert_eq!(copy.compare_exchange(slot, 0x25, 0x65), Ok(0x25));
        assert_eq!(ram.read_entry(slot), Ok(0));
        assert_eq!(copy.take_unstored(slot), Some(0x65));
        assert_eq!(copy.take_unstored(slot), None);
        assert_eq!(copy.compare_exchange(slot, 0x25, 1), Ok(0x65));
    }

    #[test]
    fn outside_the_pool_it_is_memory() {
        let (ram, copy, _) = copy();
        let outside = Gpa::new(0x10_0000);
        ram.publish(outside, 3).unwrap();
        assert_eq!(copy.read_entry(outside), Ok(3));
        assert_eq!(copy.compare_exchange(outside, 3, 4), Ok(3));
        assert_eq!(ram.read_entry(outside), Ok(4));
        assert_eq!(copy.read_entry(Gpa::new(1)), Err(NoMemory(Gpa::new(1))));
    }
}
