//! The page table: entries by the addresses that they translate.

use std::collections::BTreeMap;

use notifier::addr::{AddrRange, Gva};

use crate::subject::{Bounds, Frame, Leaf};

#[derive(Default)]
pub(super) struct Table {
    /// By first address.
    entries: BTreeMap<Gva, (Bounds, Leaf)>,
    frames: u64,
}

impl Table {
    pub(super) fn next_frame(&mut self) -> Frame {
        self.frames_from(1)
    }

    /// The first of so many new ones.
    pub(super) fn frames_from(&mut self, count: u64) -> Frame {
        let first = Frame(self.frames);
        self.frames += count;
        first
    }

    pub(super) fn set(&mut self, entry: Bounds, now: Option<Leaf>) {
        match now {
            Some(leaf) => self.entries.insert(entry.start, (entry, leaf)),
            None => self.entries.remove(&entry.start),
        };
    }

    /// The entries that overlap `range`.
    pub(super) fn mapped(&self, range: AddrRange<Gva>) -> Vec<(Bounds, Leaf)> {
        let range = Bounds::from(range);
        let entries = self.entries.values();
        let hits = entries.filter(|(bounds, _)| bounds.overlaps(range));
        hits.copied().collect()
    }

    /// Blocks joined by a hint that are partly inside `range`.
    pub(super) fn blocks_cut_by(&self, range: AddrRange<Gva>) -> Vec<Bounds> {
        let mapped = self.mapped(range);
        let mut blocks: Vec<_> = mapped
            .into_iter()
            .filter(|(bounds, leaf)| leaf.span != *bounds)
            .map(|(_, leaf)| leaf.span)
            .filter(|span| !Bounds::from(range).covers(*span))
            .collect();
        blocks.dedup();
        blocks
    }

    pub(super) fn frames(&self) -> Vec<Frame> {
        self.entries.values().map(|(_, leaf)| leaf.frame).collect()
    }
}
