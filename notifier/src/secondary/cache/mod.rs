//! Translation caches: what a TLB and a walk cache hold, for many threads at once.
//!
//! Everything is tagged by a [`Space`]: StreamWorld, VMID, ASID or global, never the StreamID
//! (`IHI0070` 3.17). A space has a *generation*; an entry belongs to the one that it was put in
//! under. To invalidate a whole space is to end its generation, whatever it holds.
//!
//! Look-ups take no lock and write nothing. Whatever changes a cache takes the cache's one lock,
//! which nobody holds across a walk or an access.
//!
//! # Walks in flight
//!
//! An invalidation must not leave behind what a walk makes that began before it (`IHI0070` 3.21.1).
//! Whoever walks takes a [ticket](Tlb::fill_began) first, before it reads any table or the walk
//! cache, and shows it when it puts in what it found; if an invalidation has covered that in the
//! meantime, it is not kept.
//!
//! Where there are both caches, an invalidation goes to the [`WalkCache`] first and then to the
//! [`Tlb`]. In the other order a walk that begins between the two could use a table pointer that is
//! about to go, and put what it leads to into a TLB that is done already.

#[cfg(test)]
#[cfg(loom)]
mod models;
mod packed;
mod registry;
mod residents;
mod sets;
mod space;
mod tag;
mod tlb;
mod walks;

pub use sets::WAYS;
pub use space::{FillTicket, Space, SpaceKey, SpaceTag, StreamWorld};
pub use tlb::Tlb;
pub use walks::{CachedTable, WalkCache};

/// What becomes of an entry that an invalidation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is taken out.
    Goes,
    /// It survives, as an erratum may have it.
    Stays,
}

/// What became of an entry that was put in.
#[must_use = "what was overtaken is not in the cache"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is there.
    Kept,
    /// It is not: an invalidation has covered it since the walk began.
    Overtaken,
    /// It is not, and could never be: its addresses are not one aligned power of two of at least 64
    /// bytes, or the space is another cache's.
    Unfit,
}
