//! What the page table says, and since when an older copy of it is stale.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use notifier::addr::{AddrRange, Gva};

use crate::check;

pub(crate) const PAGES: usize = 16;
const SIZE: u64 = 0x1000;

/// The page table: each page's version, greater with every change.
pub(crate) type Table = [u64; PAGES];

/// What a subscriber made from the page table.
pub(crate) type Copies = [Option<u64>; PAGES];

/// Pages of which copies may be used from a version on; older ones are stale.
#[derive(Default)]
pub(crate) struct Fresh([AtomicU64; PAGES]);

impl Fresh {
    /// From now on every copy of `page` that is older is stale.
    pub(crate) fn publish(&self, page: usize, version: u64) {
        self.0[page].fetch_max(version, Ordering::SeqCst);
    }

    /// Takes copies of these pages away. Each must have been fresh until now.
    pub(crate) fn take(&self, copies: &mut Copies, pages: RangeInclusive<usize>, whose: &str) {
        for page in pages {
            self.check(copies, page, whose);
            copies[page] = None;
        }
    }

    /// Uses a copy, if there is one.
    pub(crate) fn check(&self, copies: &Copies, page: usize, whose: &str) {
        let Some(version) = copies[page] else { return };
        let oldest = self.0[page].load(Ordering::SeqCst);
        check!(
            version >= oldest,
            "{whose} has a stale copy of page {page}: version {version}, since when {oldest} counts"
        );
    }
}

/// The addresses of these pages.
pub(crate) fn range(pages: &RangeInclusive<usize>) -> AddrRange<Gva> {
    let address = |page: usize| Gva::new(page as u64 * SIZE);
    let last = Gva::new(address(*pages.end()).raw() + (SIZE - 1));
    AddrRange::through(address(*pages.start()), last).expect("a page at least")
}

/// The pages of these addresses.
pub(crate) fn pages(range: AddrRange<Gva>) -> RangeInclusive<usize> {
    let page = |address: Gva| usize::try_from(address.raw() / SIZE).unwrap_or(PAGES);
    page(range.start())..=page(range.last()).min(PAGES - 1)
}

/// Some pages next to each other, often few, now and then all.
pub(crate) fn some(rng: &mut fastrand::Rng) -> RangeInclusive<usize> {
    let first = rng.usize(..PAGES);
    let more = rng.usize(..4);
    if rng.u32(..32) == 0 {
        return 0..=PAGES - 1;
    }
    first..=(first + more).min(PAGES - 1)
}
