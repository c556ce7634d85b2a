//! The memory that page tables stand in.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::addr::Gpa;

/// There is no memory at this guest-physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory at {0}")]
pub struct NoMemory(pub Gpa);

/// Reads page-table entries.
///
/// Others may write the same memory meanwhile, so an implementation must read each entry in one
/// access: a torn entry is a translation that never was.
pub trait TableMemory: Send + Sync {
    /// The 64-bit entry at `address`, which is a multiple of 8.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none.
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory>;
}

/// Writes page-table entries.
pub trait TableMemoryMut: TableMemory {
    /// Writes the 64-bit entry at `address`, a multiple of 8, in one access.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none.
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory>;
}

/// What an SMMU reads its structures from, and writes queues and marks to.
pub trait SystemMemory: TableMemoryMut {
    /// Makes the 64-bit word at `address`, a multiple of 8, `new` if it is `old`, in one access.
    /// Returns what was there.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none.
    fn compare_exchange(&self, address: Gpa, old: u64, new: u64) -> Result<u64, NoMemory>;

    /// Writes the 32-bit word at `address`, a multiple of 4, after everything that was written
    /// before it.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none.
    fn write_u32(&self, address: Gpa, value: u32) -> Result<(), NoMemory>;
}

/// Memory from address 0 on, with nothing else in it: for tests, benchmarks and examples.
#[derive(Debug)]
pub struct FlatMemory(Vec<AtomicU64>);

impl FlatMemory {
    /// Zeroes; `bytes` is rounded down to a multiple of 8.
    pub fn new(bytes: usize) -> Self {
        Self((0..bytes / 8).map(|_| AtomicU64::new(0)).collect())
    }

    fn word(&self, address: Gpa) -> Result<&AtomicU64, NoMemory> {
        let index = usize::try_from(address.raw() / 8).unwrap_or(usize::MAX);
        self.0.get(index).ok_or(NoMemory(address))
    }
}

impl TableMemory for FlatMemory {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        Ok(self.word(address)?.load(Ordering::Acquire))
    }
}

impl TableMemoryMut for FlatMemory {
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.word(address)?.store(entry, Ordering::Release);
        Ok(())
    }
}

impl SystemMemory for FlatMemory {
    fn compare_exchange(&self, address: Gpa, old: u64, new: u64) -> Result<u64, NoMemory> {
        let word = self.word(address)?;
        let done = word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        Ok(done.unwrap_or_else(|found| found))
    }

    fn write_u32(&self, address: Gpa, value: u32) -> Result<(), NoMemory> {
        let word = self.word(address)?;
        let shift = 8 * (address.raw() & 4);
        let kept = !(u64::from(u32::MAX) << shift);
        let set = u64::from(value) << shift;
        let change = |old: u64| Some(old & kept | set);
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_word_leaves_the_other_half() {
        let memory = FlatMemory::new(16);
        memory.write_u32(Gpa::new(12), 7).unwrap();
        memory.write_u32(Gpa::new(8), 9).unwrap();
        assert_eq!(memory.read_entry(Gpa::new(8)), Ok(7 << 32 | 9));
        assert!(memory.write_u32(Gpa::new(16), 1).is_err());
    }

    #[test]
    fn a_word_is_exchanged_only_for_what_was_expected() {
        let memory = FlatMemory::new(8);
        assert_eq!(memory.compare_exchange(Gpa::new(0), 1, 5), Ok(0));
        assert_eq!(memory.compare_exchange(Gpa::new(0), 0, 5), Ok(0));
        assert_eq!(memory.read_entry(Gpa::new(0)), Ok(5));
    }
}
