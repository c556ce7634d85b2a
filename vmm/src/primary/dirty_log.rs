//! KVM's dirty log, and beside it the device's.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use kvm_ioctls::VmFd;
use notifier::addr::{Gpa, PageSize};

use super::PrimaryError;
use super::frames::Frames;
use super::means::Means;
use crate::lock::lock;
use crate::memory::{DirtyLogging, Slot};

/// Pages that were written, by whom KVM knows of and by the device, of which it knows nothing.
pub(super) struct DirtyLog {
    vm: Arc<VmFd>,
    slot: Slot,
    frames: Arc<Frames>,
    /// The device's pages: its stage 2 lets it read only, and who lets it write one adds it here.
    device: Mutex<BTreeSet<u64>>,
}

impl DirtyLog {
    /// Switches the log on. Dropping it switches it off.
    pub(super) fn new(vm: &Arc<VmFd>, frames: &Arc<Frames>) -> Result<Self, PrimaryError> {
        let slot = Slot::at(frames.mapped(), frames.address(0));
        let slot = slot.ok_or_else(|| PrimaryError::Host("the frames have no slot".into()))?;
        slot.log(vm, DirtyLogging::On)
            .map_err(|error| PrimaryError::Host(format!("KVM has no dirty log: {error}")))?;
        Ok(Self {
            vm: Arc::clone(vm),
            slot,
            frames: Arc::clone(frames),
            device: Mutex::default(),
        })
    }

    /// The pages that the device was let write since the last time.
    pub(super) fn take_device(&self) -> BTreeSet<u64> {
        std::mem::take(&mut lock(&self.device))
    }

    /// Whether the device was let write any since the last time.
    pub(super) fn has_device(&self) -> bool {
        !lock(&self.device).is_empty()
    }

    /// The pages that vCPUs wrote since the last time.
    pub(super) fn take_vcpus(&self) -> Result<BTreeSet<u64>, PrimaryError> {
        let log = self.slot.take_log(&self.vm);
        let log = log.map_err(PrimaryError::kvm("KVM_GET_DIRTY_LOG"))?;
        let first = self.slot.start().raw();
        let page = |number: u64| Gpa::new(first + (number << PageSize::K4.shift()));
        let dirty = (0..).zip(log).flat_map(|(index, word)| {
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| 64 * index + bit)
        });
        Ok(dirty
            .filter_map(|number| self.frames.at(page(number)))
            .collect())
    }
}

/// The vCPUs' side is KVM's own: what is in the log is protected anew by taking the log.
impl Means for DirtyLog {
    fn take(&self, _pages: &Range<u64>) -> Result<(), PrimaryError> {
        Ok(())
    }

    fn give(&self, pages: &Range<u64>) -> Result<(), PrimaryError> {
        lock(&self.device).extend(pages.clone());
        Ok(())
    }
}

impl Drop for DirtyLog {
    fn drop(&mut self) {
        if let Err(error) = self.slot.log(&self.vm, DirtyLogging::Off) {
            log::error!("the dirty log stays on: {error}");
        }
    }
}
