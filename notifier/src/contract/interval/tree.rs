//! The set of intervals that are watched.

use crate::addr::{AddrRange, Gva};

/// Which interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

/// Intervals in order of their insertion, looked through one by one.
pub(super) struct IntervalTree<T> {
    intervals: Vec<(Key, AddrRange<Gva>, T)>,
    next: u64,
}

impl<T> IntervalTree<T> {
    pub(super) fn new() -> Self {
        let intervals = Vec::new();
        Self { intervals, next: 0 }
    }

    pub(super) fn insert(&mut self, range: AddrRange<Gva>, value: T) -> Key {
        let key = Key(self.next);
        self.next += 1;
        self.intervals.push((key, range, value));
        key
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let at = self.intervals.iter().position(|(at, ..)| *at == key)?;
        Some(self.intervals.remove(at).2)
    }

    pub(super) fn overlapping(
        &self,
        range: AddrRange<Gva>,
    ) -> impl Iterator<Item = (Key, AddrRange<Gva>, &T)> {
        let hits = self
            .intervals
            .iter()
            .filter(move |(_, at, _)| at.overlaps(range));
        hits.map(|(key, at, value)| (*key, *at, value))
    }
}
