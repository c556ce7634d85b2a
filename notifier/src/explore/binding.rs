//! What the parts of a program are where it runs on real vCPUs.
//!
//! The explorer takes no notice of it: `docs/language.md`, "Live".

use std::ops::Range;

use super::code::Target;
pub use crate::scenario::tree::HardwareOperation;

/// The number of a page that is bound, from 0 in the order of the file; each element of an array is
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub usize);

/// What something of the state is on real hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A word of memory, or nothing at all if it is a ghost.
    Word,
    /// The page-table entry of a page.
    Page(PageId),
    /// What the TLB of an agent's vCPU has of a page.
    Tlb {
        /// The number of the agent.
        agent: usize,
        /// The page.
        page: PageId,
    },
    /// What the SMMU has of a page.
    Smmu {
        /// The page.
        page: PageId,
    },
    /// A word in a frame.
    Contents {
        /// The number of the frame.
        frame: usize,
    },
    /// Whether a frame is somebody else's.
    Freed {
        /// The number of the frame.
        frame: usize,
    },
}

/// Who can see something of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// All agents.
    Shared,
    /// Conditions only.
    Ghost,
    /// One agent, handler or event.
    Register,
}

/// Instructions that are the model of what hardware does at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it does.
    pub what: HardwareOperation,
    /// The entry of the page that it goes through: its fields are all bound to pages. An event has
    /// none.
    pub page: Option<Target>,
    /// The register, a flag, that has 1 or 0 behind it: whether it got through. On every way through
    /// the instructions it is written.
    pub result: Option<Target>,
    /// The numbers of the instructions; whatever jumps in them stays in them or goes to the end, which
    /// is excluded. May be empty.
    pub code: Range<usize>,
}
