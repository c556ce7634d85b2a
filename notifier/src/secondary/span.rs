//! A naturally aligned power of two of pages: what device-TLB and page-selective invalidations name.

use crate::addr::{AddrRange, Iova, PageSize};

/// 2^`order` pages of 4 KiB, aligned to their own size. An order of 52 is the whole address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlignedSpan {
    start: Iova,
    order: u8,
}

impl AlignedSpan {
    /// The order of the whole 64-bit address space.
    pub const ALL: u8 = 64 - PageSize::K4.shift();

    /// The smallest span that covers `range`: as large as the highest bit in which its first and
    /// last page number differ (Linux: `arm_smmu_atc_inv_to_cmd`). Pages 8 to 11 are one of order
    /// 2; pages 7 to 10 need order 4, since they lie on both sides of 8.
    pub fn covering(range: AddrRange<Iova>) -> Self {
        let (first, last) = (page_number(range.start()), page_number(range.last()));
        let order = u64::BITS - (first ^ last).leading_zeros();
        // Page numbers have 52 bits.
        let order = u8::try_from(order).unwrap_or(Self::ALL);
        let start = Iova::new((first >> order << order) << PageSize::K4.shift());
        Self { start, order }
    }

    /// First address.
    pub fn start(self) -> Iova {
        self.start
    }

    /// Base-two logarithm of the number of pages, at most [`ALL`](Self::ALL).
    pub fn order(self) -> u8 {
        self.order
    }

    /// The addresses in it.
    pub fn range(self) -> AddrRange<Iova> {
        PageSize::from_shift(PageSize::K4.shift() + self.order)
            .map_or(AddrRange::all(), |size| AddrRange::page(self.start, size))
    }
}

fn page_number(address: Iova) -> u64 {
    address.raw() >> PageSize::K4.shift()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pages(first: u64, last: u64) -> AddrRange<Iova> {
        AddrRange::through(Iova::new(first << 12), Iova::new(last << 12 | 0xfff)).unwrap()
    }

    /// The example in the kernel's comment.
    #[test]
    fn a_range_that_straddles_an_alignment_takes_the_larger_block() {
        let aligned = AlignedSpan::covering(pages(8, 11));
        assert_eq!((aligned.range(), aligned.order()), (pages(8, 11), 2));
        let straddling = AlignedSpan::covering(pages(7, 10));
        assert_eq!((straddling.range(), straddling.order()), (pages(0, 15), 4));
    }

    #[test]
    fn one_page_is_order_nought_and_everything_is_52() {
        assert_eq!(AlignedSpan::covering(pages(7, 7)).order(), 0);
        let all = AlignedSpan::covering(AddrRange::all());
        assert_eq!((all.order(), all.range()), (52, AddrRange::all()));
        let middle = AlignedSpan::covering(pages((1 << 51) - 1, 1 << 51));
        assert_eq!(middle.range(), AddrRange::all());
    }

    proptest! {
        /// It covers what it was made for, and the next smaller block would not.
        #[test]
        fn it_is_the_smallest_that_covers(first in any::<u64>(), length in 1..1u64 << 40) {
            let last = first.saturating_add(length - 1);
            let range = AddrRange::through(Iova::new(first), Iova::new(last)).unwrap();
            let span = AlignedSpan::covering(range);
            prop_assert!(span.range().covers(range));
            if let Some(order) = span.order().checked_sub(1) {
                let size = PageSize::from_shift(12 + order).unwrap();
                prop_assert!(!AddrRange::page(range.start(), size).covers(range));
            }
        }
    }
}
