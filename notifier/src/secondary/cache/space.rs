//! What entries are tagged with.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::addr::{AddrRange, Address, Asid, Iova, PageSize, Vmid};
use crate::sync::lock;

/// How many invalidations a space remembers the ranges of. A walk that more of them pass by than
/// this is taken to be covered by one.
const REMEMBERED: usize = 8;

/// The world that a transaction belongs to (`IHI0070` 3.3.4, STE.STRW): translations of one are not
/// seen in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamWorld {
    /// Non-secure EL1: guests and their kernels, with a VMID where there is a stage 2.
    NsEl1,
    /// Non-secure EL2: a hypervisor, without a VMID.
    El2,
}

/// Which of a world's translations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpaceTag {
    /// Those of one address space (nG = 1).
    Asid(Asid),
    /// Those that every address space shares (nG = 0).
    Global,
    /// Those of stage 2 alone.
    Stage2,
}

/// What an entry is tagged with (`IHI0070` 3.17); never the StreamID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceKey {
    /// Whose.
    pub world: StreamWorld,
    /// Of which virtual machine, where there is a stage 2.
    pub vmid: Option<Vmid>,
    /// Of which address space.
    pub tag: SpaceTag,
}

/// One tag, as the caches know it: which generation of it they hold, and what was invalidated.
///
/// A space belongs to the [`Tlb`](super::Tlb) that made it and to at most one
/// [`WalkCache`](super::WalkCache).
#[derive(Debug)]
pub struct Space {
    key: SpaceKey,
    /// The TLB's generation; 0 while it holds nothing of this space.
    id: AtomicU32,
    /// The sizes of the entries that the TLB holds: bit *n* for 2^*n* bytes.
    sizes: AtomicU64,
    /// The walk cache's generation, in the walk cache's own form.
    pub(super) tables: AtomicU64,
    /// The sizes of what the TLB may hold in pieces, in the same form.
    pieces: AtomicU64,
    /// The spans of the tables that the walk cache may hold, in the same form as `sizes`.
    pub(super) spans: AtomicU64,
    /// How many invalidations there were.
    invalidations: AtomicU64,
    /// The ranges of the last of them, by their number modulo the length.
    ranges: Mutex<[AddrRange<Iova>; REMEMBERED]>,
}

/// What a walk takes along from its beginning, to be shown with what it found.
#[must_use = "without it nothing can be put in"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillTicket(u64);

impl Space {
    pub(super) fn new(key: SpaceKey) -> Self {
        Self {
            key,
            id: AtomicU32::new(0),
            sizes: AtomicU64::new(0),
            tables: AtomicU64::new(0),
            pieces: AtomicU64::new(0),
            spans: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            ranges: Mutex::new([AddrRange::all(); REMEMBERED]),
        }
    }

    /// What it is.
    pub fn key(&self) -> SpaceKey {
        self.key
    }

    /// How many invalidations of it there were, of any part and in any cache.
    pub fn invalidations(&self) -> u64 {
        self.invalidations.load(Ordering::Acquire)
    }

    /// To be taken before a walk reads anything.
    pub(super) fn ticket(&self) -> FillTicket {
        FillTicket(self.invalidations())
    }

    /// An invalidation of `range` is done, in one cache.
    pub(super) fn invalidated(&self, range: AddrRange<Iova>) {
        let mut ranges = lock(&self.ranges);
        let number = self.invalidations();
        ranges[slot(number)] = range;
        self.invalidations.store(number + 1, Ordering::Release);
    }

    /// Whether an invalidation has touched any address of `page` since the ticket was taken.
    pub(super) fn overtook(&self, ticket: FillTicket, page: AddrRange<Iova>) -> bool {
        if self.invalidations() == ticket.0 {
            return false;
        }
        let ranges = lock(&self.ranges);
        let now = self.invalidations();
        let forgotten = now.saturating_sub(ticket.0) > REMEMBERED as u64;
        forgotten || (ticket.0..now).any(|number| ranges[slot(number)].overlaps(page))
    }

    /// From now on the TLB may hold a piece of a page of this size. Stays so: to invalidate too much is
    /// right.
    pub(super) fn has_pieces_of(&self, size: PageSize) {
        self.pieces.fetch_or(1 << size.shift(), Ordering::Relaxed);
    }

    /// `range` with all of whatever it touches that may be there in pieces.
    pub fn with_pieces(&self, range: AddrRange<Iova>) -> AddrRange<Iova> {
        let pieces = self.pieces.load(Ordering::Relaxed);
        let largest = pieces.checked_ilog2().and_then(|it| u8::try_from(it).ok());
        let Some(size) = largest.and_then(PageSize::from_shift) else {
            return range;
        };
        let last = Iova::new(range.last().raw() | size.offset_mask());
        AddrRange::through(range.start().align_down(size), last).unwrap_or(range)
    }

    #[inline]
    pub(super) fn id(&self) -> u32 {
        self.id.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn sizes(&self) -> u64 {
        self.sizes.load(Ordering::Relaxed)
    }

    pub(super) fn set_sizes(&self, sizes: u64) {
        self.sizes.store(sizes, Ordering::Relaxed);
    }

    /// A generation begins, or with 0 ends; either way it holds nothing yet.
    pub(super) fn set_id(&self, id: u32) {
        self.sizes.store(0, Ordering::Relaxed);
        self.id.store(id, Ordering::Release);
    }
}

fn slot(number: u64) -> usize {
    usize::try_from(number % REMEMBERED as u64).unwrap_or(0)
}
