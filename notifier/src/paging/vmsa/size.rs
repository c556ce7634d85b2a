//! How many bits input and output addresses have.

/// Bits of an input address: 25 to 48.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InputSize(u8);

impl InputSize {
    /// 48 bits, the most there are.
    pub const BITS_48: Self = Self(48);

    /// 64 - `field` bits, the meaning of T0SZ, T1SZ and S2T0SZ; `None` outside 16 to 39.
    ///
    /// A field below 16 asks for LVA and one above 39 for TTST (D8.2), which aren't modelled.
    pub const fn from_tsz(field: u8) -> Option<Self> {
        match field {
            16..=39 => Some(Self(64 - field)),
            _ => None,
        }
    }

    /// How many bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The address bits that tables translate.
    pub(super) const fn mask(self) -> u64 {
        (1 << self.0) - 1
    }
}

/// Bits of an output address. A page or table beyond it is an address size fault (D8.1,
/// I_HGDWP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputSize {
    /// 4 GiB.
    Bits32,
    /// 64 GiB.
    Bits36,
    /// 1 TiB.
    Bits40,
    /// 4 TiB.
    Bits42,
    /// 16 TiB.
    Bits44,
    /// 256 TiB, as much as a descriptor holds.
    Bits48,
}

impl OutputSize {
    /// All sizes, smallest first, which is the order of their encodings.
    pub const ALL: [Self; 6] = [
        Self::Bits32,
        Self::Bits36,
        Self::Bits40,
        Self::Bits42,
        Self::Bits44,
        Self::Bits48,
    ];

    /// What CD.IPS and STE.S2PS say (`IHI0070` 5.2, 5.4); `None` for 52 bits and more.
    pub fn from_field(field: u8) -> Option<Self> {
        Self::ALL.get(usize::from(field)).copied()
    }

    /// How many bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Bits32 => 32,
            Self::Bits36 => 36,
            Self::Bits40 => 40,
            Self::Bits42 => 42,
            Self::Bits44 => 44,
            Self::Bits48 => 48,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_ask_for_more_than_is_modelled_are_refused() {
        let bits = |field| InputSize::from_tsz(field).map(InputSize::bits);
        assert_eq!([15, 16, 39, 40].map(bits), [None, Some(48), Some(25), None]);
        let bits = |field| OutputSize::from_field(field).map(OutputSize::bits);
        assert_eq!([0, 2, 5, 6].map(bits), [Some(32), Some(40), Some(48), None]);
    }
}
