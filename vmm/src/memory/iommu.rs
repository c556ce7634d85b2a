//! An SMMU as vm-memory's `Iommu`, so that a device written against vm-memory's `GuestMemory` makes its
//! accesses through it unchanged.
//!
//! vm-memory expects an IOTLB that forgets when a mapping is taken away and looks up again when it
//! denies. There is none here that outlives an access: every translation asks the SMMU, whose own TLB
//! decides, a denial by what it holds included.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use notifier::addr::{Access, Address, Iova, PageSize};
use notifier::secondary::Fault;
use notifier::secondary::smmu::{Requester, Smmu, Transaction};
use vm_memory::iommu::{Error, Iotlb, IotlbIterator, IovaRange};
use vm_memory::{GuestAddress, Iommu, Permissions};

/// The most bytes that are translated at a time: 64 MiB. A device takes lengths from what its driver
/// wrote, and each page of one is a transaction of its own.
pub const MOST_BYTES: usize = 64 << 20;

/// One requester's view of an SMMU.
#[derive(Clone)]
pub struct SmmuIommu {
    /// Through which accesses go.
    pub smmu: Arc<Smmu>,
    /// Whose they are.
    pub requester: Requester,
}

/// What one access was translated to. As long as this is there, the access is on its way: a CMD_SYNC
/// for what it uses is not complete.
#[derive(Debug, Default)]
pub struct InFlight {
    translations: Iotlb,
    transactions: Vec<Transaction>,
}

impl Deref for InFlight {
    type Target = Iotlb;

    fn deref(&self) -> &Iotlb {
        &self.translations
    }
}

/// The addresses are a device's, the target guest-physical ones.
impl Iommu for SmmuIommu {
    type IotlbGuard<'a> = InFlight;

    /// Begins one access of every page; all of them end with the iterator.
    ///
    /// # Errors
    /// `CannotResolve` for the first page that the SMMU refuses, with its fault; what came before it
    /// has ended. An access that stalls is refused too: nobody here can wait for the answer. The same
    /// for more than [`MOST_BYTES`], and for a range past the top of the address space.
    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<InFlight>, Error> {
        let refused = |reason: &str| cannot_resolve(iova, length, reason);
        if length > MOST_BYTES {
            return Err(refused("more than is translated at a time"));
        }
        let end = iova.0.checked_add(length as u64);
        let end = end.ok_or_else(|| refused("past the top of the address space"))?;
        let mut all = InFlight::default();
        for (start, length) in pages(iova.0, end) {
            let begun = self.begin(Iova::new(start), access);
            let transaction = begun
                .map_err(|fault| cannot_resolve(GuestAddress(start), length, &fault.to_string()))?;
            all.add(start, length, access, transaction)?;
        }
        Iotlb::lookup(all, iova, length, access)
            .map_err(|_| refused("translated, and gone from the list of what was"))
    }
}

impl SmmuIommu {
    fn begin(&self, at: Iova, access: Permissions) -> Result<Transaction, Fault> {
        let access = match access {
            Permissions::No | Permissions::Read => Access::Read,
            Permissions::Write | Permissions::ReadWrite => Access::Write,
        };
        self.smmu.begin(self.requester, at, access)
    }
}

impl InFlight {
    fn add(
        &mut self,
        start: u64,
        length: usize,
        access: Permissions,
        transaction: Transaction,
    ) -> Result<(), Error> {
        let target = GuestAddress(transaction.target().raw());
        self.transactions.push(transaction);
        self.translations
            .set_mapping(GuestAddress(start), target, length, access)
    }
}

/// The parts of an address range, each within one page of 4 KiB.
fn pages(start: u64, end: u64) -> impl Iterator<Item = (u64, usize)> {
    let mut next = start;
    std::iter::from_fn(move || {
        let start = next;
        let rest = PageSize::K4.bytes() - Iova::new(start).page_offset(PageSize::K4);
        let length = rest.min(end - start);
        next += length;
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        Some((start, length))
    })
}

fn cannot_resolve(base: GuestAddress, length: usize, reason: &str) -> Error {
    Error::CannotResolve {
        iova_range: IovaRange { base, length },
        reason: reason.to_owned(),
    }
}

impl fmt::Debug for SmmuIommu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmmuIommu")
            .field("requester", &self.requester)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
