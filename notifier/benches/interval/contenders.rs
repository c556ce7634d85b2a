//! What is measured beside each other. Each finds all intervals that overlap a page, with their
//! values.

use std::ops::Range;

use notifier::addr::{AddrRange, Gva};
use notifier::contract::interval::{IntervalTree, Key};

use crate::workload::{Numbered, Workload};

pub(crate) trait Contender {
    fn full(workload: &Workload) -> Self;

    /// The sum of the values of what overlaps `page`.
    fn sum(&self, page: AddrRange<Gva>) -> u64;
}

/// One that can change.
pub(crate) trait Dynamic: Contender {
    /// Takes one interval out and puts it back.
    fn replace(&mut self, which: usize);
}

pub(crate) struct Ours {
    tree: IntervalTree<u64>,
    keys: Vec<Key>,
    intervals: Vec<Numbered>,
}

impl Contender for Ours {
    fn full(workload: &Workload) -> Self {
        let mut tree = IntervalTree::new();
        let intervals = workload.intervals.clone();
        let insert = |(range, value): &Numbered| tree.insert(*range, *value);
        let keys = intervals.iter().map(insert).collect();
        Self {
            tree,
            keys,
            intervals,
        }
    }

    fn sum(&self, page: AddrRange<Gva>) -> u64 {
        self.tree.overlapping(page).map(|(.., value)| value).sum()
    }
}

impl Dynamic for Ours {
    fn replace(&mut self, which: usize) {
        let value = self.tree.remove(self.keys[which]).expect("it is there");
        self.keys[which] = self.tree.insert(self.intervals[which].0, value);
    }
}

/// A list that is read from its beginning to its end.
pub(crate) struct List(Vec<Numbered>);

impl Contender for List {
    fn full(workload: &Workload) -> Self {
        Self(workload.intervals.clone())
    }

    fn sum(&self, page: AddrRange<Gva>) -> u64 {
        let overlapping = self.0.iter().filter(|(range, _)| range.overlaps(page));
        overlapping.map(|(_, value)| value).sum()
    }
}

/// Peers take a half-open range, which the workload's addresses have room for.
fn half_open(range: AddrRange<Gva>) -> Range<u64> {
    range.start().raw()..range.last().raw() + 1
}

fn half_opens(workload: &Workload) -> Vec<(Range<u64>, u64)> {
    let half_open = |(range, value): &Numbered| (half_open(*range), *value);
    workload.intervals.iter().map(half_open).collect()
}

/// `iset::IntervalMap`: a red-black tree in an arena; equal intervals by `force_insert`.
pub(crate) struct Iset {
    map: iset::IntervalMap<u64, u64>,
    intervals: Vec<(Range<u64>, u64)>,
}

impl Contender for Iset {
    fn full(workload: &Workload) -> Self {
        let mut map = iset::IntervalMap::new();
        let intervals = half_opens(workload);
        for (range, value) in &intervals {
            map.force_insert(range.clone(), *value);
        }
        Self { map, intervals }
    }

    fn sum(&self, page: AddrRange<Gva>) -> u64 {
        self.map.values(half_open(page)).sum()
    }
}

impl Dynamic for Iset {
    fn replace(&mut self, which: usize) {
        let (range, value) = &self.intervals[which];
        // With equal intervals allowed, the value must say which is meant.
        let removed = self
            .map
            .remove_where(range.clone(), |candidate| candidate == value);
        self.map
            .force_insert(range.clone(), removed.expect("it is there"));
    }
}

/// `rust_lapper::Lapper`: sorted by start, searched from the longest length before the query.
pub(crate) struct StaticLapper(rust_lapper::Lapper<u64, u64>);

impl Contender for StaticLapper {
    fn full(workload: &Workload) -> Self {
        let interval = |(range, val): (Range<u64>, u64)| rust_lapper::Interval {
            start: range.start,
            stop: range.end,
            val,
        };
        let intervals = half_opens(workload).into_iter().map(interval);
        Self(rust_lapper::Lapper::new(intervals.collect()))
    }

    fn sum(&self, page: AddrRange<Gva>) -> u64 {
        let page = half_open(page);
        self.0
            .find(page.start, page.end)
            .map(|found| found.val)
            .sum()
    }
}
