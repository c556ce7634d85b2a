//! Why there is no run.

use std::io;

use notifier::contract::RegisterError;
use notifier::paging::vmsa::StartLevelError;
use notifier::paging::{BuildError, Malformed, NoMemory, TreeError};

use super::MOST_PAGES;
use crate::machine::MachineError;
use crate::memory::OutsideMemory;

/// Why there is no run, or none with a result.
#[derive(Debug, thiserror::Error)]
pub enum PrimaryError {
    /// There is no machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Too few or too many pages.
    #[error("{0} pages: it takes 1 to {MOST_PAGES}")]
    Pages(u64),
    /// The host has not what it takes.
    #[error("this host can't: {0}")]
    Host(String),
    /// A system call failed that the host has.
    #[error("{step} failed: {error}")]
    System {
        /// Which.
        step: &'static str,
        /// What it says.
        error: io::Error,
    },
    /// A stage 2 does not fit together.
    #[error("the stage 2 does not fit together: {0}")]
    Stage2(Box<dyn std::error::Error + Send + Sync>),
}

impl PrimaryError {
    /// For `map_err`: `step` failed.
    pub(super) fn system(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { step, error }
    }

    /// For `map_err`: KVM failed at `step`.
    pub(super) fn kvm(step: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| Self::System {
            step,
            error: io::Error::from_raw_os_error(error.errno()),
        }
    }
}

macro_rules! stage2 {
    ($($error:ty),+) => {
        $(impl From<$error> for PrimaryError {
            fn from(error: $error) -> Self {
                Self::Stage2(error.into())
            }
        })+
    };
}

stage2!(
    BuildError,
    Malformed,
    NoMemory,
    OutsideMemory,
    RegisterError,
    StartLevelError,
    TreeError
);
