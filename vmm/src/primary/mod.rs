//! The host's mapping of guest memory as a primary MMU of its own: what the host takes from the
//! vCPUs and gives back, mirrored through the notifier to a stage 2 that the SMMU walks.
//!
//! ```text
//! host:  mprotect | dirty log | userfaultfd     vCPU: refused, answered, tries again
//!          \------- one page's lock -------/
//!                          |
//!        contract::AddressSpace (stage-2 tables) --> Stage2Tlb: CMD_TLBI_S2_IPA, CMD_SYNC
//!                                                          |
//!                            device --- DMA ---> SMMU, stage 2 --> the same pages
//! ```
//!
//! | file | noun |
//! |---|---|
//! | `frames` | the pages, as the vCPUs reach them and as the device does |
//! | `means` | by what the host takes writes away: `mapping`, `dirty_log`, `userfault` |
//! | `stage2` | the tables, the address space over them, the SMMU that walks them |
//! | `space` | one page after the other: host and stage 2 together |
//! | `device` | who does DMA meanwhile |
//! | `rounds` | what the host does all the time, one file a subject |
//! | `copy` | what the dirty log is for |
//! | `run`, `course`, `report` | all of it together, how far it is, and what came of it |

mod copy;
mod course;
mod device;
mod dirty_log;
mod error;
mod frames;
mod mapping;
mod means;
mod report;
mod rounds;
mod run;
mod space;
mod stage2;
mod userfault;

use std::fmt;
use std::time::Duration;

pub use device::DeviceWork;
pub use error::PrimaryError;
pub use frames::MOST_PAGES;
pub use report::{Ended, PrimaryReport, PrimaryVerdict, VcpuStores};
pub use run::run;
pub use space::PrimaryCounts;

/// By what the host takes writes of guest memory away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// mprotect of the host's mapping.
    Mprotect,
    /// KVM's dirty log.
    DirtyLog,
    /// userfaultfd's write protection.
    UffdWp,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mprotect => "mprotect",
            Self::DirtyLog => "dirty-log",
            Self::UffdWp => "uffd-wp",
        })
    }
}

/// What the host leaves out, to show what comes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Omission {
    /// Nothing.
    #[default]
    Nothing,
    /// The notification after it gave a page back.
    Upgrade,
    /// The notification when it took a page.
    Downgrade,
    /// The answer to who was refused.
    Answer,
}

impl fmt::Display for Omission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Answer => "answer",
        })
    }
}

/// What a run is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimaryConfig {
    /// By what.
    pub subject: Subject,
    /// vCPUs that count, 1 to 8.
    pub vcpus: u64,
    /// How often the host takes something: all pages (`mprotect`), what was written since the last
    /// time (`dirty-log`), or one page (`uffd-wp`).
    pub tries: u64,
    /// Pages, 1 to [`MOST_PAGES`].
    pub pages: u64,
    /// When a run that has not come to its end is ended.
    pub limit: Duration,
    /// What is left out.
    pub omission: Omission,
}
