//! mprotect of the host's mapping of guest memory.
#![expect(unsafe_code, reason = "mprotect has no safe wrapper here")]

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::PrimaryError;
use super::frames::Frames;
use super::means::Means;

/// The vCPUs' mapping. Dropping it gives everything back.
pub(super) struct Mapping(pub(super) Arc<Frames>);

impl Mapping {
    fn protect(&self, pages: &Range<u64>, protection: libc::c_int) -> Result<(), PrimaryError> {
        let (start, length) = self.0.host(pages)?;
        // SAFETY: the pages are whole pages of the mapping that `Frames` keeps. While they can only
        // be read, the vCPUs alone write through that mapping, and a vCPU gets an error for it;
        // everybody else in this process writes these pages through another one.
        let done = unsafe {
            let start = std::ptr::with_exposed_provenance_mut(start);
            libc::mprotect(start, length, protection)
        };
        if done == 0 {
            return Ok(());
        }
        Err(PrimaryError::system("mprotect")(io::Error::last_os_error()))
    }
}

impl Means for Mapping {
    fn take(&self, pages: &Range<u64>) -> Result<(), PrimaryError> {
        self.protect(pages, libc::PROT_READ)
    }

    fn give(&self, pages: &Range<u64>) -> Result<(), PrimaryError> {
        self.protect(pages, libc::PROT_READ | libc::PROT_WRITE)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Err(error) = self.give(&self.0.all()) {
            log::error!("guest memory stays read-only: {error}");
        }
    }
}
