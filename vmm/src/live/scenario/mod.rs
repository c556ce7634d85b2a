//! Scenarios of the scenario language on real vCPUs.
//!
//! A [`Plan`] is a cell of a scenario made into code for the payload: the same instructions that the
//! explorer explores, with real page-table entries, TLBs and DMA where the scenario says so.

mod assembler;
mod assignments;
mod batch;
mod context;
mod entries;
mod expressions;
mod flow;
mod forbids;
mod hardware;
mod initial;
mod judge;
mod load;
mod lowering;
mod outcome;
mod places;
mod plan;
mod refusal;
mod replay;
mod sections;
mod shared_shadow;
mod waits;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Cut, Ran, Seen};
pub use judge::{Condition, Judgement, Observed, View, allowed, judge, may_hang};
pub use plan::{NoPlan, Plan};
pub use refusal::Refusal;
pub use replay::{NoReplay, Replayed, TurnSeen, replay};

/// How words of shared memory are stored by steps that are one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// By locked instructions: sequentially consistent, as the explorer's memory is.
    #[default]
    Sequential,
    /// By ordinary stores, which other CPUs may see later than what follows them. More can happen then
    /// than the explorer allows.
    Processor,
}
