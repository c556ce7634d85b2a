//! Which pages of the page-table pool were written, and KVM's dirty log, which says so.

use std::io;
use std::sync::Arc;

use guest::abi::layout;
use kvm_ioctls::{VcpuFd, VmFd};
use notifier::addr::{AddrRange, Gpa};

use crate::memory::{Ram, page_table_slot};

/// Knows which pages of the pool the guest may have written.
pub(crate) trait Log: Send + Sync {
    /// From now on writes of `vcpu` are in the answers; called before it runs.
    ///
    /// # Errors
    /// What KVM says.
    fn add(&self, vcpu: &VcpuFd) -> io::Result<()>;

    /// The pages written since the last call. A write that comes after this began is in this
    /// answer or in the next.
    ///
    /// # Errors
    /// What KVM says.
    fn take(&self) -> io::Result<Vec<Gpa>>;
}

/// KVM's log, a bit for each page of the pool's memory slot.
pub(crate) struct DirtyLog {
    vm: Arc<VmFd>,
    slot: u32,
    pool: AddrRange<Gpa>,
}

impl DirtyLog {
    /// The log of `vm`, whose slot of the pool has one.
    pub(crate) fn new(vm: Arc<VmFd>, ram: &Ram) -> Self {
        let pool = ram.layout().page_tables();
        let slot = page_table_slot(ram);
        Self { vm, slot, pool }
    }
}

impl Log for DirtyLog {
    fn add(&self, _: &VcpuFd) -> io::Result<()> {
        // It is of all vCPUs.
        Ok(())
    }

    fn take(&self) -> io::Result<Vec<Gpa>> {
        let length = self.pool.length().unwrap_or(0);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let taken = self.vm.get_dirty_log(self.slot, length);
        let words = taken.map_err(|error| io::Error::from_raw_os_error(error.errno()))?;
        Ok(pages(self.pool, &words).collect())
    }
}

/// The pages whose bits are set, the first page's the lowest of the first word.
fn pages(pool: AddrRange<Gpa>, words: &[u64]) -> impl Iterator<Item = Gpa> {
    let bits = (0u64..).zip(words).flat_map(|(index, word)| {
        let set = (0..64).filter(move |bit| word >> bit & 1 == 1);
        set.map(move |bit| index * 64 + bit)
    });
    let page = move |number| Gpa::new(pool.start().raw() + number * layout::PAGE);
    bits.map(page).filter(move |page| pool.contains(*page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_a_page_of_the_pool() {
        let start = Gpa::new(0x40_0000);
        let pool = AddrRange::from_length(start, 66 * layout::PAGE).unwrap();
        let found: Vec<_> = pages(pool, &[1 << 63 | 1, 0b110]).collect();
        // The last bit is of a page behind the pool.
        assert_eq!(
            found,
            [0, 63, 65].map(|page| Gpa::new(0x40_0000 + page * 0x1000))
        );
    }
}
