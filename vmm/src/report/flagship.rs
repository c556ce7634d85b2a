//! A run of the flagship as a page.

use notifier::oracle::Verdict as Found;
use notifier::paging::ChangeKind;
use notifier::secondary::CacheId;

use super::page::{Condition, Configuration, Page, Standing, Table, Verdict};
use super::{Host, events, text};
use crate::live::flagship::{Flagship, NAME};

/// The page of a run, which `command` repeats on a machine with so many vCPUs.
pub fn page(host: &Host, flagship: &Flagship, command: String, vcpus: u64) -> Page {
    let run = &flagship.run;
    let recorded = run.recorded.as_ref();
    let conditions = flagship.checks.iter().map(|check| Condition {
        name: check.name.to_owned(),
        expected: check.expected.clone(),
        observed: check.observed.clone(),
        holds: Standing::good_if(check.holds()),
    });
    Page {
        title: format!("{NAME}: policy {}", flagship.policy),
        verdict: verdict(flagship),
        configuration: Configuration {
            command,
            entries: entries(host, flagship, vcpus),
        },
        histogram: None,
        conditions: conditions.collect(),
        tables: tables(flagship),
        timeline: recorded.map(|recorded| events::timeline(recorded, &run.findings)),
    }
}

fn verdict(flagship: &Flagship) -> Verdict {
    let verdict = flagship.verdict();
    Verdict {
        word: text::verdict(flagship),
        standing: match verdict {
            Some(Found::Coherent) => Standing::good_if(flagship.is_as_expected()),
            Some(Found::Violation) => Standing::Bad,
            None => Standing::Unknown,
        },
        sentences: sentences(flagship),
    }
}

const INTRODUCTION: &str = "A guest maps a page read-only and a device reads it: the SMMU now holds a \
                            read-only entry. Then a CPU store faults, and the guest makes the page \
                            writable. The device writes it next.";

fn sentences(flagship: &Flagship) -> Vec<String> {
    let mut sentences = vec![
        INTRODUCTION.to_owned(),
        format!("Under the policy {}: {}.", flagship.policy, told(flagship)),
        format!("The device's write {}.", text::device_write(flagship)),
    ];
    let run = &flagship.run;
    if let Some(stopped) = &run.stopped {
        sentences.push(format!("The run did not come to its end: {stopped}."));
    }
    let violations = run.findings.violations.iter();
    sentences.extend(violations.map(|violation| format!("{}: {violation}.", violation.kind)));
    let failed = flagship
        .checks
        .iter()
        .filter(|check| !check.holds())
        .count();
    sentences.push(match (run.stopped.is_some(), failed) {
        (true, _) => "It was not held against the theory.".into(),
        (false, 0) => "All of it is as the theory says.".into(),
        (false, failed) => format!("{failed} conditions are not as the theory says."),
    });
    sentences
}

/// Who is told of the upgrade.
fn told(flagship: &Flagship) -> &'static str {
    use crate::policy::UpgradePolicy::{None, Range, SecondaryTlb};

    match flagship.policy {
        None => "nobody is told of the upgrade (Linux up to 6.5)",
        Range => {
            "a start/end event of its own kind tells of the upgrade (the first proposal, May 2023)"
        }
        SecondaryTlb => {
            "secondary TLBs are invalidated for the upgrade under the page-table lock (Linux 6.6 on)"
        }
    }
}

fn entries(host: &Host, flagship: &Flagship, vcpus: u64) -> Vec<(String, String)> {
    let knobs = flagship.smmu.to_string();
    let knobs = if knobs.is_empty() {
        "every knob as by default".to_owned()
    } else {
        knobs
    };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    let kernel = kernel.map_or("not known".into(), |release| release.trim().to_owned());
    rows([
        ("scenario", NAME.to_owned()),
        ("policy", flagship.policy.to_string()),
        ("stalemate", env!("CARGO_PKG_VERSION").to_owned()),
        ("host", format!("KVM kind {}, Linux {kernel}", host.kvm)),
        ("page-table writes seen by", host.tracker.to_string()),
        ("vCPUs", vcpus.to_string()),
        ("SMMU", format!("{knobs}; driven by: {}", flagship.driver)),
        (
            "seed",
            "none: the guest does the same each time; the host's timing is its own".to_owned(),
        ),
        ("elapsed", format!("{:?}", flagship.run.elapsed)),
    ])
}

fn tables(flagship: &Flagship) -> Vec<Table> {
    let run = &flagship.run;
    let changes = ChangeKind::ALL.iter().map(|kind| {
        let count = run.changes.get(kind).copied().unwrap_or(0);
        (kind.to_string(), count.to_string())
    });
    let needless = run.findings.needless_drops_of(CacheId::Shadow);
    let table = |title: &str, rows: Vec<(String, String)>| Table {
        title: title.into(),
        rows,
    };
    vec![
        table("page-table changes", changes.collect()),
        table(
            "notifications",
            counts([
                ("range starts", run.notifications.range_start),
                ("range ends", run.notifications.range_end),
                (
                    "secondary-TLB invalidations",
                    run.notifications.secondary_tlb,
                ),
            ]),
        ),
        table(
            "device",
            counts([
                ("reads", run.dma.reads),
                ("writes", run.dma.writes),
                ("faults", run.dma.faults),
                ("retries", run.dma.retries),
                ("refused descriptors", run.dma.refused),
            ]),
        ),
        table(
            "SMMU",
            counts([
                ("TLB hits", run.smmu.tlb_hits),
                ("TLB misses", run.smmu.tlb_misses),
                ("invalidations", run.smmu.invalidations),
                ("entries they took", run.smmu.invalidated_entries),
                ("redundant ones", run.smmu.redundant_invalidations),
            ]),
        ),
        table(
            "shadow MMU (KVM-like)",
            counts([
                ("filled", run.shadow.filled),
                ("zapped", run.shadow.zapped),
                ("for nothing", needless),
            ]),
        ),
    ]
}

fn counts<const N: usize>(counts: [(&str, u64); N]) -> Vec<(String, String)> {
    rows(counts.map(|(name, count)| (name, count.to_string())))
}

fn rows<const N: usize>(rows: [(&str, String); N]) -> Vec<(String, String)> {
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}
