//! What the OpenCAPI driver makes of a secondary-TLB notification (Linux: `invalidate_range` in
//! `drivers/misc/ocxl/link.c`).

use crate::addr::{AddrRange, Iova, PageSize};

/// A shoot-down that the link is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShootDown {
    /// Of one page.
    Page(AddrRange<Iova>),
    /// Of everything of the process.
    Process,
}

/// One shoot-down for each page that `range` touches, lowest first, as it is asked for.
///
/// Linux loops over the whole address space just so, 2^48 times with pages of 64 KiB; here it is
/// one.
pub fn plan(range: AddrRange<Iova>, page: PageSize) -> impl Iterator<Item = ShootDown> {
    let shift = page.shift();
    let whole = range == AddrRange::all();
    let numbers = range.start().raw() >> shift..=range.last().raw() >> shift;
    let pages = (!whole).then_some(numbers).into_iter().flatten();
    let pages = pages.map(move |n| ShootDown::Page(AddrRange::page(Iova::new(n << shift), page)));
    whole.then_some(ShootDown::Process).into_iter().chain(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_that_is_touched_has_its_own() {
        let range = AddrRange::new(Iova::new(0x1_ffff), Iova::new(0x3_0001)).unwrap();
        let pages = [0x1_0000, 0x2_0000, 0x3_0000];
        let expected =
            pages.map(|at| ShootDown::Page(AddrRange::page(Iova::new(at), PageSize::K64)));
        assert_eq!(plan(range, PageSize::K64).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_last_page_of_all_is_one_page() {
        let top = AddrRange::page(Iova::new(u64::MAX), PageSize::K64);
        assert_eq!(plan(top, PageSize::K64).count(), 1);
    }

    #[test]
    fn everything_is_one() {
        let all: Vec<_> = plan(AddrRange::all(), PageSize::K64).take(2).collect();
        assert_eq!(all, [ShootDown::Process]);
    }
}
