//! What reports of probes have in common: whose behaviour was seen.

use serde::Serialize;

use crate::host::KvmKind;
use crate::machine::Stopped;
use crate::probe::{Paging, Who};

/// The host of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The kind of KVM.
    pub kvm: KvmKind,
    /// How it pages.
    pub paging: Paging,
    /// Who walks the guest's tables.
    pub who: Who,
    /// Whether the processor says that it has control-flow enforcement.
    pub has_cet: bool,
}

#[derive(Serialize)]
pub(super) struct HostDocument {
    kvm: String,
    paging: String,
    tables_walked_by: String,
    cet: bool,
}

impl Seen {
    /// This host.
    pub fn detect() -> Self {
        let kvm = KvmKind::detect();
        let paging = Paging::detect(kvm);
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            kvm,
            paging,
            who: Who::detect(paging),
            has_cet: has_cet(&processor),
        }
    }

    /// The host, on one line.
    pub(super) fn line(&self) -> String {
        let Self {
            kvm, paging, who, ..
        } = self;
        let who = match who {
            Who::Kvm => "KVM, in software",
            Who::EmulatedCpu => "an emulated processor",
            Who::Cpu => "the processor",
            Who::Unknown => "nobody knows whom",
        };
        format!("KVM: {kvm}, {paging} paging; the guest's page tables are walked by {who}\n")
    }

    pub(super) fn document(&self) -> HostDocument {
        HostDocument {
            kvm: self.kvm.to_string(),
            paging: self.paging.to_string(),
            tables_walked_by: self.who.to_string(),
            cet: self.has_cet,
        }
    }
}

/// Shadow stacks or indirect-branch tracking, either of which is CET (Intel SDM vol. 1, 17.1).
fn has_cet(processor: &str) -> bool {
    let flags = processor.lines().find(|line| line.starts_with("flags"));
    let mut flags = flags.unwrap_or_default().split_whitespace();
    flags.any(|flag| ["shstk", "user_shstk", "ibt"].contains(&flag))
}

/// One line for all that were stopped, if any were.
pub(super) fn stopped<'a>(mut all: impl Iterator<Item = &'a Stopped>) -> String {
    let Some(first) = all.next() else {
        return String::new();
    };
    let others = all.count();
    let more = match others {
        0 => String::new(),
        others => format!(", and {others} more"),
    };
    format!("not all was tried: {first}{more}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cet_is_a_flag_of_its_own() {
        assert!(has_cet("model name : x\nflags : fpu ibt sse\n"));
        assert!(has_cet("flags\t\t: fpu user_shstk"));
        assert!(!has_cet("flags : fpu ibtx\nbugs : ibt"));
        assert!(!has_cet(""));
    }
}
