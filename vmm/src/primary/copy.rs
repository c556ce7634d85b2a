//! A second copy of the pages that is kept up by the dirty log, as migration does.

use std::collections::BTreeSet;

use super::PrimaryError;
use super::dirty_log::DirtyLog;
use super::frames::{BYTES, Frames};
use super::space::Primary;

/// The copy, and what it took to keep it up.
pub(super) struct Copy {
    pages: Vec<Box<[u8; BYTES]>>,
    counts: CopyCounts,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyCounts {
    /// Pages that KVM's log named.
    pub logged_vcpus: u64,
    /// Pages that the device's log named.
    pub logged_device: u64,
    /// Pages copied after the first time.
    pub copied: u64,
    /// Pages that differ from memory at the end.
    pub different: u64,
}

impl Copy {
    /// Copies every page; logging is on and the device's pages are taken.
    pub(super) fn new(frames: &Frames) -> Result<Self, PrimaryError> {
        let pages = frames.all().map(|page| frames.read(page));
        Ok(Self {
            pages: pages.collect::<Result<_, _>>()?,
            counts: CopyCounts::default(),
        })
    }

    /// Copies what was written since the last time. What is written from now on is in the log again:
    /// the device's pages are taken and KVM's are protected before a byte is copied.
    pub(super) fn update(&mut self, primary: &Primary, log: &DirtyLog) -> Result<(), PrimaryError> {
        let device = log.take_device();
        for page in &device {
            primary.take(*page..*page + 1, || Ok(()))?;
        }
        let vcpus = log.take_vcpus()?;
        self.counts.logged_vcpus += vcpus.len() as u64;
        self.counts.logged_device += device.len() as u64;
        let dirty: BTreeSet<_> = device.union(&vcpus).collect();
        for page in dirty {
            let contents = primary.frames().read(*page)?;
            let at = usize::try_from(*page).unwrap_or(usize::MAX);
            if let Some(copy) = self.pages.get_mut(at) {
                *copy = contents;
                self.counts.copied += 1;
            }
        }
        Ok(())
    }

    /// Holds it against memory, which nobody writes any more.
    pub(super) fn compare(mut self, frames: &Frames) -> Result<CopyCounts, PrimaryError> {
        for (page, copy) in frames.all().zip(&self.pages) {
            self.counts.different += u64::from(frames.read(page)? != *copy);
        }
        Ok(self.counts)
    }
}
