//! Drivers that watch an interval.

use std::sync::Arc;

use super::Driver;
use crate::faulty::ConsumerFault;
use crate::subject::{Answer, Change, Event, IntervalCallbacks, Work};

fn callbacks(invalidate: impl Fn(Change) -> Answer + Send + Sync + 'static) -> IntervalCallbacks {
    IntervalCallbacks {
        invalidate: Box::new(invalidate),
    }
}

impl Driver {
    /// Linux: `svm_range_cpu_invalidate_pagetables`.
    pub(super) fn amdkfd(self: Arc<Self>) -> IntervalCallbacks {
        callbacks(move |change| {
            let evicts = self.has(ConsumerFault::UnmapEvicts);
            match change.event {
                // The process goes, and with it its queues: nothing would be restored.
                Event::Release if !self.has(ConsumerFault::ReleaseEvicts) => {}
                Event::Unmap if !evicts => self.zap(change.bounds),
                _ => self.evict(change.bounds),
            }
            Answer::Done
        })
    }

    /// Linux: `tid_rb_invalidate`. Its pages are pinned, so no other event changes what they are.
    pub(super) fn hfi1(self: Arc<Self>) -> IntervalCallbacks {
        callbacks(move |change| {
            if change.event == Event::Unmap || self.has(ConsumerFault::EveryEventUnpins) {
                self.zap(change.bounds);
            }
            Answer::Done
        })
    }

    /// Linux: `xe_vma_userptr_invalidate_start` and `_finish`.
    pub(super) fn xe(self: Arc<Self>) -> IntervalCallbacks {
        callbacks(move |change| {
            self.did(Work::FlushBegun);
            let driver = Arc::clone(&self);
            let finish = move || {
                driver.did(Work::FlushDone);
                driver.zap(change.bounds);
            };
            if self.has(ConsumerFault::WaitsAtOnce) {
                finish();
                return Answer::Done;
            }
            Answer::Finish(Box::new(finish))
        })
    }

    /// Linux: `dmirror_interval_invalidate`. The lock that it would try to take, and the number that
    /// it would set under it, are the address space's business here.
    pub(super) fn hmm(self: Arc<Self>) -> IntervalCallbacks {
        callbacks(move |change| {
            if !self.has(ConsumerFault::MirrorKeeps) {
                self.zap(change.bounds);
            }
            Answer::Done
        })
    }
}
