//! The memory that page tables stand in.

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

#[cfg(test)]
pub(crate) mod test_memory {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Memory from address 0 on.
    pub(crate) struct TestMemory(Vec<AtomicU64>);

    impl TestMemory {
        pub(crate) fn new(bytes: usize) -> Self {
            Self((0..bytes / 8).map(|_| AtomicU64::new(0)).collect())
        }

        fn word(&self, address: Gpa) -> Result<&AtomicU64, NoMemory> {
            let index = usize::try_from(address.raw() / 8).unwrap_or(usize::MAX);
            self.0.get(index).ok_or(NoMemory(address))
        }
    }

    impl TableMemory for TestMemory {
        fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
            Ok(self.word(address)?.load(Ordering::Acquire))
        }
    }

    impl TableMemoryMut for TestMemory {
        fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
            self.word(address)?.store(entry, Ordering::Release);
            Ok(())
        }
    }
}
