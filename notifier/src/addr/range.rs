//! Half-open address ranges that are never empty and never wrap.

use std::fmt;

use super::{Address, PageSize};

/// The addresses from `start` (inclusive) to `end` (exclusive).
///
/// Kept as its first and *last* address: the end of a range that reaches the top of the address
/// space has no 64-bit value. Fields are private so that `start <= last` always holds: an empty or
/// wrapped range, which some notifier implementations have mistaken for "flush everything" and
/// others for "flush nothing", can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddrRange<A> {
    start: A,
    last: A,
}

/// Why two numbers are not a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// No address is in it.
    #[error("the range [{start:#x}, {end:#x}) is empty")]
    Empty {
        /// First address.
        start: u64,
        /// End, exclusive.
        end: u64,
    },
    /// It runs past the end of the 64-bit address space.
    #[error("{length:#x} bytes from {start:#x} on run past the end of the address space")]
    Overflow {
        /// First address.
        start: u64,
        /// Length in bytes.
        length: u64,
    },
}

impl<A: Address> AddrRange<A> {
    /// The addresses from `start` (inclusive) to `end` (exclusive).
    ///
    /// # Errors
    /// [`RangeError::Empty`] unless `start < end`.
    pub fn new(start: A, end: A) -> Result<Self, RangeError> {
        if start >= end {
            let (start, end) = (start.raw(), end.raw());
            return Err(RangeError::Empty { start, end });
        }
        let last = A::new(end.raw() - 1);
        Ok(Self { start, last })
    }

    /// The `length` bytes from `start` on.
    ///
    /// # Errors
    /// [`RangeError::Empty`] for no bytes, [`RangeError::Overflow`] if the last of them would lie
    /// past the top of the address space.
    pub fn from_length(start: A, length: u64) -> Result<Self, RangeError> {
        let Some(beyond_first) = length.checked_sub(1) else {
            let start = start.raw();
            return Err(RangeError::Empty { start, end: start });
        };
        let last = start
            .checked_add(beyond_first)
            .ok_or(RangeError::Overflow {
                start: start.raw(),
                length,
            })?;
        Ok(Self { start, last })
    }

    /// The addresses from `start` to `last`, both inclusive.
    ///
    /// # Errors
    /// [`RangeError::Empty`] unless `start <= last`.
    pub fn through(start: A, last: A) -> Result<Self, RangeError> {
        if start > last {
            // The last address is below the first, so it has one behind it.
            let (start, end) = (start.raw(), last.raw() + 1);
            return Err(RangeError::Empty { start, end });
        }
        Ok(Self { start, last })
    }

    /// The page of this size that contains `address`.
    pub fn page(address: A, size: PageSize) -> Self {
        let start = address.align_down(size);
        let last = A::new(start.raw() | size.offset_mask());
        Self { start, last }
    }

    /// The whole address space, what Linux writes as `(0, ULONG_MAX)`.
    pub fn all() -> Self {
        Self {
            start: A::new(0),
            last: A::new(u64::MAX),
        }
    }

    /// The smallest range that contains both.
    pub fn hull(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            last: self.last.max(other.last),
        }
    }

    /// First address.
    pub fn start(self) -> A {
        self.start
    }

    /// Last address, inclusive.
    pub fn last(self) -> A {
        self.last
    }

    /// Length in bytes; `None` for the whole address space, whose length has no 64-bit value.
    pub fn length(self) -> Option<u64> {
        (self.last.raw() - self.start.raw()).checked_add(1)
    }

    /// How many pages of this size it touches.
    pub fn pages(self, size: PageSize) -> u64 {
        (self.last.raw() >> size.shift()) - (self.start.raw() >> size.shift()) + 1
    }

    /// Whether it contains this address.
    pub fn contains(self, address: A) -> bool {
        self.start <= address && address <= self.last
    }

    /// Whether it contains all of `other`.
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.last <= self.last
    }

    /// Whether any address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    /// The same numbers as another kind of address.
    pub fn map<B: Address>(self, kind: impl Fn(A) -> B) -> AddrRange<B> {
        AddrRange {
            start: kind(self.start),
            last: kind(self.last),
        }
    }
}

/// `[start, end)` in hexadecimal.
impl<A: Address> fmt::Display for AddrRange<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = u128::from(self.last.raw()) + 1;
        write!(f, "[{}, {end:#x})", self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gva;
    use super::*;

    fn range(start: u64, end: u64) -> AddrRange<Gva> {
        AddrRange::new(Gva::new(start), Gva::new(end)).unwrap()
    }

    #[test]
    fn empty_and_backward_ranges_are_errors() {
        for (start, end) in [(4, 4), (5, 4)] {
            let made = AddrRange::new(Gva::new(start), Gva::new(end));
            assert_eq!(made, Err(RangeError::Empty { start, end }));
        }
        assert!(AddrRange::from_length(Gva::new(4), 0).is_err());
    }

    #[test]
    fn a_range_may_end_at_the_top_but_not_wrap() {
        let top = Gva::new(u64::MAX - 0xfff);
        assert_eq!(
            AddrRange::from_length(top, 0x1000).unwrap(),
            AddrRange::page(top, PageSize::K4)
        );
        let error = AddrRange::from_length(top, 0x1001).unwrap_err();
        assert!(matches!(error, RangeError::Overflow { .. }));
    }

    #[test]
    fn the_end_is_outside() {
        let page = range(0x1000, 0x2000);
        assert!(page.contains(Gva::new(0x1fff)));
        assert!(!page.contains(Gva::new(0x2000)));
        assert!(!page.overlaps(range(0x2000, 0x3000)));
        assert!(page.overlaps(range(0x1fff, 0x3000)));
    }

    #[test]
    fn pages_are_counted_where_they_are_touched() {
        assert_eq!(range(0x1fff, 0x2001).pages(PageSize::K4), 2);
        assert_eq!(AddrRange::<Gva>::all().pages(PageSize::K4), 1 << 52);
        assert_eq!(AddrRange::<Gva>::all().length(), None);
    }

    #[test]
    fn it_prints_half_open() {
        assert_eq!(range(0x1000, 0x2000).to_string(), "[0x1000, 0x2000)");
        let all = AddrRange::<Gva>::all().to_string();
        assert_eq!(all, "[0x0, 0x10000000000000000)");
    }
}
