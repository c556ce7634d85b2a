//! How wide one memory access is.

/// The widths that one load or store instruction can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    One,
    /// 2 bytes.
    Two,
    /// 4 bytes.
    Four,
    /// 8 bytes.
    Eight,
}

impl Width {
    /// The width of so many bytes, if one instruction can have it.
    pub const fn of_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }

    /// The widest one that fits into so many bytes, at least one.
    pub const fn within(bytes: u64) -> Self {
        match bytes {
            0 | 1 => Self::One,
            2 | 3 => Self::Two,
            4..=7 => Self::Four,
            _ => Self::Eight,
        }
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}
