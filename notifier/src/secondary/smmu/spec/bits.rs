//! Fields of a 64-bit word.

/// The bits from `low` to `high`, both inclusive, as the specification writes them: `[high:low]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Bits {
    low: u32,
    high: u32,
}

impl Bits {
    /// `[high:low]`, with `low <= high < 64`.
    pub(in super::super) const fn new(high: u32, low: u32) -> Self {
        assert!(low <= high && high < 64, "a field is within a word");
        Self { low, high }
    }

    /// One bit.
    pub(in super::super) const fn bit(at: u32) -> Self {
        Self::new(at, at)
    }

    /// The field's bits in place, all ones.
    pub(in super::super) const fn mask(self) -> u64 {
        (u64::MAX >> (63 - self.high)) & (u64::MAX << self.low)
    }

    /// Its value in `word`.
    pub(in super::super) const fn of(self, word: u64) -> u64 {
        (word & self.mask()) >> self.low
    }

    /// Whether any of its bits is set in `word`.
    pub(in super::super) const fn is_set(self, word: u64) -> bool {
        word & self.mask() != 0
    }

    /// A word with `value` in it and zeroes around; bits of `value` that do not fit are dropped.
    pub(in super::super) const fn put(self, value: u64) -> u64 {
        (value << self.low) & self.mask()
    }

    /// A word with the field all ones or all zeroes: for one-bit fields.
    pub(in super::super) const fn flag(self, set: bool) -> u64 {
        if set { self.mask() } else { 0 }
    }

    /// Its value, if the field has at most 8 bits; else cut to [`u8::MAX`].
    pub(in super::super) fn u8(self, word: u64) -> u8 {
        u8::try_from(self.of(word)).unwrap_or(u8::MAX)
    }

    /// Its value, if the field has at most 16 bits; else cut to [`u16::MAX`].
    pub(in super::super) fn u16(self, word: u64) -> u16 {
        u16::try_from(self.of(word)).unwrap_or(u16::MAX)
    }

    /// Its value, if the field has at most 32 bits; else cut to [`u32::MAX`].
    pub(in super::super) fn u32(self, word: u64) -> u32 {
        u32::try_from(self.of(word)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_and_written_in_place() {
        let field = Bits::new(11, 4);
        assert_eq!(field.mask(), 0xff0);
        assert_eq!(field.of(0xabcd), 0xbc);
        assert_eq!(field.put(0x1bc), 0xbc0, "what does not fit is dropped");
        assert_eq!(Bits::new(63, 0).mask(), u64::MAX);
        assert_eq!(Bits::bit(63).flag(true), 1 << 63);
        assert_eq!(Bits::new(63, 32).u32(u64::MAX), u32::MAX);
    }
}
