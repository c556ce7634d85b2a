//! What checks are made of.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::subject::Refused;

/// Why a case did not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The implementation has nothing of the kind.
    #[error("not offered")]
    NotOffered,
    /// A rule is broken.
    #[error("{0}")]
    Broken(String),
}

/// What a check comes to.
pub(crate) type Outcome = Result<(), Failure>;

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Broken(format!("what is allowed was refused: {refused}"))
    }
}

/// An address space, if the implementation has one of the kind.
pub(crate) fn offered<T>(space: Option<T>) -> Result<T, Failure> {
    space.ok_or(Failure::NotOffered)
}

/// Fails with `rule` unless it holds.
pub(crate) fn holds(kept: bool, rule: &str) -> Outcome {
    if kept {
        return Ok(());
    }
    Err(Failure::Broken(rule.to_owned()))
}

/// Fails unless what was seen is what is right.
pub(crate) fn equal<T: Debug + PartialEq>(what: &str, seen: T, right: T) -> Outcome {
    if seen == right {
        return Ok(());
    }
    Err(Failure::Broken(format!(
        "{what}: {seen:?} where {right:?} is right"
    )))
}

/// Fails unless it was refused, in whatever way.
pub(crate) fn refused<T>(what: &str, result: Result<T, Refused>) -> Outcome {
    match result {
        Ok(_) => Err(Failure::Broken(format!("{what} was accepted"))),
        Err(_) => Ok(()),
    }
}

/// Fails unless `body` is caught at a violation: by an error that is none of everyday life, or by a
/// panic.
pub(crate) fn detected<T>(what: &str, body: impl FnOnce() -> Result<T, Refused>) -> Outcome {
    match catch_unwind(AssertUnwindSafe(body)) {
        Err(_) | Ok(Err(Refused::ByType | Refused::Violation(_) | Refused::Invalid(_))) => Ok(()),
        Ok(Err(other)) => Err(Failure::Broken(format!("{what} only gave \"{other}\""))),
        Ok(Ok(_)) => Err(Failure::Broken(format!("{what} went unnoticed"))),
    }
}
