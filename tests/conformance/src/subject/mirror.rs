//! Drivers, most of them of devices with page tables of their own.

use std::sync::Arc;

use notifier::addr::Gva;

use super::{Bounds, Callbacks, IntervalCallbacks, OwnerId};

/// The one memory slot of a [`MirrorKind::Kvm`].
pub const SLOT: Bounds = Bounds::pages(16, 16);

/// A driver, with what its device has mapped.
pub trait Mirror: Send + Sync {
    /// What is to be registered.
    fn subscriber(self: Arc<Self>) -> Subscriber;

    /// The device's fault of a page has been handled: it has it.
    fn fill(&self, page: Gva);

    /// What has become of a page.
    fn page(&self, page: Gva) -> Page;

    /// How it goes when it is not needed any more.
    fn leaving(&self) -> Leaving {
        Leaving::Unregister
    }

    /// As whom it begins migrations and exclusive accesses.
    fn owner(&self) -> OwnerId;
}

/// Which driver's rules it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MirrorKind {
    /// KVM: range start and end; one slot, [`SLOT`], and cached page numbers elsewhere.
    Kvm,
    /// nouveau: a range start that refuses when it must not sleep.
    Nouveau,
    /// amdkfd's shared virtual memory: an interval; it tells unmapping from eviction.
    Amdkfd,
    /// hfi1: an interval of pages that stay pinned until they are unmapped.
    Hfi1,
    /// xe's user pointers: an interval in two passes.
    Xe,
    /// `lib/test_hmm.c`: an interval that is erased.
    Hmm,
    /// AMD's IOMMU, which has none of its own: a secondary TLB, whose callback uses the driver's
    /// domain.
    Amd,
}

/// How a driver goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// `mmu_notifier_unregister`, which waits for callbacks.
    Unregister,
    /// `mmu_notifier_put`, after which callbacks may still run.
    Put,
}

impl MirrorKind {
    /// Those with page tables of their own.
    pub const OWN_TABLES: [Self; 6] = [
        Self::Kvm,
        Self::Nouveau,
        Self::Amdkfd,
        Self::Hfi1,
        Self::Xe,
        Self::Hmm,
    ];
}

/// What a driver registers.
pub enum Subscriber {
    /// A subscriber of either family.
    Callbacks(Callbacks),
    /// An interval.
    Interval(IntervalCallbacks),
}

/// A page as a driver knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The device has it mapped.
    Held,
    /// It was taken away, and will be mapped again before the device goes on.
    Evicted,
    /// It is not mapped, nor will be without a fault.
    Absent,
}

/// What a driver does in a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Cached page numbers of the range were dropped.
    PfnsDropped,
    /// The lock of its page tables was taken.
    Locked,
    /// A flush of its device was begun.
    FlushBegun,
    /// It was waited for.
    FlushDone,
}
