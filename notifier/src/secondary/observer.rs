//! Watching a secondary MMU's cache.

use std::fmt;

use super::Scope;
use crate::addr::{Access, AddrRange, Asid, Gpa, Iova, StreamId, SubstreamId, Vmid};
use crate::contract::Step;
use crate::paging::{Leaf, Level, WalkFault};

/// Which cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheId {
    /// What an SMMU's TLB holds of one address space, by stage 1 alone.
    SmmuTlb(Asid),
    /// What an SMMU's TLB holds of one stage 2 alone, by intermediate-physical address.
    SmmuStage2(Vmid),
    /// What an SMMU's TLB holds of one address space in front of a stage 2, both stages in one.
    SmmuNested(Vmid, Asid),
    /// The tables of one address space that an SMMU remembers.
    SmmuWalk(Asid),
    /// The stream-table entry and the context descriptors that an SMMU remembers of a stream.
    SmmuConfiguration(StreamId),
    /// The TLB of the device behind a stream.
    Atc(StreamId),
    /// The page tables of a shadow MMU.
    Shadow,
}

impl CacheId {
    /// The part of an SMMU's TLB that holds this address space. Virtual machine 0 is that of who has
    /// none.
    pub fn of_address_space(vmid: Vmid, asid: Asid) -> Self {
        if vmid == Vmid::default() {
            Self::SmmuTlb(asid)
        } else {
            Self::SmmuNested(vmid, asid)
        }
    }
}

impl fmt::Display for CacheId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SmmuTlb(asid) => write!(f, "SMMU TLB (ASID {asid})"),
            Self::SmmuStage2(vmid) => write!(f, "SMMU TLB (VMID {vmid})"),
            Self::SmmuNested(vmid, asid) => write!(f, "SMMU TLB (VMID {vmid}, ASID {asid})"),
            Self::SmmuWalk(asid) => write!(f, "SMMU walk cache (ASID {asid})"),
            Self::SmmuConfiguration(stream) => {
                write!(f, "SMMU configuration cache (stream {stream})")
            }
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

/// An entry of a walk cache: walks for `range` go on in the table at `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedTable {
    /// The addresses whose walks it shortens.
    pub range: AddrRange<Iova>,
    /// Level of the table that it leads to.
    pub level: Level,
    /// Where that table is.
    pub next: Gpa,
    /// When it was put there: what [`Observer::table_cached`] returned.
    pub filled: Step,
}

/// A structure that says how a stream is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Structure {
    /// Of the stream.
    StreamTableEntry,
    /// Of one of its substreams.
    ContextDescriptor,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StreamTableEntry => "stream-table entry",
            Self::ContextDescriptor => "context descriptor",
        })
    }
}

/// Where the configuration of an access came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Configuration {
    /// From memory, just now.
    Fetched,
    /// From the configuration cache, and memory says the same.
    Cached,
    /// From the configuration cache, and memory says something else in this structure; in the
    /// first of them, if in both.
    CachedDiffers(Structure),
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
    /// Whether anybody looks. An SMMU that nobody watches need not look up what only an observer
    /// wants to know: the entries that an invalidation takes, what memory says of a configuration.
    fn watches(&self) -> bool {
        true
    }

    /// A walk of the primary page table begins.
    fn walk_began(&self) -> Step;

    /// The walk that began at `began` found `leaf`, which is now in the cache for `page`.
    fn filled(&self, cache: CacheId, page: AddrRange<Iova>, leaf: &Leaf, began: Step) -> Step;

    /// An invalidation takes this entry out.
    fn dropped(&self, cache: CacheId, entry: &Cached);

    /// An invalidation of `range` that no command asked for, or whose completion no CMD_SYNC tells,
    /// is complete: its entries are gone and every access that used one has ended. Both ends as
    /// given by whoever asked for it.
    fn invalidated(&self, cache: CacheId, range: AddrRange<Iova>);

    /// An access is made through `entry`, which allows it.
    fn used(&self, cache: CacheId, iova: Iova, access: Access, entry: &Cached);

    /// An access is refused.
    fn denied(&self, cache: CacheId, iova: Iova, access: Access, denial: &Denial);

    /// An invalidation command is in the queue.
    fn submitted(&self, scope: &Scope) {
        let _ = scope;
    }

    /// An invalidation command has had its effect: `removed` entries are gone, each of which was
    /// shown to [`dropped`](Self::dropped) or [`table_dropped`](Self::table_dropped) just before. It
    /// is complete at the next [`synced`](Self::synced).
    fn carried_out(&self, scope: &Scope, removed: u64) {
        let _ = (scope, removed);
    }

    /// A CMD_SYNC is complete, and with it every command carried out before: every access that used
    /// what they removed has ended.
    fn synced(&self) {}

    /// A walk that began at `began` read that walks for `table.range` go on in the table at
    /// `table.next`, which is now in the walk cache; `table.filled` is not looked at.
    fn table_cached(&self, cache: CacheId, table: &CachedTable, began: Step) -> Step {
        let _ = (cache, table, began);
        Step::default()
    }

    /// A walk for `iova` goes on in this cached table. It comes before what the walk finds.
    fn table_used(&self, cache: CacheId, iova: Iova, table: &CachedTable) {
        let _ = (cache, iova, table);
    }

    /// An invalidation takes this cached table out.
    fn table_dropped(&self, cache: CacheId, table: &CachedTable) {
        let _ = (cache, table);
    }

    /// An access is about to be translated by a configuration that was `found` so.
    fn configured(
        &self,
        stream: StreamId,
        substream: Option<SubstreamId>,
        iova: Iova,
        access: Access,
        found: Configuration,
    ) {
        let _ = (stream, substream, iova, access, found);
    }

    /// For `access` the SMMU itself changed the entry of the page at `iova` in memory, from what says
    /// `before` to what says `after`. It comes before the access, and before a fill with `after`.
    fn marked(&self, iova: Iova, access: Access, before: &Leaf, after: &Leaf) {
        let _ = (iova, access, before, after);
    }
}

/// Watches nothing.
impl Observer for () {
    fn watches(&self) -> bool {
        false
    }

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
