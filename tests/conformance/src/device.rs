//! The most awkward device there can be: it caches every entry the moment that it may, and keeps it
//! for as long as nobody invalidates it.

use std::collections::BTreeMap;

use notifier::addr::Gva;

use crate::log::Seen;
use crate::subject::{Bounds, Frame, Leaf, PAGE, Platform, Rights, Step};

/// What a device goes through.
pub(crate) struct Device {
    platform: Platform,
    /// The page table, by first address.
    table: BTreeMap<Gva, (Bounds, Leaf)>,
    cache: Vec<Cached>,
    /// Entries with another frame that became visible while the old one was cached.
    pub(crate) early: u64,
    /// Frames that were freed while they were cached.
    pub(crate) freed: u64,
}

#[derive(Clone, Copy)]
struct Cached {
    /// What the entry in the table translates.
    entry: Bounds,
    leaf: Leaf,
}

impl Cached {
    /// The frame that it uses for an address of its span.
    fn frame(&self, page: u64) -> Frame {
        Frame(
            self.leaf
                .frame
                .0
                .wrapping_add(page.wrapping_sub(self.entry.start.raw()) / PAGE),
        )
    }

    fn pages(&self) -> impl Iterator<Item = u64> {
        let span = self.leaf.span;
        (span.start.raw()..span.end.raw()).step_by(0x1000)
    }
}

impl Device {
    /// One that went through all of it.
    pub(crate) fn after(platform: Platform, seen: &[Seen]) -> Self {
        let mut device = Self {
            platform,
            table: BTreeMap::new(),
            cache: Vec::new(),
            early: 0,
            freed: 0,
        };
        for seen in seen {
            match seen {
                Seen::Step(Step::Written { entry, now }) => device.written(*entry, *now),
                Seen::Step(Step::Freed(frame)) => device.freed(*frame),
                Seen::Tlb(_, bounds) => device.invalidated(*bounds),
                _ => {}
            }
        }
        device
    }

    fn written(&mut self, entry: Bounds, now: Option<Leaf>) {
        match now {
            Some(leaf) => self.table.insert(entry.start, (entry, leaf)),
            None => self.table.remove(&entry.start),
        };
        let Some(leaf) = now else { return };
        let page = entry.start.raw();
        let old = self.cached(entry);
        if old.is_some_and(|old| old.frame(page) != leaf.frame) {
            self.early += 1;
        }
        self.walk(entry, leaf);
    }

    fn cached(&self, entry: Bounds) -> Option<Cached> {
        let covers = |cached: &&Cached| cached.leaf.span.overlaps(entry);
        self.cache.iter().find(covers).copied()
    }

    /// Caches what it may.
    fn walk(&mut self, entry: Bounds, leaf: Leaf) {
        if leaf.accessed && self.cached(leaf.span).is_none() {
            self.cache.push(Cached { entry, leaf });
        }
    }

    fn invalidated(&mut self, bounds: Bounds) {
        self.cache
            .retain(|cached| !cached.leaf.span.overlaps(bounds));
        let entries: Vec<_> = self.table.values().copied().collect();
        for (entry, leaf) in entries {
            self.walk(entry, leaf);
        }
    }

    fn freed(&mut self, frame: Frame) {
        let uses = |cached: &Cached| cached.pages().any(|page| cached.frame(page) == frame);
        self.freed += u64::from(self.cache.iter().any(uses));
    }

    /// Pages for which it uses what the page table does not say.
    pub(crate) fn stale(&self) -> u64 {
        let stale = |cached: &Cached| {
            let pages = cached.pages();
            pages.filter(|page| !self.is_right(cached, *page)).count() as u64
        };
        self.cache.iter().map(stale).sum()
    }

    fn is_right(&self, cached: &Cached, page: u64) -> bool {
        let address = Gva::new(page);
        let below = self.table.range(..=address).next_back();
        let Some((_, (entry, leaf))) = below.filter(|(_, (entry, _))| address < entry.end) else {
            return false;
        };
        let frame = Cached {
            entry: *entry,
            leaf: *leaf,
        };
        let walks = self.platform == Platform::WalksAgain && cached.leaf.rights == Rights::ReadOnly;
        cached.frame(page) == frame.frame(page) && (leaf.rights == cached.leaf.rights || walks)
    }
}
