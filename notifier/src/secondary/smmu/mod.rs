//! An SMMU without broadcast TLB maintenance: it shares the primary page table, caches what it
//! walks, and keeps it, permissions included, until software invalidates it.

mod model;
mod sva;
mod tlb;

pub use model::{Context, Counts, Smmu};
pub use sva::{EndInvalidates, Sva};
pub use tlb::{Tlb, WAYS};
