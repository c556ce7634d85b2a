//! Stalled transactions (`IHI0070` 3.12.2): an access that faults waits for what software makes of
//! it.

use std::collections::BTreeMap;

use super::{Resume, Smmu, Stag};
use crate::addr::StreamId;
use crate::sync::lock;

/// Transactions that may be stalled at the same time. One more is terminated and recorded as a fault
/// that does not stall: hardware has an end too, and the device decides how many there are.
pub const MOST_STALLED: usize = 256;

/// What is known of a stalled transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stalled {
    /// Software has not answered.
    Waiting,
    /// Software has, with this; the transaction is stalled no longer. It is told once.
    Answered(Resume),
    /// There is no such transaction.
    Unknown,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    next: u16,
    waiting: BTreeMap<(StreamId, Stag), Option<Resume>>,
}

impl Stalls {
    /// A new one; `None` if there are too many.
    fn add(&mut self, stream: StreamId) -> Option<Stag> {
        if self.waiting.len() >= MOST_STALLED {
            return None;
        }
        let mut tags = (0..=u16::MAX).map(|step| Stag(self.next.wrapping_add(step)));
        let free = tags.find(|stag| !self.waiting.contains_key(&(stream, *stag)))?;
        self.next = free.0.wrapping_add(1);
        self.waiting.insert((stream, free), None);
        Some(free)
    }
}

impl Smmu {
    /// A transaction of this stream stalls, if it can.
    pub(super) fn stall(&self, stream: StreamId) -> Option<Stag> {
        lock(&self.stalls).add(stream)
    }

    /// What became of a stalled transaction.
    pub fn stalled(&self, stream: StreamId, stag: Stag) -> Stalled {
        let mut stalls = lock(&self.stalls);
        match stalls.waiting.get(&(stream, stag)) {
            None => Stalled::Unknown,
            Some(None) => Stalled::Waiting,
            Some(Some(resume)) => {
                let answer = Stalled::Answered(*resume);
                stalls.waiting.remove(&(stream, stag));
                answer
            }
        }
    }

    /// CMD_RESUME; one for a transaction that is not there does nothing (`IHI0070` 4.6.1).
    pub(super) fn resume(&self, stream: StreamId, stag: Stag, resume: Resume) {
        if let Some(answer) = lock(&self.stalls).waiting.get_mut(&(stream, stag)) {
            answer.get_or_insert(resume);
        }
        self.forget_stall_records(stream, Some(stag));
    }

    /// CMD_STALL_TERM: every stalled transaction of the stream ends with an abort.
    pub(super) fn end_stalls(&self, stream: StreamId) {
        for ((of, _), answer) in &mut lock(&self.stalls).waiting {
            if *of == stream {
                answer.get_or_insert(Resume::Abort);
            }
        }
        self.forget_stall_records(stream, None);
    }
}
