//! Commands: what is submitted, when it has its effect, and when that is complete.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::carry::covers;
use super::erratum::RacingEntries;
use super::flight::Open;
use super::{AtcScope, Batch, Command, Smmu, SyncCompletion, Tlbi};
use crate::addr::{AddrRange, Iova, StreamId};
use crate::secondary::{Scope, Tag};
use crate::sync::lock;

/// With [`Tag::All`], whatever a command can invalidate.
const EVERY_STREAM: Tag = Tag::Streams(StreamId(0), StreamId(u32::MAX));

/// Commands that wait for their CMD_SYNC. With more, the oldest has its effect: hardware may carry it
/// out whenever it likes, and whoever submits them decides how many there are.
const PENDING: usize = 4096;

/// The SMMU's way to the TLB of a device (an ATS invalidate request).
pub trait DeviceTlb: Send + Sync {
    /// Drops what it holds of `range`. On return every access that used it has been made.
    ///
    /// # Errors
    /// [`NoAnswer`] if the device does not answer: nobody knows what it holds.
    fn invalidate(&self, scope: AtcScope, range: AddrRange<Iova>) -> Result<(), NoAnswer>;
}

/// A device did not answer an invalidation in time (`CERROR_ATC_INV_SYNC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device behind stream {0} did not answer an invalidation of its TLB")]
pub struct NoAnswer(pub StreamId);

/// One SYNC at a time, in order. Held over the device TLBs' part too, so that a CMD_SYNC does not
/// complete while another completes what it must wait for.
#[derive(Debug, Default)]
pub(super) struct OneSync;

/// What was submitted and is not complete.
#[derive(Default)]
pub(super) struct Queue {
    /// Without effect so far, oldest first.
    pending: VecDeque<Command>,
    /// What had its effect and is not complete, oldest first.
    owed: Vec<Owed>,
    /// How many there were.
    effects: u64,
    pub(super) racing: RacingEntries,
    devices: BTreeMap<StreamId, Weak<dyn DeviceTlb>>,
}

/// An invalidation that had its effect, and whose completion waits for accesses. It is owed until some
/// CMD_SYNC is complete: one that is abandoned, or stops at a device, takes nothing off.
#[derive(Clone, Copy, Debug)]
struct Owed {
    number: u64,
    scope: Scope,
    /// Of the accesses that are held open, those that began before this may use what it took. Unknown
    /// until the short accesses that were there are over.
    horizon: Option<u64>,
}

/// A CMD_SYNC on its way.
#[derive(Debug)]
pub struct Syncing {
    owed: Vec<Owed>,
    since: Instant,
}

impl Queue {
    pub(super) fn new(racing: RacingEntries) -> Self {
        Self {
            racing,
            ..Self::default()
        }
    }
}

impl Smmu {
    /// Puts a command into the queue. A CMD_SYNC completes all before it; by default they take
    /// effect then and not before, the latest that the architecture allows (`IHI0070` 4.7.3).
    pub fn submit(&self, command: Command) {
        if matches!(command, Command::Sync(_)) {
            // What a device does not answer is on record with the observer, and stays so.
            let _ = self.sync();
            return;
        }
        if let Some(scope) = command.scope(self.features.granule) {
            self.observer.submitted(&scope);
        }
        // With it, so that no CMD_SYNC passes by what is between the queue and its effect.
        let syncing = lock(&self.syncing);
        if let Some(command) = self.enqueue(command) {
            let _ = self.take_effect(&command);
            self.owe(&command);
        }
        drop(syncing);
    }

    fn owe(&self, command: &Command) {
        if let Some(scope) = command.scope(self.features.granule) {
            lock(&self.queue).owe(scope);
        }
    }

    /// What has to take effect at once, if anything has.
    fn enqueue(&self, command: Command) -> Option<Command> {
        let mut queue = lock(&self.queue);
        if self.knobs.tlbi == Tlbi::AtOnce || command.scope(self.features.granule).is_none() {
            return Some(command);
        }
        queue.pending.push_back(command);
        let surplus = queue.pending.len() > PENDING;
        surplus.then(|| queue.pending.pop_front()).flatten()
    }

    /// Submits all commands of a batch; they are complete on return.
    pub fn issue(&self, batch: &Batch) {
        for command in batch.commands() {
            self.submit(*command);
        }
    }

    /// CMD_SYNC: carries out what is in the queue. On return its entries are gone, and every access
    /// that used one has ended, those that are held open included.
    ///
    /// # Errors
    /// [`NoAnswer`] if a device TLB did not answer.
    pub fn sync(&self) -> Result<(), NoAnswer> {
        let sync = self.begin_sync()?;
        if self.knobs.sync == SyncCompletion::Drained {
            self.flight
                .wait_for_held(&|number, open| sync.covers(number, open));
        }
        if let Some(left) = self
            .knobs
            .latency
            .duration()
            .checked_sub(sync.since.elapsed())
        {
            std::thread::sleep(left);
        }
        self.completed(&sync);
        Ok(())
    }

