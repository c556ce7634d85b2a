//! Page sizes, as the power of two that they are.

use std::fmt;

/// The size of a page or block: 2^`shift` bytes, 0 < `shift` < 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u8);

impl PageSize {
    /// 4 KiB.
    pub const K4: Self = Self(12);
    /// 16 KiB.
    pub const K16: Self = Self(14);
    /// 64 KiB.
    pub const K64: Self = Self(16);
    /// 2 MiB.
    pub const M2: Self = Self(21);
    /// 1 GiB.
    pub const G1: Self = Self(30);

    /// The page of 2^`shift` bytes, or `None` if no address could be outside of it or it has none.
    pub const fn from_shift(shift: u8) -> Option<Self> {
        if shift > 0 && shift < 64 {
            Some(Self(shift))
        } else {
            None
        }
    }

    /// Base-two logarithm of the size in bytes.
    pub const fn shift(self) -> u8 {
        self.0
    }

    /// Size in bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.0
    }

    /// The address bits within a page.
    pub const fn offset_mask(self) -> u64 {
        self.bytes() - 1
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..10 => write!(f, "{} B", self.bytes()),
            10..20 => write!(f, "{} KiB", self.bytes() >> 10),
            20..30 => write!(f, "{} MiB", self.bytes() >> 20),
            _ => write!(f, "{} GiB", self.bytes() >> 30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_in_binary_units() {
        let printed = [PageSize::K4, PageSize::M2, PageSize::G1].map(|size| size.to_string());
        assert_eq!(printed, ["4 KiB", "2 MiB", "1 GiB"]);
    }

    #[test]
    fn a_shift_without_a_page_is_refused() {
        assert_eq!([0, 64].map(PageSize::from_shift), [None, None]);
    }
}
