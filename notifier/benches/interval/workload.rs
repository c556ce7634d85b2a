//! The intervals that every contender holds, and the pages that are looked up.

use std::collections::HashSet;

use notifier::addr::{AddrRange, Gva, PageSize};

/// One interval with its number, which is its value.
pub(crate) type Numbered = (AddrRange<Gva>, u64);

/// Pages of address space for each interval: with the lengths below, about 490 on average, a
/// random page is in one interval on average, whatever their number.
const PAGES_EACH: u64 = 490;
/// Lengths are from 1 page to 16 MiB, each power of two as likely as the next.
const LONGEST_SHIFT: u64 = 12;

/// Intervals at random places of a space that grows with their number, no two of them equal, so
/// that naming one by its range is possible for a contender that can do nothing else.
pub(crate) struct Workload {
    pub(crate) intervals: Vec<Numbered>,
    pages: u64,
}

impl Workload {
    pub(crate) fn new(count: u64) -> Self {
        let pages = count * PAGES_EACH;
        let mut random = Random::new();
        let mut seen = HashSet::new();
        let mut intervals = Vec::new();
        while (intervals.len() as u64) < count {
            let range = random.interval(pages);
            if seen.insert(range) {
                intervals.push((range, intervals.len() as u64));
            }
        }
        Self { intervals, pages }
    }

    /// Random pages of the space, the same for every contender.
    pub(crate) fn queries(&self) -> impl FnMut() -> AddrRange<Gva> + use<> {
        let (mut random, pages) = (Random::new(), self.pages);
        move || AddrRange::page(address(random.below(pages)), PageSize::K4)
    }

    /// Random intervals to take out and put back, the same for every contender.
    pub(crate) fn choices(&self) -> impl FnMut() -> usize + use<> {
        let (mut random, count) = (Random::new(), self.intervals.len());
        move || usize::try_from(random.below(count as u64)).expect("below a length")
    }
}

fn address(page: u64) -> Gva {
    Gva::new(page << PageSize::K4.shift())
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The high bits: the low ones of neighbouring values are alike.
        (self.0 >> 16) % bound
    }

    fn interval(&mut self, pages: u64) -> AddrRange<Gva> {
        let scale = 1 << self.below(LONGEST_SHIFT);
        let length = scale + self.below(scale);
        let bytes = length << PageSize::K4.shift();
        let start = address(self.below(pages));
        AddrRange::from_length(start, bytes).expect("a low address and a short length")
    }
}