    /// The same without waiting for accesses that are held open: [`poll_sync`](Self::poll_sync)
    /// tells when it is complete.
    ///
    /// Without a CMD_SYNC between them commands have no order. This takes device TLBs first, which
    /// is the order that a driver must not rely on not to happen.
    ///
    /// # Errors
    /// [`NoAnswer`] if a device TLB did not answer.
    pub fn begin_sync(&self) -> Result<Syncing, NoAnswer> {
        let since = Instant::now();
        let syncing = lock(&self.syncing);
        let pending = std::mem::take(&mut lock(&self.queue).pending);
        let (devices, own): (Vec<_>, Vec<_>) = pending.iter().copied().partition(Command::is_atc);
        let answered = devices.iter().map(|command| self.take_effect(command));
        let answered = answered.fold(Ok(()), Result::and);
        for command in own {
            let _ = self.take_effect(&command);
        }
        if self.knobs.sync == SyncCompletion::Drained {
            self.flight.drain();
        }
        for command in &pending {
            self.owe(command);
        }
        let mut queue = lock(&self.queue);
        queue.racing.over();
        queue.fix_horizons(self.flight.horizon());
        let owed = queue.owed.clone();
        drop(queue);
        drop(syncing);
        answered.map(|()| Syncing { owed, since })
    }

    /// Whether the CMD_SYNC is complete; tells the observer so when it is.
    pub fn poll_sync(&self, sync: &Syncing) -> bool {
        let held = self.knobs.sync == SyncCompletion::Drained
            && self
                .flight
                .is_held(&|number, open| sync.covers(number, open));
        let done = !held && sync.since.elapsed() >= self.knobs.latency.duration();
        if done {
            self.completed(sync);
        }
        done
    }

    fn completed(&self, sync: &Syncing) {
        let last = sync.owed.last().map(|owed| owed.number);
        let later = |owed: &Owed| last.is_none_or(|last| owed.number > last);
        lock(&self.queue).owed.retain(later);
        self.observer.synced();
    }

    /// What is in the queue without effect, oldest first.
    pub fn pending(&self) -> Vec<Command> {
        lock(&self.queue).pending.iter().copied().collect()
    }

    /// Carries out the command at `position` of [`pending`](Self::pending) now, as hardware may
    /// with any of them; `None` if there is none. For tests that choose the order. It completes at
    /// the next CMD_SYNC all the same.
    pub fn carry_out(&self, position: usize) -> Option<Command> {
        let syncing = lock(&self.syncing);
        let command = {
            let mut queue = lock(&self.queue);
            queue.pending.remove(position)?
        };
        let _ = self.take_effect(&command);
        self.owe(&command);
        drop(syncing);
        Some(command)
    }

    /// Lets ATC_INV commands for `stream` reach this device.
    pub fn connect(&self, stream: StreamId, device: Weak<dyn DeviceTlb>) {
        lock(&self.queue).devices.insert(stream, device);
    }

    /// The device behind a stream; one that is gone has nothing cached.
    pub(super) fn device(&self, stream: StreamId) -> Option<Arc<dyn DeviceTlb>> {
        lock(&self.queue)
            .devices
            .get(&stream)
            .and_then(Weak::upgrade)
    }

    /// Whether a TLB invalidation was submitted and has had no effect.
    pub(super) fn has_pending_tlbi(&self) -> bool {
        lock(&self.queue).pending.iter().any(Command::is_tlbi)
    }
}

impl Syncing {
    fn covers(&self, number: u64, open: &Open) -> bool {
        let mut owed = self.owed.iter();
        owed.any(|owed| owed.horizon.is_none_or(|end| number < end) && covers(&owed.scope, open))
    }
}

impl Queue {
    /// With too many, they become two that cover whatever a command can.
    fn owe(&mut self, scope: Scope) {
        self.effects += 1;
        self.owed.push(Owed {
            number: self.effects,
            scope,
            horizon: None,
        });
        if self.owed.len() > PENDING {
            let all = [Tag::All, EVERY_STREAM].map(|tag| Owed {
                number: self.effects,
                scope: Scope::all(tag),
                horizon: None,
            });
            self.owed = all.to_vec();
        }
    }

    fn fix_horizons(&mut self, horizon: u64) {
        for owed in &mut self.owed {
            owed.horizon.get_or_insert(horizon);
        }
    }
}
