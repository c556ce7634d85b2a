//! What an SMMU can do, as far as its driver plans by it.

pub use crate::paging::vmsa::Granule;

/// From this many pages on, an SMMU without range commands drops a whole ASID instead (Linux:
/// `max_tlbi_ops` in `arm_smmu_inv_size_too_big`, 2^(`PAGE_SHIFT` - 3)).
pub(super) fn max_tlbi_ops(granule: Granule) -> u64 {
    1 << (granule.page().shift() - 3)
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
