//! How the guest's page-table writes become known.
//!
//! * [`trap`]: page tables are in a read-only memory slot, so each write is an exit.
//! * [`announce`]: the guest says what it is about to write, writes it, and says that it has.
//!
//! * [`scan`]: the guest writes as it likes, and what has changed is found by comparison with a copy.
//!
//! All hand a [`PageTableWrite`] to the [`Mirror`](crate::mirror::Mirror), which decides what it
//! means; for the same guest all come to the same page table. `docs/trackers.md` says what each can
//! miss.

pub mod announce;
mod probe;
pub mod scan;
pub(crate) mod shadow_paging;
pub mod trap;
mod write;

use std::fmt;

pub use probe::{choose, dirty_pages, trap_works, works};
use scan::DirtyPages;
pub use write::{NotAWrite, PageTableWrite};

/// A way to see page-table writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackerKind {
    /// By a read-only memory slot; not where the hardware's own walker writes page tables.
    Trap,
    /// By the guest's word.
    Announce,
    /// By what KVM says of dirty pages and a copy; later than the others.
    Scan(DirtyPages),
}

impl TrackerKind {
    /// All of them; the scanning one as it is everywhere.
    pub const ALL: [Self; 3] = [Self::Trap, Self::Scan(DirtyPages::Log), Self::Announce];
}

impl fmt::Display for TrackerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "trap",
            Self::Announce => "announce",
            Self::Scan(_) => "scan",
        })
    }
}
