//! The difference between two lists of pages.

use super::Page;
use crate::addr::{AddrRange, Gva};
use crate::paging::{Change, Leaf};

/// The changes from one list of pages to another, both sorted by address, over the finer of the
/// two divisions.
pub(super) fn diff(before: &[Page], after: &[Page]) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut old, mut new) = (Cursor::new(before), Cursor::new(after));
    loop {
        let (start, last) = match (old.page(), new.page()) {
            (None, None) => return changes,
            (Some((page, _)), None) | (None, Some((page, _))) => (page.start(), page.last()),
            (Some((a, _)), Some((b, _))) if a.start() == b.start() => {
                (a.start(), a.last().min(b.last()))
            }
            (Some((a, _)), Some((b, _))) => {
                let (first, second) = if a.start() < b.start() {
                    (a, b)
                } else {
                    (b, a)
                };
                let before_second = Gva::new(second.start().raw() - 1);
                (first.start(), first.last().min(before_second))
            }
        };
        let Ok(range) = AddrRange::through(start, last) else {
            return changes;
        };
        let (from, to) = (old.take(start, last), new.take(start, last));
        changes.extend(Change::between(range, from, to));
    }
}

/// What is left of a list of pages.
struct Cursor<'a> {
    pages: &'a [Page],
    /// First address of the first page that is still to come.
    start: Option<Gva>,
}

impl<'a> Cursor<'a> {
    fn new(pages: &'a [Page]) -> Self {
        Self { pages, start: None }
    }

    /// The rest of the first page.
    fn page(&self) -> Option<Page> {
        let (range, leaf) = *self.pages.first()?;
        let start = self.start.unwrap_or(range.start());
        let rest = AddrRange::through(start, range.last()).ok()?;
        Some((rest, leaf))
    }

    /// Moves past `last` if the first page begins at `start`, and gives the page.
    fn take(&mut self, start: Gva, last: Gva) -> Option<Leaf> {
        let (rest, leaf) = self.page()?;
        if rest.start() != start {
            return None;
        }
        if rest.last() == last {
            self.pages = &self.pages[1..];
            self.start = None;
        } else {
            self.start = Some(Gva::new(last.raw() + 1));
        }
        Some(leaf)
    }
}
