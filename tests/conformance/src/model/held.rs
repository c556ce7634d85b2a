//! What a thread holds: the page-table lock, a window.

use std::sync::Mutex;

use super::Space;
use super::seat::lock;
use crate::faulty::RangeFault;
use crate::subject::{Bounds, LockedTable, Refused};

/// Until it is dropped a window with an owner is open.
pub(super) struct Owned<'a>(pub(super) Option<&'a Space>);

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        if let Some(space) = self.0 {
            lock(&space.state).owned -= 1;
        }
    }
}

pub(super) struct Locked<'a> {
    pub(super) space: &'a Space,
    /// What a fault tells when the lock is released.
    pub(super) deferred: Mutex<Vec<Bounds>>,
}

impl LockedTable for Locked<'_> {
    fn invalidate_secondary_tlbs(&self, bounds: Bounds) -> Result<(), Refused> {
        if self.space.has(RangeFault::SecondaryDeferred) {
            lock(&self.deferred).push(bounds);
            return Ok(());
        }
        self.space.secondary_of_whoever(bounds)
    }
}
