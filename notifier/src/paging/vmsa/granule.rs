//! The translation granule: the size of a page and of a whole table.

use crate::addr::PageSize;
use crate::paging::Level;

/// The size of the smallest page, and of every table but the first one (D8.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Granule {
    /// 4 KiB; blocks of 2 MiB and 1 GiB.
    #[default]
    K4,
    /// 16 KiB; blocks of 32 MiB.
    K16,
    /// 64 KiB; blocks of 512 MiB.
    K64,
}

impl Granule {
    /// All granules, smallest first.
    pub const ALL: [Self; 3] = [Self::K4, Self::K16, Self::K64];

    /// What a two-bit field says that encodes as TG0 does: CD.TG0 and STE.S2TG (`IHI0070` 5.2,
    /// 5.4). `None` for the reserved value 3 and for anything larger.
    pub const fn from_tg0(field: u8) -> Option<Self> {
        match field {
            0 => Some(Self::K4),
            1 => Some(Self::K64),
            2 => Some(Self::K16),
            _ => None,
        }
    }

    /// What the two-bit field CD.TG1 says, which has an encoding of its own (`IHI0070` 5.4).
    /// `None` for the reserved value 0 and for anything larger than two bits.
    pub const fn from_tg1(field: u8) -> Option<Self> {
        match field {
            1 => Some(Self::K16),
            2 => Some(Self::K4),
            3 => Some(Self::K64),
            _ => None,
        }
    }

    /// Size of a page and of a table.
    pub const fn page(self) -> PageSize {
        match self {
            Self::K4 => PageSize::K4,
            Self::K16 => PageSize::K16,
            Self::K64 => PageSize::K64,
        }
    }

    /// Address bits that one table resolves: a table is a page of 8-byte entries.
    pub(super) const fn stride(self) -> u8 {
        self.page().shift() - 3
    }

    /// Base-two logarithm of what an entry at `level` spans; levels above the fourth count as it.
    pub(super) fn shift(self, level: Level) -> u8 {
        self.page().shift() + self.stride() * level.0.min(3)
    }

    /// Whether entries at `level` may map a block (D8.3.1: without 52-bit addresses, level 2 in
    /// Arm's numbering, and level 1 with the 4 KiB granule).
    pub(super) fn has_blocks(self, level: Level) -> bool {
        match self {
            Self::K4 => matches!(level.0, 1 | 2),
            Self::K16 | Self::K64 => level.0 == 1,
        }
    }

    /// Base-two logarithm of how many neighbours the Contiguous bit joins at `level` (D8.7.1,
    /// table D8-104), `None` where it joins none.
    pub(super) fn contiguous_shift(self, level: Level) -> Option<u8> {
        match (self, level.0) {
            (Self::K4, 0..=2) => Some(4),
            (Self::K16, 0) => Some(7),
            (Self::K16, 1) | (Self::K64, 0 | 1) => Some(5),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_fields_encode_the_granule_differently() {
        let tg0 = [0, 1, 2, 3, 4].map(Granule::from_tg0);
        let tg1 = [0, 1, 2, 3, 4].map(Granule::from_tg1);
        let (k4, k16, k64) = (Some(Granule::K4), Some(Granule::K16), Some(Granule::K64));
        assert_eq!(tg0, [k4, k64, k16, None, None]);
        assert_eq!(tg1, [None, k16, k4, k64, None]);
    }

    #[test]
    fn entries_span_what_the_manual_says() {
        let shifts = |granule: Granule| [0, 1, 2, 3].map(|level| granule.shift(Level(level)));
        assert_eq!(shifts(Granule::K4), [12, 21, 30, 39]);
        assert_eq!(shifts(Granule::K16), [14, 25, 36, 47]);
        assert_eq!(shifts(Granule::K64)[..3], [16, 29, 42]);
    }
}
