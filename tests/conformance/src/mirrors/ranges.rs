//! Drivers that follow all ranges, or cache the primary page table.

use std::sync::Arc;

use super::{Driver, OWNER};
use crate::faulty::ConsumerFault;
use crate::subject::{
    Again, Blocking, Bounds, Call, Callbacks, Change, Refuses, SLOT, Start, Work,
};

impl Driver {
    /// Linux: `kvm_mmu_notifier_invalidate_range_start` and `_end`.
    pub(super) fn kvm(self: Arc<Self>) -> Callbacks {
        let (starting, ending) = (Arc::clone(&self), Arc::clone(&self));
        Callbacks {
            range_start: Some(Start::infallible(move |change| {
                starting.kvm_start(change.bounds);
            })),
            range_end: Some(Box::new(move |change| {
                if ending.has(ConsumerFault::UnmapsAtEnd) {
                    ending.zap(change.bounds);
                }
            })),
            release: Some(self.gone()),
            ..Callbacks::default()
        }
    }

    /// Cached page numbers have a lock of their own, and may be of addresses without a slot; so they
    /// go first and always.
    fn kvm_start(&self, bounds: Bounds) {
        let late = self.has(ConsumerFault::PfnCacheLate);
        if !late {
            self.did(Work::PfnsDropped);
        }
        if bounds.overlaps(SLOT) || self.has(ConsumerFault::LockAlways) {
            self.did(Work::Locked);
            if !self.has(ConsumerFault::UnmapsAtEnd) {
                self.zap(bounds);
            }
        }
        if late {
            self.did(Work::PfnsDropped);
        }
    }

    /// Linux: `nouveau_svmm_invalidate_range_start`.
    pub(super) fn nouveau(self: Arc<Self>) -> Callbacks {
        let starting = Arc::clone(&self);
        Callbacks {
            range_start: Some(Start {
                refuses: Refuses::WhenMustNotSleep,
                call: Box::new(move |change| starting.nouveau_start(change)),
            }),
            release: Some(self.gone()),
            ..Callbacks::default()
        }
    }

    fn nouveau_start(&self, change: Change) -> Result<(), Again> {
        let refuses = change.blocking == Blocking::Forbidden;
        if refuses && !self.has(ConsumerFault::RefusesHalfway) {
            return Err(Again);
        }
        let own = change.event.owner() == Some(OWNER);
        if !own || self.has(ConsumerFault::OwnerIgnored) {
            self.zap(change.bounds);
        }
        if refuses { Err(Again) } else { Ok(()) }
    }

    /// Linux: `sva_arch_invalidate_secondary_tlbs` of AMD's driver, which walks its domain's devices.
    pub(super) fn amd(self: Arc<Self>) -> Callbacks {
        Callbacks {
            secondary_tlb: Some(Box::new(move |bounds| {
                self.did(Work::FlushBegun);
                self.zap(bounds);
            })),
            ..Callbacks::default()
        }
    }

    fn gone(self: Arc<Self>) -> Call {
        Box::new(move || self.pages().clear())
    }
}
