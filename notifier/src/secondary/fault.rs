//! A refused access, as data.

use std::fmt;

use super::Denial;
use super::smmu::Stag;
use crate::addr::{Access, Iova};
use crate::paging::WalkFaultKind;

/// An access that a secondary MMU refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} fault on {access} of {iova}")]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// Where the device pointed.
    pub iova: Iova,
    /// What it wanted.
    pub access: Access,
}

impl Fault {
    /// The refusal of one access.
    pub fn new(kind: FaultKind, iova: Iova, access: Access) -> Self {
        Self { kind, iova, access }
    }
}

/// Why an access was refused (`IHI0070` 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Nothing is mapped there (`F_TRANSLATION`).
    Translation,
    /// The translation does not allow the access (`F_PERMISSION`).
    Permission,
    /// The accessed bit is clear and nobody here sets it (`F_ACCESS`).
    AccessFlag,
    /// An entry is malformed, or a table lies outside memory (`F_ADDR_SIZE`, `F_WALK_EABT`).
    Address,
    /// The stream is bound to no address space (`C_BAD_STREAMID`).
    Stream,
    /// What the stream table says of the stream, or of its substream, can't be used (`C_BAD_STE`,
    /// `C_BAD_CD` and the like).
    Configuration,
    /// The stream's traffic is terminated, or it may not ask for translations.
    Aborted,
    /// The access waits for software (CD.S, STE.S2S): ask what became of it by this tag.
    Stalled(Stag),
    /// The address is being invalidated at this moment: try again.
    Invalidating,
}

impl FaultKind {
    /// What a device is told of a refusal.
    pub fn of(denial: &Denial) -> Self {
        match denial {
            Denial::Entry(_) => Self::Permission,
            Denial::Walk { fault, .. } => fault.kind.into(),
            Denial::Disabled => Self::Translation,
            Denial::AccessFlag(_) => Self::AccessFlag,
        }
    }
}

impl From<WalkFaultKind> for FaultKind {
    fn from(kind: WalkFaultKind) -> Self {
        match kind {
            WalkFaultKind::NotPresent(_) | WalkFaultKind::NotCanonical => Self::Translation,
            WalkFaultKind::Malformed(_)
            | WalkFaultKind::AddressSize(_)
            | WalkFaultKind::NoMemory(_) => Self::Address,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Translation => "translation",
            Self::Permission => "permission",
            Self::AccessFlag => "access-flag",
            Self::Address => "address",
            Self::Stream => "stream",
            Self::Configuration => "configuration",
            Self::Aborted => "aborted",
            Self::Stalled(_) => "stalled",
            Self::Invalidating => "invalidating",
        })
    }
}
