//! Edits of a scenario's tree: what if a step were missing, what single step is missing, what could
//! be left out.
//!
//! All three ask the explorer and nobody else: the tree is changed, checked and explored as any
//! other. [`mutants`] lists the wrong scenarios next to a right one, [`Baseline`] says whether the
//! file's conditions see them; [`edits`] lists what a repair may do in one step; [`removals`] what
//! can be tried without. Who runs them, on how many threads, is the caller's business.

mod class;
mod elide;
mod ends;
mod judge;
mod live;
mod mutant;
mod operators;
mod repair;
mod site;
mod step;

pub use class::Class;
pub use elide::{Removal, removals, without};
pub use ends::always_ends;
pub use judge::{Baseline, By, Catch, Outcome};
pub use mutant::{Mutant, mutants};
pub use repair::{Edit, Standing, cost, edits};
