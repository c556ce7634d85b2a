//! The scanning tracker: the guest writes its page tables as it likes, and what has changed is found
//! by comparing them with a copy.
//!
//! The pool's memory slot has a dirty log, so that only pages are compared which the guest may have
//! written since. That is done at *points*: before a device begins what a doorbell asks of it,
//! before the SMMU does what a write to its registers asks of it (and so before a CMD_SYNC is
//! complete that the guest's driver submits), every millisecond, and at the end of the run.
//!
//! What a scan finds is made in the copy, entry by entry, as every tracker makes a write: announced
//! to the mirror, made under the page-table lock, told. Secondary MMUs walk the copy. So for them a
//! change happens when it is found.

mod changes;
mod copy;
#[cfg(test)]
mod fixture;
mod log;
mod point;
mod thread;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use notifier::addr::Gpa;

use crate::lock::lock;
use crate::mirror::{Mirror, MirrorError};
use changes::Changes;

pub(crate) use copy::ShadowCopy;
pub(crate) use log::{DirtyLog, Log};
pub(crate) use point::Point;
pub(crate) use thread::{Scanner, Scanning, Ticket};

/// What scanning took; counted where it happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCounts {
    /// Points at which the dirty log was asked.
    pub scans: u64,
    /// Pages whose entries were compared with the copy, once for each time.
    pub pages: u64,
    /// Entries that differed.
    pub entries: u64,
}

/// Compares, and hands over what differs.
pub(crate) struct Scan {
    log: Box<dyn Log>,
    copy: Arc<ShadowCopy>,
    mirror: Arc<Mirror>,
    /// Held for a whole scan.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Pages that are compared again whatever the log says of them.
    again: BTreeSet<Gpa>,
    counts: ScanCounts,
    failure: Option<MirrorError>,
}

impl Scan {
    pub(crate) fn new(log: Box<dyn Log>, copy: Arc<ShadowCopy>, mirror: Arc<Mirror>) -> Self {
        Self {
            log,
            copy,
            mirror,
            state: Mutex::default(),
        }
    }

    /// Whatever the guest had written when this was called is known when it returns. It may have to
    /// wait for accesses that a device holds open, as every invalidation does.
    ///
    /// # Errors
    /// [`MirrorError`] if what it has written can't be followed: now and ever after.
    pub(crate) fn now(&self) -> Result<(), MirrorError> {
        let mut state = lock(&self.state);
        if let Some(failure) = state.failure {
            return Err(failure);
        }
        let done = self.round(&mut state);
        state.failure = done.err();
        done
    }

    pub(crate) fn counts(&self) -> ScanCounts {
        lock(&self.state).counts
    }

    /// Why what the guest has written can't be followed, if it can't.
    pub(crate) fn failure(&self) -> Option<MirrorError> {
        lock(&self.state).failure
    }

    fn round(&self, state: &mut State) -> Result<(), MirrorError> {
        state.counts.scans += 1;
        let mut pages = std::mem::take(&mut state.again);
        pages.extend(self.dirty()?);
        let entries = self.compare(&pages, &mut state.counts)?;
        let applied = Changes::new(&self.copy, &self.mirror, entries.clone()).apply();
        let Err(error) = applied else {
            return Ok(());
        };
        // The entries were not read at one moment: if the guest wrote meanwhile, then what can't be
        // followed is perhaps half of a move that is whole by now. A later scan decides. That a page
        // is in the log again says little: hardware that walks tables puts them there too.
        pages.extend(self.dirty()?);
        if self.is_still(&entries, &pages, &mut state.counts)? {
            return Err(error);
        }
        state.again = pages;
        Ok(())
    }

    /// Whether the entries that were found in `pages` are all that is there, and the same.
    fn is_still(
        &self,
        found: &BTreeMap<Gpa, u64>,
        pages: &BTreeSet<Gpa>,
        counts: &mut ScanCounts,
    ) -> Result<bool, MirrorError> {
        for (slot, entry) in found {
            if self.copy.written(*slot)? != *entry {
                return Ok(false);
            }
        }
        let now = self.compare(pages, counts)?;
        Ok(now.keys().all(|slot| found.contains_key(slot)))
    }

    fn dirty(&self) -> Result<Vec<Gpa>, MirrorError> {
        let taken = self.log.take();
        taken.map_err(|error| MirrorError::Log(error.kind()))
    }

    fn compare(
        &self,
        pages: &BTreeSet<Gpa>,
        counts: &mut ScanCounts,
    ) -> Result<BTreeMap<Gpa, u64>, MirrorError> {
        let mut entries = BTreeMap::new();
        for page in pages {
            counts.pages += 1;
            entries.extend(self.copy.changed(*page)?);
        }
        counts.entries += entries.len() as u64;
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
