//! By what the host takes writes away from the vCPUs.

use std::ops::Range;

use super::PrimaryError;

/// One way to do it. Calls about one page never overlap.
pub(super) trait Means: Send + Sync {
    /// On return no vCPU writes these pages unnoticed.
    fn take(&self, pages: &Range<u64>) -> Result<(), PrimaryError>;

    /// The vCPUs may write these pages, and whoever waits for that goes on.
    fn give(&self, pages: &Range<u64>) -> Result<(), PrimaryError>;

    /// Somebody waits for a page that was given back already: he goes on.
    fn wake(&self, _page: u64) -> Result<(), PrimaryError> {
        Ok(())
    }
}
