//! What [`Leaf::memory_type`](crate::paging::Leaf::memory_type) holds for these formats.

/// Who sees the same value of a location without software's help (D8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shareability {
    /// 0: one observer.
    Non,
    /// 1: reserved; hardware takes it as any of the others. Kept as it is.
    Reserved,
    /// 2: the outer domain.
    Outer,
    /// 3: the inner domain.
    Inner,
}

/// Memory attributes and shareability in one byte: attributes in bits 3:0 (stage 1: AttrIndx,
/// 0 to 7; stage 2: MemAttr, 0 to 15), SH in bits 5:4, zeroes above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType(u8);

impl MemoryType {
    const ATTRIBUTES: u8 = 0xf;
    const SHAREABILITY: u8 = 3;

    /// These attributes, of which the low four bits count.
    pub const fn new(attributes: u8, shareability: Shareability) -> Self {
        Self(attributes & Self::ATTRIBUTES | (shareability as u8) << 4)
    }

    /// As it stands in [`Leaf::memory_type`](crate::paging::Leaf::memory_type).
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// The way back from [`raw`](Self::raw); bits 7:6 are dropped.
    pub const fn from_raw(raw: u8) -> Self {
        Self(raw & 0x3f)
    }

    /// AttrIndx or MemAttr.
    pub const fn attributes(self) -> u8 {
        self.0 & Self::ATTRIBUTES
    }

    /// SH.
    pub const fn shareability(self) -> Shareability {
        match self.0 >> 4 & Self::SHAREABILITY {
            0 => Shareability::Non,
            1 => Shareability::Reserved,
            2 => Shareability::Outer,
            _ => Shareability::Inner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_raw_value_is_its_two_parts() {
        for raw in 0..0x40 {
            let whole = MemoryType::from_raw(raw);
            let parts = MemoryType::new(whole.attributes(), whole.shareability());
            assert_eq!(parts.raw(), raw);
        }
    }
}
