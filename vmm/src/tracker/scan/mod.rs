//! The scanning tracker: the guest writes its page tables as it likes, and what has changed is found
//! by comparing them with a copy.
//!
//! KVM writes down which pages of the pool are written ([`DirtyPages`]), so that only pages are
//! compared which the guest may have written since. That is done at *points*: before a device begins what a doorbell asks of it,
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
mod ring;
mod rings;
mod thread;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use kvm_ioctls::VcpuFd;
use notifier::addr::Gpa;

use crate::lock::lock;
use crate::mirror::{Mirror, MirrorError};
use changes::Changes;

pub(crate) use copy::ShadowCopy;
pub(crate) use log::{DirtyLog, Log};
pub(crate) use point::Point;
pub(crate) use rings::DirtyRings;
pub(crate) use thread::{Scanner, Scanning, Ticket};

/// How KVM says which pages may have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirtyPages {
    /// A ring for each vCPU, in which it names each page.
    Ring,
    /// A bit for each page.
    Log,
}

impl fmt::Display for DirtyPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ring => "the dirty ring",
            Self::Log => "the dirty log",
        })
    }
}

/// What scanning took; counted where it happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCounts {
    /// Points at which KVM was asked.
    pub scans: u64,
    /// Times that a vCPU left the guest because its dirty ring was full.
    pub full: u64,
    /// Pages that KVM named, as often as it did.
    pub named: u64,
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
    /// Held while the log is asked, and never while anything is waited for. Taken after `state`.
    named: Mutex<Named>,
}

/// What KVM has said.
#[derive(Default)]
struct Named {
    /// Pages that no scan has looked at yet.
    pages: BTreeSet<Gpa>,
    /// Pages so far, as often as they were named.
    count: u64,
    /// Times that a ring was full.
    full: u64,
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
            named: Mutex::default(),
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

    /// From now on writes of `vcpu` are found; called before it runs.
    ///
    /// # Errors
    /// What KVM says.
    pub(crate) fn add(&self, vcpu: &VcpuFd) -> io::Result<()> {
        self.log.add(vcpu)
    }

    /// A vCPU has left the guest because its ring is full: there is room when this returns. What the
    /// ring named is for the next scan. To scan here might be to wait for an access that a device holds
    /// open until this very vCPU lets it go.
    ///
    /// # Errors
    /// What KVM says.
    pub(crate) fn make_room(&self) -> io::Result<()> {
        let mut named = lock(&self.named);
        named.full += 1;
        self.ask(&mut named)
    }

    pub(crate) fn counts(&self) -> ScanCounts {
        let counts = lock(&self.state).counts;
        let named = lock(&self.named);
        ScanCounts {
            full: named.full,
            named: named.count,
            ..counts
        }
    }

    /// Why what the guest has written can't be followed, if it can't.
    pub(crate) fn failure(&self) -> Option<MirrorError> {
        lock(&self.state).failure
    }

    fn round(&self, state: &mut State) -> Result<(), MirrorError> {
        state.counts.scans += 1;
        let mut pages = std::mem::take(&mut state.again);
        pages.append(&mut self.dirty()?);
        let entries = self.compare(&pages, &mut state.counts)?;
        let applied = Changes::new(&self.copy, &self.mirror, entries.clone()).apply();
        let Err(error) = applied else {
            return Ok(());
        };
        // The entries were not read at one moment: if the guest wrote meanwhile, then what can't be
        // followed is perhaps half of a move that is whole by now. A later scan decides. That a page
        // is in the log again says little: hardware that walks tables puts them there too.
        pages.append(&mut self.dirty()?);
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

    fn dirty(&self) -> Result<BTreeSet<Gpa>, MirrorError> {
        let mut named = lock(&self.named);
        let asked = self.ask(&mut named);
        asked.map_err(|error| MirrorError::Log(error.kind()))?;
        Ok(std::mem::take(&mut named.pages))
    }

    fn ask(&self, named: &mut Named) -> io::Result<()> {
        let pages = self.log.take()?;
        named.count += pages.len() as u64;
        named.pages.extend(pages);
        Ok(())
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
