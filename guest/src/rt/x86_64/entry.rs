//! A page-table entry as all processors see it.

use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicU64, Ordering};

/// The eight bytes at an address. Nobody is told of a change.
pub struct Entry(*mut u64);

impl Entry {
    /// The entry at `address`.
    ///
    /// # Safety
    ///
    /// There is memory, aligned to 8 bytes, in which the payload keeps no state of Rust's.
    pub unsafe fn at(address: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "usize is 64 bits wide")]
        Self(with_exposed_provenance_mut(address as usize))
    }

    fn atomic(&self) -> &AtomicU64 {
        // SAFETY: `at` asked for aligned memory; the walkers' accesses are atomic, too.
        unsafe { AtomicU64::from_ptr(self.0) }
    }

    /// One load.
    pub fn load(&self) -> u64 {
        self.atomic().load(Ordering::SeqCst)
    }

    /// One plain store: what was made of the entry since it was last read is lost.
    pub fn store(&self, value: u64) {
        self.atomic().store(value, Ordering::Release);
    }

    /// Clears `bit`, which must be set, and nothing else, by one locked instruction; what it was.
    pub fn take_locked(&self, bit: u64) -> u64 {
        self.atomic().fetch_sub(bit, Ordering::SeqCst)
    }

    /// Makes it what `change` says of it, by one locked instruction that is tried until nobody came
    /// between; what it was.
    pub fn compare_exchange(&self, change: impl Fn(u64) -> u64) -> u64 {
        let mut old = self.load();
        loop {
            let changed = self.atomic().compare_exchange(
                old,
                change(old),
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            match changed {
                Ok(_) => return old,
                Err(now) => old = now,
            }
        }
    }
}
