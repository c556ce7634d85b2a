//! Watching a secondary MMU's cache.

use std::fmt;

use crate::addr::{Access, AddrRange, Asid, Iova, StreamId};
use crate::contract::Step;
use crate::paging::{Leaf, WalkFault};

/// Which cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheId {
    /// What an SMMU's TLB holds of one address space.
    SmmuTlb(Asid),
    /// The TLB of the device behind a stream.
    Atc(StreamId),
    /// The page tables of a shadow MMU.
    Shadow,
}

impl fmt::Display for CacheId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SmmuTlb(asid) => write!(f, "SMMU TLB (ASID {asid})"),
            Self::Atc(stream) => write!(f, "device TLB (stream {stream})"),
            Self::Shadow => f.write_str("shadow MMU"),
        }
    }
}

/// An entry of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The addresses it translates.
    pub page: AddrRange<Iova>,
    /// To what.
    pub leaf: Leaf,
    /// When it was put there: what [`Observer::filled`] returned. Caches keep it and never look.
    pub filled: Step,
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// By what this entry allows, filled just now or long ago.
    Entry(Cached),
    /// By a walk that found no page.
    Walk {
        /// What it found instead.
        fault: WalkFault,
        /// When it began: what [`Observer::walk_began`] returned.
        began: Step,
    },
    /// By a walk that found a page whose accessed bit is clear.
    AccessFlag(Leaf),
    /// Because translation was switched off for whoever asked; the tables were not looked at.
    Disabled,
}

/// Is told what a cache does, in the order in which it does it. It can't change anything.
pub trait Observer: Send + Sync {
    /// A walk of the primary page table begins.
    fn walk_began(&self) -> Step;

    /// The walk that began at `began` found `leaf`, which is now in the cache for `page`.
    fn filled(&self, cache: CacheId, page: AddrRange<Iova>, leaf: &Leaf, began: Step) -> Step;

    /// An invalidation takes this entry out.
    fn dropped(&self, cache: CacheId, entry: &Cached);

    /// An invalidation of `range` is complete: its entries are gone and every access that used
    /// one has ended. Both ends as given by whoever asked for it.
    fn invalidated(&self, cache: CacheId, range: AddrRange<Iova>);

    /// An access is made through `entry`, which allows it.
    fn used(&self, cache: CacheId, iova: Iova, access: Access, entry: &Cached);

    /// An access is refused.
    fn denied(&self, cache: CacheId, iova: Iova, access: Access, denial: &Denial);
}

/// Watches nothing.
impl Observer for () {
    fn walk_began(&self) -> Step {
        Step::default()
    }

    fn filled(&self, _: CacheId, _: AddrRange<Iova>, _: &Leaf, _: Step) -> Step {
        Step::default()
    }

    fn dropped(&self, _: CacheId, _: &Cached) {}

    fn invalidated(&self, _: CacheId, _: AddrRange<Iova>) {}

    fn used(&self, _: CacheId, _: Iova, _: Access, _: &Cached) {}

    fn denied(&self, _: CacheId, _: Iova, _: Access, _: &Denial) {}
}
