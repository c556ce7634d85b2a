//! Scenarios on a machine.
//!
//! A scenario is a program of operations for each vCPU, and expectations of what they come to;
//! [`flagship`] is the first.

mod check;
mod dma;
pub mod flagship;
mod program;
pub mod scenario;
pub mod trace;

pub use check::Check;
pub(crate) use dma::{Transfer, TransferDone};
pub(crate) use program::{OpIndex, Program};
