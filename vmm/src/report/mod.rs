//! What the user sees: a table and words, JSON, a page, or a trace.

pub mod chrome;
pub mod conformance;
pub mod dirty_race;
pub mod doctor;
pub mod events;
pub mod file;
mod flagship;
pub mod html;
pub mod json;
pub mod page;
pub mod probe;
pub mod stale_tlb;
mod svg;
pub mod text;
pub mod timeline;
mod violation;

pub use flagship::page as flagship_page;

use crate::host::KvmKind;
use crate::tracker::TrackerKind;

/// Where a run took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// The kind of KVM.
    pub kvm: KvmKind,
    /// How page-table writes became known.
    pub tracker: TrackerKind,
}
