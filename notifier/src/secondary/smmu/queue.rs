//! The command queue: what is submitted, and when it is complete.

#[cfg(test)]
mod tests;

use std::sync::{Arc, MutexGuard, Weak};

use super::model::State;
use super::{Batch, Command, Smmu};
use crate::addr::{AddrRange, Asid, Iova, PageSize, StreamId};
use crate::secondary::{AlignedSpan, CacheId};
use crate::sync::lock;

/// The SMMU's way to the TLB of a device (an ATS invalidate request).
pub trait DeviceTlb: Send + Sync {
    /// Drops what it holds of `range`. On return every access that used it has been made.
    fn invalidate(&self, range: AddrRange<Iova>);
}

/// One SYNC at a time, in order. Held over the device TLBs' part too, so that a CMD_SYNC does not
/// complete while another completes what it must wait for.
#[derive(Debug, Default)]
pub(super) struct Syncing;

impl Smmu {
    /// Puts a command into the queue. It takes effect at the next [`sync`](Self::sync) and not
    /// before, the latest that the architecture allows (`IHI0070` 4.7.3): whoever relies on less
    /// is seen to. A CMD_SYNC completes all before it.
    pub fn submit(&self, command: Command) {
        if matches!(command, Command::Sync(_)) {
            self.sync();
        } else {
            lock(&self.state).pending.push(command);
        }
    }

    /// Submits all commands of a batch; they are complete on return.
    pub fn issue(&self, batch: &Batch) {
        for command in batch.commands() {
            self.submit(*command);
        }
    }

    /// CMD_SYNC: carries out what is in the queue. On return its entries are gone, and every access
    /// that used one has been made.
    ///
    /// Without a CMD_SYNC between them commands have no order. This takes device TLBs first, which
    /// is the order that a driver must not rely on not to happen.
    pub fn sync(&self) {
        let syncing = lock(&self.syncing);
        let mut state = lock(&self.state);
        let pending = std::mem::take(&mut state.pending);
        let (own, devices): (Vec<_>, Vec<_>) = pending.iter().partition(|it| it.is_tlbi());
        let state = self.invalidate_devices(state, &devices);
        self.tlbi(state, &own);
        drop(syncing);
    }

    /// What is in the queue, oldest first.
    pub fn pending(&self) -> Vec<Command> {
        lock(&self.state).pending.clone()
    }

    /// Carries out the command at `position` of [`pending`](Self::pending) now, as hardware may
    /// with any of them; `None` if there is none. For tests that choose the order.
    pub fn carry_out(&self, position: usize) -> Option<Command> {
        let syncing = lock(&self.syncing);
        let mut state = lock(&self.state);
        let command = (position < state.pending.len()).then(|| state.pending.remove(position))?;
        if command.is_tlbi() {
            self.tlbi(state, &[&command]);
        } else {
            drop(self.invalidate_devices(state, &[&command]));
        }
        drop(syncing);
        Some(command)
    }

    /// Lets ATC_INV commands for `stream` reach this device.
    pub fn connect(&self, stream: StreamId, device: Weak<dyn DeviceTlb>) {
        lock(&self.state).devices.insert(stream, device);
    }

    /// A device TLB waits for accesses under way, which may wait for the SMMU: so its lock is not
    /// held meanwhile.
    fn invalidate_devices<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        commands: &[&Command],
    ) -> MutexGuard<'a, State> {
        for command in commands {
            let Command::AtcInv(stream, _, span) = command else {
                continue;
            };
            state.counts.atc_invalidations += 1;
            let device = state.devices.get(stream).and_then(Weak::upgrade);
            state = self.invalidate_device(state, device, *span);
        }
        state
    }

    /// A device that is gone has nothing cached.
    fn invalidate_device<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        device: Option<Arc<dyn DeviceTlb>>,
        span: AlignedSpan,
    ) -> MutexGuard<'a, State> {
        let Some(device) = device else {
            return state;
        };
        drop(state);
        device.invalidate(span.range());
        lock(&self.state)
    }

    fn tlbi(&self, mut state: MutexGuard<'_, State>, commands: &[&Command]) {
        for command in commands {
            match command {
                Command::TlbiVa(tlbi) => {
                    let range = tlbi.range(self.features.granule);
                    self.drop_entries(&mut state, tlbi.asid, range, tlbi.only_size());
                }
                Command::TlbiAsid(_, asid) => {
                    self.drop_entries(&mut state, *asid, AddrRange::all(), None);
                }
                _ => {}
            }
        }
        if !state.pending.iter().any(Command::is_tlbi) {
            state.racing.over();
        }
    }

    /// Drops what the TLB holds of `range`, of one page size if only that is certain to go.
    pub(super) fn drop_entries(
        &self,
        state: &mut State,
        asid: Asid,
        range: AddrRange<Iova>,
        size: Option<PageSize>,
    ) {
        let cache = CacheId::SmmuTlb(asid);
        let mut survivors = Vec::new();
        let racing = &mut state.racing;
        let found = state.tlb.invalidate_of_size(asid, range, size, |entry| {
            if racing.spares(asid, entry) {
                survivors.push(*entry);
            } else {
                self.observer.dropped(cache, entry);
            }
        });
        for entry in &survivors {
            let at = entry.page.start();
            state.tlb.insert(asid, at, entry.leaf, entry.filled);
        }
        let removed = found - survivors.len() as u64;
        state.counts.invalidations += 1;
        state.counts.invalidated_entries += removed;
        state.counts.redundant_invalidations += u64::from(removed == 0);
        self.observer.invalidated(cache, range);
    }
}
