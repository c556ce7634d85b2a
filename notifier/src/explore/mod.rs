//! The explorer: a scenario on an abstract machine, through every interleaving.
//!
//! [`explore`] takes a checked scenario and a [`Cell`] of its matrix and decides every condition of
//! the file, each with a shortest trace if it is broken. States are exact (no lossy hashing), the
//! search is breadth-first, and the same input gives the same result on any number of threads.

mod batch;
mod binding;
mod code;
mod compile;
mod ends;
mod entries;
mod layout;
mod live;
mod machine;
mod memo;
mod mistake;
mod observe;
mod outcomes;
pub mod program;
mod progress;
mod report;
mod scenarios;
mod schedule;
mod search;
mod step;
mod store;
mod trace;
mod turn;
mod whole;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

pub use binding::{HardwareOperation, Operation, Owner, PageId, Role};
pub use ends::{Ends, Standing};
pub use observe::{Observed, observe};
pub use outcomes::{Judged, Outcomes, Value, beginnings, outcomes};
pub use progress::Most;
pub use report::{Bounds, PropertyReport, Report, Table, Verdict};
pub use scenarios::{NAMES, embedded};
pub use schedule::{Astray, MOST_BEGINNINGS, Move, Mover, Schedule, Turn, follow};
pub use trace::{Difference, Step, Trace};
pub use turn::Choices;
pub use whole::{Breach, Conflict, Forced, Unforceable, forced};

use crate::scenario::tree::Axis;
use crate::scenario::{Checked, Diagnostic};

/// One cell of a matrix: a value of each axis, `None` for an axis that the file does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What the software does.
    pub os: Option<String>,
    /// What the hardware is.
    pub hardware: Option<String>,
}

impl Cell {
    /// The value of an axis.
    pub fn value(&self, axis: Axis) -> Option<&str> {
        match axis {
            Axis::Os => self.os.as_deref(),
            Axis::Hardware => self.hardware.as_deref(),
        }
    }

    /// The knobs that its values turn on.
    pub fn knobs<'a>(&self, checked: &'a Checked) -> Vec<&'a str> {
        let variants = checked.symbols.variants.iter();
        let chosen =
            variants.filter(|variant| self.value(variant.axis) == Some(variant.name.text.as_str()));
        let knobs = chosen.flat_map(|variant| &variant.knobs);
        knobs.map(|knob| knob.text.as_str()).collect()
    }

    /// All cells of a file's matrix, row by row.
    pub fn all(checked: &Checked) -> Vec<Self> {
        let axis = |axis| {
            let names: Vec<_> = checked
                .symbols
                .of_axis(axis)
                .map(|name| Some(name.to_owned()))
                .collect();
            if names.is_empty() { vec![None] } else { names }
        };
        let (rows, columns) = (axis(Axis::Os), axis(Axis::Hardware));
        let row = |os: &Option<String>| {
            let cell = |hardware: &Option<String>| Self {
                os: os.clone(),
                hardware: hardware.clone(),
            };
            columns.iter().map(cell).collect::<Vec<_>>()
        };
        rows.iter().flat_map(row).collect()
    }
}

/// How far a search may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// States that are kept at most.
    pub states: usize,
    /// Bytes that they may take at most.
    pub memory: usize,
    /// Threads that make steps; what comes of it does not depend on their number.
    pub threads: NonZeroUsize,
    /// What ends it before its end.
    pub until: Until,
}

/// When a search has found enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// When every condition is decided.
    #[default]
    Decided,
    /// When something is broken, too: a condition on states or steps is violated, or somebody waits for
    /// ever. Of a livelock there is no trace then. For who asks only whether all is well.
    Broken,
}

impl Default for Limits {
    /// 100 million states, 4 GiB, one thread, until all is decided.
    fn default() -> Self {
        Self {
            states: 100_000_000,
            memory: 4 << 30,
            threads: NonZeroUsize::MIN,
            until: Until::Decided,
        }
    }
}

/// Whether states that differ in nothing that matters are taken for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reductions {
    /// Registers that nobody reads any more are cleared, and places in a program from which all goes
    /// on alike are one.
    #[default]
    On,
    /// No state is taken for another: only for checking that the reductions change no verdict.
    Off,
}

/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// States found.
    pub states: usize,
    /// Steps from the beginning.
    pub depth: usize,
}

/// What a search was stopped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// So many states.
    States(usize),
    /// So many bytes.
    Memory(usize),
    /// Whoever watched it.
    Interrupted,
    /// What was broken, where no more was asked ([`Until::Broken`]).
    Broken,
}

/// Decides every condition of `checked` in one cell. `watch` is told from time to time how far it
/// has come, and can stop it.
///
/// # Errors
/// A variant that the file does not declare, a program or state that is too large, a value that does
/// not fit where a step puts it, a step that can go in too many ways, a scenario of which no run comes
/// to its end (see [`Report::endless`]); not yet [located](Diagnostic::locate).
pub fn explore(
    checked: &Checked,
    cell: &Cell,
    limits: &Limits,
    reductions: Reductions,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, Diagnostic> {
    let report = survey(checked, cell, limits, reductions, watch)?;
    match report.endless() {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// The same, but for whoever wants to know of a scenario without end what there is to be known.
pub(crate) fn survey(
    checked: &Checked,
    cell: &Cell,
    limits: &Limits,
    reductions: Reductions,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, Diagnostic> {
    let mut search = |reductions| search_all(checked, cell, limits, reductions, watch);
    match search(reductions) {
        // Steps that are alike were taken for one: which of them is wrong is seen without that.
        Err(error) if reductions == Reductions::On => {
            Err(search(Reductions::Off).err().unwrap_or(error))
        }
        told => told,
    }
}

fn search_all(
    checked: &Checked,
    cell: &Cell,
    limits: &Limits,
    reductions: Reductions,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, Diagnostic> {
    let program = compile::compile(checked, cell, reductions)?;
    match program.words {
        1 => report::report::<1>(checked, cell, &program, limits, watch),
        2 => report::report::<2>(checked, cell, &program, limits, watch),
        3 => report::report::<3>(checked, cell, &program, limits, watch),
        _ => report::report::<4>(checked, cell, &program, limits, watch),
    }
}

#[cfg(test)]
mod tests;
