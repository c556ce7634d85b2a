//! What an entry is found by.

use crate::addr::{AddrRange, Iova, PageSize};

/// Base-two logarithm of the smallest page that can be tagged: smaller ones, which no format has,
/// leave no room for their own size.
const SMALLEST: u8 = 6;

/// An aligned power of two of addresses: the first of them, with the size's shift in the low bits,
/// which are zero in the address. 0 is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u64);

/// An entry's tag and the generation that it belongs to. Generations count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) tag: Tag,
    pub(super) id: u32,
}

impl Key {
    /// An empty way.
    pub(super) const NONE: Self = Self { tag: Tag(0), id: 0 };
}

impl Tag {
    /// The page of 2^`shift` bytes around `iova`; `shift` is that of a tag.
    #[inline]
    pub(super) fn around(iova: Iova, shift: u32) -> Self {
        let shift = shift & 63;
        Self((iova.raw() >> shift) << shift | u64::from(shift))
    }

    /// The tag for exactly these addresses, if there is one.
    pub(super) fn of(page: AddrRange<Iova>) -> Option<Self> {
        let length = page.length().filter(|length| length.is_power_of_two())?;
        let shift = length.trailing_zeros();
        let tag = Self::around(page.start(), shift);
        let exact = shift >= u32::from(SMALLEST) && tag.start() == page.start();
        exact.then_some(tag)
    }

    #[inline]
    pub(super) const fn raw(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    #[inline]
    pub(super) const fn shift(self) -> u8 {
        (self.0 & 63) as u8
    }

    /// The page number, in units of the page's own size.
    #[inline]
    pub(super) const fn number(self) -> u64 {
        self.0 >> self.shift()
    }

    #[inline]
    const fn start(self) -> Iova {
        Iova::new(self.number() << self.shift())
    }

    /// The addresses; `None` for no tag.
    #[inline]
    pub(super) fn page(self) -> Option<AddrRange<Iova>> {
        let size = PageSize::from_shift(self.shift())?;
        Some(AddrRange::page(self.start(), size))
    }
}

/// Goes through a set of page sizes, smallest first: bit *n* for 2^*n* bytes.
#[inline]
pub(super) fn shifts(mut sizes: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let shift = (sizes != 0).then(|| sizes.trailing_zeros())?;
        sizes &= sizes - 1;
        Some(shift)
    })
}

/// The tags of every page of 2^`shift` bytes that `range` touches.
pub(super) fn tags(range: AddrRange<Iova>, shift: u32) -> impl Iterator<Item = Tag> {
    let number = |iova: Iova| iova.raw() >> (shift & 63);
    let around = move |number: u64| Tag::around(Iova::new(number << (shift & 63)), shift);
    (number(range.start())..=number(range.last())).map(around)
}

/// How many that is, over all of `sizes`.
pub(super) fn touched(range: AddrRange<Iova>, sizes: u64) -> u64 {
    let number = |iova: Iova, shift: u32| iova.raw() >> shift;
    shifts(sizes)
        .map(|shift| number(range.last(), shift) - number(range.start(), shift))
        .fold(0, |sum: u64, beyond| {
            sum.saturating_add(beyond).saturating_add(1)
        })
}
