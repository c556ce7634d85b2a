//! What this host offers, what is missing, and what to do about it.
//!
//! | module | finds out |
//! |---|---|
//! | `capabilities` | what KVM says that it can |
//! | `userfaultfd` | whether host memory can be write-protected from here |
//! | `trackers` | which trackers work, by trying |
//! | `speed` | whether guest code runs natively, and what leaving the guest costs, by measuring |

mod capabilities;
mod speed;
mod trackers;
mod userfaultfd;

use std::fmt;
use std::path::Path;

use kvm_ioctls::Kvm;

use crate::host::{self, KvmKind};
use crate::probe::Paging;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Without it there is no machine.
    Needed,
    /// Without it something can't be done.
    Optional,
    /// A way to see page-table writes.
    Tracker,
    /// How fast guest code runs.
    Speed,
    /// What leaving the guest costs.
    Cost,
}

impl Area {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 5] = [
        Self::Needed,
        Self::Optional,
        Self::Tracker,
        Self::Speed,
        Self::Cost,
    ];
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Needed => "needed",
            Self::Optional => "optional",
            Self::Tracker => "trackers",
            Self::Speed => "speed",
            Self::Cost => "costs",
        })
    }
}

/// Whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is, or it was measured.
    Ok,
    /// It is not.
    Missing,
    /// It could not be found out.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub state: State,
    /// What was found, or what it is for.
    pub what: String,
    /// What was measured, if anything was.
    pub measured: Option<Measured>,
    /// What to do if it is not as it should be.
    pub remedy: Option<String>,
}

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// How much.
    pub value: f64,
    /// Of what: `us`, or `ratio` to the same on the host.
    pub unit: &'static str,
}

/// The host itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// The kind of KVM.
    pub kvm: KvmKind,
    /// How it pages.
    pub paging: Paging,
}

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Examination {
    /// The host itself.
    pub facts: Facts,
    /// In order of their areas.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// Whether machines can run here: everything that is needed is there.
    pub fn can_run(&self) -> bool {
        let mut needed = self.findings.iter();
        needed.all(|finding| finding.area != Area::Needed || finding.state == State::Ok)
    }
}

/// Looks at everything. Takes less than two seconds where trapping works, and half a second more
/// where it does not; a guest that does not end is stopped.
pub fn examine(device: &Path) -> Examination {
    let mut findings = Vec::new();
    let kvm = match host::connect(device) {
        Ok(kvm) => {
            findings.push(device_found(device));
            Some(kvm)
        }
        Err(error) => {
            findings.push(device_missing(&error.to_string()));
            None
        }
    };
    if let Some(kvm) = &kvm {
        findings.extend(capabilities::needed(kvm));
    }
    let facts = Facts::read();
    let needed_is_there = findings.iter().all(|finding| finding.state == State::Ok);
    findings.extend(optional(kvm.as_ref(), &facts));
    if let Some(kvm) = kvm.filter(|_| needed_is_there) {
        findings.extend(trackers::findings(&kvm));
        findings.extend(speed::findings(&kvm));
    }
    Examination { facts, findings }
}

fn optional(kvm: Option<&Kvm>, facts: &Facts) -> Vec<Finding> {
    let mut findings = kvm.map(capabilities::optional).unwrap_or_default();
    findings.push(userfaultfd::finding());
    findings.push(cores(facts.cores));
    findings
}

fn device_found(device: &Path) -> Finding {
    Finding {
        area: Area::Needed,
        name: "KVM".into(),
        state: State::Ok,
        what: format!("{}, API version 12", device.display()),
        measured: None,
        remedy: None,
    }
}

/// The error says both what is wrong and, after its last colon, what to do.
fn device_missing(error: &str) -> Finding {
    let parts = error.rsplit_once(": ");
    let (what, remedy) = parts.unwrap_or((error, "use a machine that has KVM"));
    Finding {
        area: Area::Needed,
        name: "KVM".into(),
        state: State::Missing,
        what: what.into(),
        measured: None,
        remedy: Some(remedy.into()),
    }
}

fn cores(cores: usize) -> Finding {
    let enough = cores >= 2;
    let remedy = "give this process two processors; vCPUs that take turns on one rarely meet";
    Finding {
        area: Area::Optional,
        name: "two processors".into(),
        state: if enough { State::Ok } else { State::Missing },
        what: format!("races between vCPUs; there are {cores}"),
        measured: None,
        remedy: (!enough).then(|| remedy.into()),
    }
}

impl Facts {
    fn read() -> Self {
        let kvm = KvmKind::detect();
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            kernel: known(kernel.trim()),
            processor: known(processor(&read("/proc/cpuinfo"))),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kvm,
            paging: Paging::detect(kvm),
        }
    }
}

fn known(text: &str) -> String {
    let text = if text.is_empty() { "unknown" } else { text };
    text.into()
}

fn processor(cpuinfo: &str) -> &str {
    let mut lines = cpuinfo.lines();
    let line = lines.find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':'));
    name.map_or("", |(_, name)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(area: Area, state: State) -> Finding {
        Finding {
            area,
            state,
            ..device_found(Path::new("/dev/kvm"))
        }
    }

    #[test]
    fn only_what_is_needed_decides_whether_machines_run() {
        let examined = |findings| Examination {
            facts: Facts::read(),
            findings,
        };
        let optional = finding(Area::Optional, State::Missing);
        let needed = finding(Area::Needed, State::Ok);
        assert!(examined(vec![needed.clone(), optional.clone()]).can_run());
        let missing = finding(Area::Needed, State::Missing);
        assert!(!examined(vec![needed, missing, optional]).can_run());
    }

    #[test]
    fn a_device_that_is_missing_comes_with_its_remedy() {
        let examined = examine(Path::new("/dev/no-such-kvm"));
        assert!(!examined.can_run());
        let missing = &examined.findings[0];
        assert_eq!(missing.what, "there is no /dev/no-such-kvm");
        let remedy = missing.remedy.as_deref().unwrap_or_default();
        assert!(remedy.starts_with("enable virtualization"), "{remedy}");
    }

    #[test]
    fn the_processor_is_named() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A Processor @ 2\n";
        assert_eq!(processor(cpuinfo), "A Processor @ 2");
        assert_eq!(processor(""), "");
    }

    #[test]
    fn one_processor_is_told_with_what_to_do() {
        assert_eq!(cores(2).remedy, None);
        assert_eq!(cores(1).state, State::Missing);
        assert!(cores(1).remedy.is_some());
    }
}
