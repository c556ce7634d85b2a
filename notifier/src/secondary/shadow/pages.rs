//! A shadow MMU's entries.

use std::collections::BTreeMap;

use crate::addr::{AddrRange, Iova};
use crate::secondary::Cached;

/// Entries by page, without a bound. No two overlap.
#[derive(Default)]
pub(super) struct Pages(BTreeMap<Iova, Page>);

struct Page {
    entry: Cached,
    /// Used since somebody last cleared this.
    accessed: bool,
}

impl Pages {
    /// The entry that translates `iova`.
    pub(super) fn lookup(&self, iova: Iova) -> Option<Cached> {
        let (_, page) = self.0.range(..=iova).next_back()?;
        page.entry.page.contains(iova).then_some(page.entry)
    }

    /// Puts in an entry that nobody has used. What it overlaps goes.
    pub(super) fn insert(&mut self, entry: Cached) {
        self.zap(entry.page);
        let accessed = false;
        self.0.insert(entry.page.start(), Page { entry, accessed });
    }

    /// Notes that the entry for `iova` is used.
    pub(super) fn touch(&mut self, iova: Iova) {
        if let Some((_, page)) = self.0.range_mut(..=iova).next_back()
            && page.entry.page.contains(iova)
        {
            page.accessed = true;
        }
    }

    /// Takes out every entry that overlaps `range`.
    pub(super) fn zap(&mut self, range: AddrRange<Iova>) -> Vec<Cached> {
        let span = self.first_of(range)..=range.last();
        let taken = self.0.extract_if(span, |_, _| true);
        taken.map(|(_, page)| page.entry).collect()
    }

    /// Takes out every entry of which this is true.
    pub(super) fn zap_if(&mut self, unwanted: impl Fn(&Cached) -> bool) -> Vec<Cached> {
        let taken = self.0.extract_if(.., |_, page| unwanted(&page.entry));
        taken.map(|(_, page)| page.entry).collect()
    }

    /// Whether any entry that overlaps `range` was used.
    pub(super) fn is_young(&self, range: AddrRange<Iova>) -> bool {
        let span = self.first_of(range)..=range.last();
        self.0.range(span).any(|(_, page)| page.accessed)
    }

    /// The same, and forgets it of all of them.
    pub(super) fn clear_young(&mut self, range: AddrRange<Iova>) -> bool {
        let span = self.first_of(range)..=range.last();
        let pages = self.0.range_mut(span);
        pages.fold(false, |young, (_, page)| {
            young | std::mem::take(&mut page.accessed)
        })
    }

    /// Where the first entry that overlaps `range` starts, if it starts before it.
    fn first_of(&self, range: AddrRange<Iova>) -> Iova {
        let start = range.start();
        self.lookup(start).map_or(start, |entry| entry.page.start())
    }
}
