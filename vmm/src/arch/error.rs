//! Why a vCPU could not be set up.

use std::fmt;

use guest::abi::layout;
use thiserror::Error;
use vm_memory::{GuestAddress, GuestMemoryError};

/// Result of this module's functions.
pub type Result<T> = std::result::Result<T, ArchError>;

/// Why a vCPU could not be set up or asked.
#[derive(Debug, Error)]
pub enum ArchError {
    /// More vCPUs, or a higher index, than the memory layout has room for.
    #[error("{0} vCPUs wanted, but the memory layout has room for {max}", max = layout::MAX_VCPUS)]
    TooManyVcpus(u64),
    /// The image's header names an address that is not in the image.
    #[error("the image's {what} is at {address:#x}, outside the image")]
    OutsideImage {
        /// The field of the header.
        what: &'static str,
        /// What it says.
        address: u64,
    },
    /// A system table could not be written.
    #[error("can't write a system table at {:#x}", address.0)]
    Memory {
        /// Guest-physical address of its first byte.
        address: GuestAddress,
        /// What guest memory says.
        source: GuestMemoryError,
    },
    /// KVM refused.
    #[error("KVM can't {step}")]
    Kvm {
        /// What it was asked for.
        step: Step,
        /// Its answer.
        source: kvm_ioctls::Error,
    },
}

/// What KVM was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// List the processor features it can offer.
    ListFeatures,
    /// Give a vCPU its features.
    SetFeatures,
    /// Read registers.
    ReadRegisters,
    /// Set general registers.
    SetRegisters,
    /// Set system registers.
    SetSystemRegisters,
    /// Set floating-point state.
    SetFloatingPoint,
    /// Add an interrupt controller to a machine.
    AddInterruptController,
    /// Read or set a vCPU's part of it.
    SetInterruptController,
    /// Make a vCPU runnable.
    SetRunnable,
}

impl Step {
    /// Turns KVM's answer into this module's error.
    pub(super) fn failed(self) -> impl FnOnce(kvm_ioctls::Error) -> ArchError {
        move |source| ArchError::Kvm { step: self, source }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ListFeatures => "list the features it supports",
            Self::SetFeatures => "set a vCPU's features",
            Self::ReadRegisters => "read a vCPU's registers",
            Self::SetRegisters => "set a vCPU's general registers",
            Self::SetSystemRegisters => "set a vCPU's system registers",
            Self::SetFloatingPoint => "set a vCPU's floating-point state",
            Self::AddInterruptController => "add an interrupt controller to a machine",
            Self::SetInterruptController => "set a vCPU's interrupt controller",
            Self::SetRunnable => "make a vCPU runnable",
        })
    }
}
