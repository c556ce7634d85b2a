//! An SMMU without broadcast TLB maintenance: it shares the primary page table, caches what it
//! walks, and keeps it, permissions included, until software invalidates it.
//!
//! Its driver is here too, in the parts that the Linux driver has: a planner that knows no SMMU
//! ([`Features::plan`]), the list of what an address space is cached by ([`Invs`]), the domain that
//! binds streams to an address space in the right order ([`Domain`]), and the subscriber that stands
//! between that and the notifier contract ([`Sva`]).

mod asids;
mod domain;
mod erratum;
mod features;
mod invs;
mod model;
mod plan;
mod queue;
pub mod spec;
mod sva;
mod tlb;

pub use asids::{Asids, NoAsid};

pub use domain::{Domain, Installed, Listed, Master};
pub use erratum::Erratum;
pub use features::{Features, Granule};
pub use invs::{Inv, Invs, Target};
pub use model::{Context, Counts, Smmu};
pub use plan::{Batch, Request};
pub use queue::DeviceTlb;
pub use spec::{AtcScope, Command, Levels, RangeOperand, Signal, TlbiSpan, TlbiVa, Ttl};
pub use sva::{EndInvalidates, Sva};
pub use tlb::{Tlb, WAYS};
