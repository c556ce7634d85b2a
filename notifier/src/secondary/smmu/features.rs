//! What an SMMU can do, as far as its driver plans by it.

use crate::addr::PageSize;
use crate::paging::vmsa;

/// The translation granule: the smallest page of the page tables (`IHI0070` 5.4, CD.TG0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Granule {
    /// 4 KiB.
    #[default]
    K4,
    /// 16 KiB.
    K16,
    /// 64 KiB.
    K64,
}

impl Granule {
    /// The size of a page at the last level.
    pub fn page(self) -> PageSize {
        match self {
            Self::K4 => PageSize::K4,
            Self::K16 => PageSize::K16,
            Self::K64 => PageSize::K64,
        }
    }

    /// The same, as the page-table formats name it.
    pub fn of_tables(self) -> vmsa::Granule {
        match self {
            Self::K4 => vmsa::Granule::K4,
            Self::K16 => vmsa::Granule::K16,
            Self::K64 => vmsa::Granule::K64,
        }
    }

    /// The TG field of a range command (`IHI0070` 4.4.1): 1, 2, 3 for 4, 16, 64 KiB.
    pub fn field(self) -> u64 {
        (u64::from(self.page().shift()) - 10) / 2
    }

    /// From this many pages on, an SMMU without range commands drops a whole ASID instead (Linux:
    /// `max_tlbi_ops` in `arm_smmu_inv_size_too_big`, 2^(`PAGE_SHIFT` - 3)).
    pub fn max_tlbi_ops(self) -> u64 {
        1 << (self.page().shift() - 3)
    }
}

/// What an SMMU can do.
///
/// There is no field for broadcast TLB maintenance: Linux never sets `ARM_SMMU_FEAT_BTM`, because of
/// errata of MMU-700 and others, so notifications are the only way in which a change arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Of the page tables.
    pub granule: Granule,
    /// It knows range commands (`IHI0070` IDR3.RIL).
    pub range_invalidation: bool,
    /// Its TLB invalidations have to be made twice, each followed by a CMD_SYNC, since an entry may
    /// survive one that races with traffic (Linux: `ARM_SMMU_OPT_TLBI_TWICE`, Tegra264).
    pub tlbi_twice: bool,
}
