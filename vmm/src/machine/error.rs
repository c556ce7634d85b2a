//! Why there is no machine, or no run.

use std::io;

use guest::abi::{layout, program};
use notifier::contract::RegisterError;
use notifier::paging::{BuildError, TreeError};

use crate::arch::ArchError;
use crate::bus::BusError;
use crate::host::HostError;
use crate::image::ImageError;
use crate::memory::{LayoutError, OutsideMemory};

/// Why there is no machine, or no run.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The host can't.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Too few or too many vCPUs.
    #[error("{0} vCPUs: it takes 1 to {max}", max = layout::MAX_VCPUS)]
    Vcpus(u64),
    /// The memory map does not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The payload is none.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A program does not fit.
    #[error("a program of {count} operations for vCPU {index}: a vCPU has room for {max}", max = program::CAPACITY)]
    Program {
        /// For which vCPU.
        index: u64,
        /// Operations, the end included.
        count: u64,
    },
    /// The host gives no memory.
    #[error("the host gives no guest memory: {0}")]
    Memory(io::Error),
    /// KVM does not do something.
    #[error("KVM can't {step}: {error}")]
    Kvm {
        /// What.
        step: &'static str,
        /// What it says.
        error: kvm_ioctls::Error,
    },
    /// A vCPU can't be set up.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// The host gives no thread, event descriptor or timer.
    #[error("the host gives no {what}: {error}")]
    Resource {
        /// What.
        what: &'static str,
        /// What it says.
        error: io::Error,
    },
    /// A secondary MMU can't follow the address space.
    #[error("a secondary MMU can't be registered: {0}")]
    Register(#[from] RegisterError),
    /// The event loop does not run.
    #[error("the event loop failed: {0}")]
    EventLoop(#[from] event_manager::Error),
    /// Something of the machine itself does not fit.
    #[error("the machine does not fit together: {0}")]
    Assembly(Box<dyn std::error::Error + Send + Sync>),
}

impl MachineError {
    /// For `map_err`: KVM can't do `step`.
    pub(super) fn kvm(step: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| Self::Kvm { step, error }
    }

    /// For `map_err`: the host gives no `what`.
    pub(super) fn resource(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Resource { what, error }
    }
}

macro_rules! assembly {
    ($($error:ty),+) => {
        $(impl From<$error> for MachineError {
            fn from(error: $error) -> Self {
                Self::Assembly(error.into())
            }
        })+
    };
}

assembly!(BusError, BuildError, TreeError, OutsideMemory);
