//! Secondary MMUs: what follows the primary page table from outside the CPU.
//!
//! * [`smmu`]: an SMMU that shares the primary page table and keeps what it cached, permissions
//!   included, until it is told to drop it.
//! * [`cache`]: what an SMMU and a device keep translations and table pointers in.
//! * [`atc`]: a device's own TLB, which refills from the SMMU.
//! * [`shadow`]: an MMU with page tables of its own, filled from the primary one on demand.
//! * [`vtd`], [`amd`], [`ocxl`]: what other drivers make of a notification, without the hardware.
//! * [`recorder`]: subscribers that write down what they are told.

pub mod amd;
pub mod atc;
pub mod cache;
mod fault;
mod observer;
pub mod ocxl;
pub mod recorder;
mod scope;
pub mod shadow;
pub mod smmu;
mod span;
pub mod vtd;

pub use fault::{Fault, FaultKind};
pub use observer::{CacheId, Cached, CachedTable, Configuration, Denial, Observer, Structure};
pub use scope::{Fit, Held, Scope, Tag, What};
pub use span::AlignedSpan;

#[cfg(test)]
mod tests;
