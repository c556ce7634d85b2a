//! Interval notifiers: subscribers that watch parts of an address space, and readers that find out
//! afterwards whether what they read was invalidated meanwhile (Linux: `mmu_interval_notifier`).

mod handle;
mod intervals;
mod sequence;
mod subscriber;
mod tree;
pub(super) mod watcher;

pub use handle::{Interval, ReadSequence};
pub(super) use intervals::Intervals;
pub use subscriber::{FirstPass, IntervalSubscriber, UserGuard, UserLock};
pub use tree::{IntervalTree, Key};
