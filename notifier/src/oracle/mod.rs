//! The oracle: what every entry was, when; what every cache did; and whether it had a right to.
//!
//! # The rule
//! A translation that a secondary MMU uses is *lawful* if it is what the page-table entry says, or
//! said at some time since the last completed invalidation that covered it, as long as the code
//! that changed the entry has not gone on as if nobody used the old one any more. A change is
//! *settled* when that code goes on. From then on:
//!
//! * an access made through what the change took away is a violation ([`StaleWritable`],
//!   [`UseAfterUnmap`]);
//! * an access refused by an entry that the change had replaced by one that allows it is a
//!   violation ([`StaleReadOnly`]), and if the device runs out of retries on it, another one
//!   ([`LostProgress`]).
//!
//! A fault is *genuine* if the page table, too, refuses the access. Using an entry that allows less
//! than it could is neither: it harms nobody.
//!
//! The oracle watches ([`contract::Observer`], [`secondary::Observer`]) and is told of changes by
//! whoever makes them. Nothing it knows flows back.
//!
//! [`StaleWritable`]: ViolationKind::StaleWritable
//! [`UseAfterUnmap`]: ViolationKind::UseAfterUnmap
//! [`StaleReadOnly`]: ViolationKind::StaleReadOnly
//! [`LostProgress`]: ViolationKind::LostProgress
//! [`contract::Observer`]: crate::contract::Observer
//! [`secondary::Observer`]: crate::secondary::Observer

mod breaks;
mod cause;
mod chain;
mod changes;
mod configuration;
mod dirty;
mod explain;
mod finding;
mod history;
mod judge;
mod map;
pub mod rule;
mod tables;
mod under_way;
mod waste;
mod watch;

pub use breaks::BreakRule;
pub use dirty::DirtyManagement;
pub use finding::{
    Chain, Detail, Findings, Invalidation, JudgedFault, Judgement, Untracked, Verdict, Violation,
    ViolationKind,
};
pub use history::{Fact, Moment, Record};
pub use under_way::{Changing, Made};
pub use waste::Redundant;
pub use watch::Oracle;

#[cfg(test)]
mod tests;
