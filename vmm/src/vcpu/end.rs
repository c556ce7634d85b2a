//! How a vCPU's run ends.

use std::fmt;

use notifier::addr::Gva;

use crate::bus::Space;
use crate::mirror::MirrorError;
use crate::tracker::NotAWrite;

/// Which vCPU, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuIndex(pub u64);

impl fmt::Display for VcpuIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vCPU {}", self.0)
    }
}

/// Why a vCPU runs no more. Only the first is how it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VcpuEnd {
    /// Its program came to its end.
    #[error("it finished")]
    Done,
    /// The machine stopped it.
    #[error("it was stopped")]
    Stopped,
    /// The payload met a fault that it was not prepared for.
    #[error(
        "the guest took exception {vector} (error code {error:#x}, address {address:#x}) \
         that nothing was prepared for"
    )]
    Fatal {
        /// Exception vector.
        vector: u64,
        /// Error code.
        error: u64,
        /// Faulting address.
        address: u64,
    },
    /// The payload panicked; the console has its words.
    #[error("the guest panicked")]
    Panicked,
    /// The ring-0 stub took an exception.
    #[error("the guest's exception stub took an exception itself")]
    StubFault,
    /// The guest wrote something to the exit port that means nothing.
    #[error("the guest left with the unknown exit code {0:#x}")]
    BadExit(u64),
    /// A triple fault.
    #[error("the guest shut down (triple fault)")]
    Shutdown,
    /// An access where nothing is.
    #[error(
        "the guest tried to {what} {space:?} address {address:#x} ({length} bytes), where there is nothing"
    )]
    Unclaimed {
        /// `read from` or `write to`.
        what: &'static str,
        /// MMIO or ports.
        space: Space,
        /// First byte.
        address: u64,
        /// Bytes.
        length: usize,
    },
    /// A page-table write that can't be followed.
    #[error("the guest's page-table change can't be followed: {0}")]
    Mirror(#[from] MirrorError),
    /// An announcement that announces nothing.
    #[error("the guest's announcement makes no sense: {0}")]
    Announcement(#[from] NotAWrite),
    /// The announcement protocol was not kept.
    #[error("the guest announced that a page-table change is made, without one before")]
    NothingAnnounced,
    /// A notification of nothing.
    #[error("the guest notifies by {0:#x}, which means nothing")]
    BadNotification(u64),
    /// KVM could not go on.
    #[error("KVM could not run the guest on: {0}")]
    Kvm(String),
}

/// A vCPU's end and where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedAt {
    /// Why.
    pub end: VcpuEnd,
    /// Its instruction pointer, if KVM would say.
    pub instruction: Option<Gva>,
}
