//! What came of a run.

use std::fmt;
use std::time::Duration;

use notifier::contract::Notifications;
use notifier::oracle::Findings;
use notifier::secondary::smmu;

use super::copy::CopyCounts;
use super::{DeviceWork, PrimaryConfig, PrimaryCounts, Subject};

/// How a run came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every try was made.
    Complete,
    /// The user stopped it.
    Interrupted,
    /// Time was up.
    Limit,
    /// A vCPU ended before.
    Stopped(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("every try was made"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Limit => f.write_str("time was up"),
            Self::Stopped(why) => write!(f, "the machine stopped: {why}"),
        }
    }
}

/// The one-word result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrimaryVerdict {
    /// Nothing was lost, and the stage 2 was coherent.
    Holds,
    /// Something was lost, or used or refused by what was stale.
    Violated,
    /// The run did not come to its end, or met nothing.
    Undecided,
}

impl fmt::Display for PrimaryVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Violated => "violated",
            Self::Undecided => "undecided",
        })
    }
}

/// What one vCPU did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuStores {
    /// Its stores, as it counted them in a register; `None` if it did not come to its end.
    pub made: Option<u64>,
    /// Of these, how many are not in memory.
    pub lost: u64,
}

/// Everything that is known after a run.
#[derive(Clone, Debug)]
pub struct PrimaryReport {
    /// What was asked for.
    pub config: PrimaryConfig,
    /// How it ended.
    pub ended: Ended,
    /// From the first vCPU's start to the last one's end.
    pub elapsed: Duration,
    /// How often the host took something.
    pub tries: u64,
    /// What the host did.
    pub counts: PrimaryCounts,
    /// Looks at a page that was taken which saw it change.
    pub changed_while_taken: u64,
    /// Pages that were replaced while they were taken (`uffd-wp`).
    pub replaced: u64,
    /// Pages whose place somebody used while it was empty (`uffd-wp`).
    pub intruded: u64,
    /// The copy that was kept up (`dirty-log`).
    pub copy: Option<CopyCounts>,
    /// What the vCPUs did.
    pub vcpus: Vec<VcpuStores>,
    /// What the device did.
    pub device: DeviceWork,
    /// The device's writes that are not in memory.
    pub device_lost: u64,
    /// What the host's address space sent.
    pub notifications: Notifications,
    /// What the SMMU did.
    pub smmu: smmu::Counts,
    /// What the oracle found.
    pub findings: Findings,
}

impl PrimaryReport {
    /// Whether it came to its end, and what of it is wrong.
    pub fn verdict(&self) -> PrimaryVerdict {
        if !self.wrongs().is_empty() {
            PrimaryVerdict::Violated
        } else if self.ended == Ended::Complete && self.missing().is_none() {
            PrimaryVerdict::Holds
        } else {
            PrimaryVerdict::Undecided
        }
    }

    /// Stores of vCPUs, of those that came to their end.
    pub fn stores(&self) -> u64 {
        self.vcpus.iter().filter_map(|vcpu| vcpu.made).sum()
    }

    /// What is wrong, in words; nothing if nothing is.
    pub fn wrongs(&self) -> Vec<String> {
        let copy = self.copy.unwrap_or_default();
        let lost: u64 = self.vcpus.iter().map(|vcpu| vcpu.lost).sum();
        let counted = [
            (lost, "stores of vCPUs lost"),
            (self.device_lost, "writes of the device lost"),
            (
                self.changed_while_taken,
                "pages changed while they were taken",
            ),
            (
                self.intruded,
                "pages used by somebody while they were replaced",
            ),
            (copy.different, "pages that the log missed"),
        ];
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        let mut wrongs: Vec<_> = counted
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        wrongs.extend(self.findings.violations.iter().map(|violation| {
            let (kind, times) = (violation.kind, violation.occurrences);
            format!("{kind} at {}, {times} times", violation.iova)
        }));
        if !self.findings.untracked.is_empty() {
            wrongs.push("a stage-2 entry changed unseen".into());
        }
        wrongs
    }

    /// What the run was for and did not meet.
    pub fn missing(&self) -> Option<&'static str> {
        let copy = self.copy.unwrap_or_default();
        let met = match self.config.subject {
            Subject::Mprotect | Subject::UffdWp => self.counts.refused_vcpus > 0,
            Subject::DirtyLog => copy.logged_vcpus > 0,
        };
        if self.vcpus.iter().any(|vcpu| vcpu.made.is_none()) {
            Some("a vCPU did not come to its end")
        } else if !met {
            Some("no vCPU met what the host took")
        } else if self.device.refused == 0 {
            Some("the device met nothing that the host took")
        } else {
            None
        }
    }
}
