//! The nine ways in which such protocols went wrong.

use std::fmt;

/// A class of mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nobody invalidates, waits, tells or takes the lock.
    Missing,
    /// It is done before that which it is for.
    TooEarly,
    /// It is done after somebody relied on it.
    TooLate,
    /// Wrong range, level or tag: it drops something else.
    WrongTarget,
    /// Two steps that order each other are exchanged.
    WrongOrder,
    /// Somebody thinks that it is not needed.
    Skipped,
    /// It is reported as complete before it is.
    CompletesEarly,
    /// What was dropped is cached again.
    Refilled,
    /// It never completes.
    NotLive,
}

impl Class {
    /// All of them, in the order of the catalogue.
    pub const ALL: [Self; 9] = [
        Self::Missing,
        Self::TooEarly,
        Self::TooLate,
        Self::WrongTarget,
        Self::WrongOrder,
        Self::Skipped,
        Self::CompletesEarly,
        Self::Refilled,
        Self::NotLive,
    ];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Missing => "missing",
            Self::TooEarly => "too early",
            Self::TooLate => "too late",
            Self::WrongTarget => "wrong target",
            Self::WrongOrder => "wrong order",
            Self::Skipped => "skipped",
            Self::CompletesEarly => "completes early",
            Self::Refilled => "re-filled after",
            Self::NotLive => "not live",
        })
    }
}
