//! An Arm SMMUv3 that can be stale: it caches what it walks, and keeps it, permissions included, until
//! software invalidates it.
//!
//! Three layers, each of which knows only those before it:
//!
//! * [`spec`]: bit layouts, without state;
//! * translation and caching, without registers: [`Smmu`];
//! * [`interface`]: the register frame and the queues in memory, as a driver sees them. What it takes
//!   to put that on a bus is a machine's.
//!
//! A driver is here too, in the parts that the Linux driver has: a planner that knows no SMMU
//! ([`Features::plan`]), the list of what an address space is cached by ([`Invs`]), the domain that
//! binds streams to an address space in the right order ([`Domain`]), and the subscriber that stands
//! between that and the notifier contract ([`Sva`]).

mod asids;
mod carry;
mod configuration;
mod domain;
mod erratum;
mod features;
mod flight;
mod front;
pub mod interface;
mod invs;
mod knobs;
mod mark;
mod model;
mod plan;
mod queue;
mod record;
mod regime;
pub mod spec;
mod stage2;
mod stall;
mod streams;
mod structures;
mod sva;
mod tables;
mod transaction;
mod walker;

#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;

use crate::paging::SystemMemory;
use crate::secondary::Observer;
use crate::secondary::cache::{Tlb, WalkCache};

pub use asids::{Asids, NoAsid};
pub use configuration::{Programming, Traffic};
pub use domain::{Domain, Installed, Listed, Master};
pub use features::{Features, Granule};
pub use front::Front;
pub use invs::{Inv, Invs, Target};
pub use knobs::{
    Ats, Broadcast, Caching, Contiguous, Deny, Httu, KnobError, Knobs, Latency, Racing,
    SyncCompletion, Tlbi,
};
pub use model::Counts;
pub use plan::{Batch, Request};
pub use queue::{DeviceTlb, NoAnswer, Syncing};
pub use regime::{Binding, Context, Requester, SecondStage};
pub use spec::{
    AtcScope, Command, Levels, RangeOperand, Resume, Signal, Stag, TlbiSpan, TlbiVa, Ttl,
};
pub use stage2::Stage2Tlb;
pub use stall::{MOST_STALLED, Stalled};
pub use sva::{EndInvalidates, Sva};
pub use transaction::Transaction;

/// The SMMU.
///
/// What it caches follows the Arm architecture (`IHI0070` 3.21.1, Arm ARM D8.16): an entry that
/// would raise a translation, address or access-flag fault is never kept; any other is, also one
/// that denies the access at hand, and it goes on denying until it is invalidated.
///
/// Accesses take no lock as long as what they need is cached. Locks, each taken only while holding
/// those before it or none: the CMD_SYNC's, a device TLB's, then any one of the others.
pub struct Smmu {
    memory: Arc<dyn SystemMemory>,
    observer: Arc<dyn Observer>,
    features: Features,
    knobs: Knobs,
    stage1_format: configuration::MachineFormat,
    programming: ArcSwapOption<Programming>,
    tlb: Tlb,
    tables: WalkCache,
    streams: streams::Streams,
    flight: flight::Flight,
    syncing: Mutex<queue::OneSync>,
    queue: Mutex<queue::Queue>,
    stalls: Mutex<stall::Stalls>,
    records: Mutex<record::Records>,
    evictions: Mutex<fastrand::Rng>,
    counters: model::Counters,
}
