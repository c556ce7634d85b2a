//! Addresses as an implementation is given them and gives them back.

use std::fmt;

use notifier::addr::{AddrRange, Gva, RangeError};

/// Bytes in the pages that the cases use.
pub const PAGE: u64 = 0x1000;

/// From `start` (inclusive) to `end` (exclusive). Unlike [`AddrRange`] these are two numbers that
/// need not be a range: cases hand over empty and backward ones too. The whole address space is
/// `(0, u64::MAX)`, as Linux writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// First address.
    pub start: Gva,
    /// End, exclusive.
    pub end: Gva,
}

impl Bounds {
    /// The whole address space.
    pub const ALL: Self = Self::new(Gva::new(0), Gva::new(u64::MAX));

    /// These two numbers.
    pub const fn new(start: Gva, end: Gva) -> Self {
        Self { start, end }
    }

    /// `count` pages of 4 KiB from page number `first` on.
    pub const fn pages(first: u64, count: u64) -> Self {
        let start = Gva::new(first * PAGE);
        Self::new(start, Gva::new((first + count) * PAGE))
    }

    /// The same as a range that is not empty.
    ///
    /// # Errors
    /// [`RangeError`] if it is.
    pub fn range(self) -> Result<AddrRange<Gva>, RangeError> {
        if self == Self::ALL {
            return Ok(AddrRange::all());
        }
        AddrRange::new(self.start, self.end)
    }

    /// Whether any address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether it contains all of `other`.
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

impl From<AddrRange<Gva>> for Bounds {
    /// A range that ends at the top ends at `u64::MAX`: the number after it has no 64 bits.
    fn from(range: AddrRange<Gva>) -> Self {
        let end = range.last().raw().saturating_add(1);
        Self::new(range.start(), Gva::new(end))
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// As [`Display`](fmt::Display): in the reason of a failure hexadecimal numbers are what one wants.
impl fmt::Debug for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an interval is asked for: a start and a length in bytes, which may be 0 or run past the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// First address.
    pub start: Gva,
    /// Bytes.
    pub length: u64,
}

impl From<Bounds> for Extent {
    fn from(bounds: Bounds) -> Self {
        Self {
            start: bounds.start,
            length: bounds.end.raw() - bounds.start.raw(),
        }
    }
}
