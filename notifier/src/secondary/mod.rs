//! Secondary MMUs: what follows the primary page table from outside the CPU.
//!
//! * [`smmu`]: an SMMU that shares the primary page table and keeps what it cached, permissions
//!   included, until it is told to drop it.
//! * [`shadow`]: an MMU with page tables of its own, filled from the primary one on demand.

pub mod atc;
mod fault;
mod observer;
pub mod recorder;
pub mod shadow;
pub mod smmu;
mod span;

pub use fault::{Fault, FaultKind};
pub use observer::{CacheId, Cached, Denial, Observer};
pub use span::AlignedSpan;

#[cfg(test)]
mod tests;
