//! The mmu-notifier contract as cases: hold your own implementation against it.
//!
//! An implementation provides the traits of [`subject`], as many as it has parts, and
//! [`run()`] says of every [`Case`] whether its rule holds. The built-in implementation is
//! [`Builtin`]; [`model`] is a second one, which can be made to fail each case by a
//! [fault](faulty).
//!
//! ```
//! use std::sync::Arc;
//! use conformance::{Builtin, LIMIT, Verdict, cases, run};
//! use conformance::subject::Implementation;
//!
//! let implementation: Arc<dyn Implementation> = Arc::new(Builtin);
//! for case in cases(Some("aging")) {
//!     let finding = run(case, &implementation, LIMIT);
//!     assert_eq!(finding.verdict, Verdict::Passed, "{}: {}", case.name, case.rule);
//! }
//! ```
#![forbid(unsafe_code)]

mod builtin;
mod case;
mod cases;
mod check;
mod device;
pub mod faulty;
mod log;
mod mirrors;
mod mm;
pub mod model;
mod quiet;
mod run;
pub mod subject;
mod task;
#[cfg(test)]
mod tests;

pub use builtin::Builtin;
pub use case::{Case, Section};
pub use run::{Finding, LIMIT, Verdict, cases, run};

/// The example of the documentation's page.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/conformance/index.md")]
struct EntryPage;
