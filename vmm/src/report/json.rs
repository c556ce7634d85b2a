//! JSON: one document a run, or one for all of them. Addresses are hexadecimal strings, since many
//! readers of JSON lose the low bits of a 64-bit number.

use std::collections::BTreeMap;

use notifier::oracle::{Findings, Redundant, Untracked};
use notifier::paging::ChangeKind;
use notifier::secondary::CacheId;
use serde::Serialize;

use super::Host;
use super::violation::{LeafDocument, ViolationDocument, leaf, violation};
use crate::live::Check;
use crate::live::flagship::{Flagship, NAME};
use crate::machine::ASID;

#[derive(Serialize)]
struct HostDocument {
    kvm: String,
    tracker: String,
}

#[derive(Serialize)]
struct RunDocument {
    host: HostDocument,
    scenario: &'static str,
    policy: String,
    /// Every knob of the SMMU, and what it was.
    smmu_knobs: BTreeMap<&'static str, String>,
    smmu_driver: String,
    /// Null for a run that was stopped before there was one.
    verdict: Option<String>,
    as_expected: bool,
    stopped: Option<String>,
    violations: Vec<ViolationDocument>,
    untracked_changes: Vec<UntrackedDocument>,
    findings_not_kept: u64,
    checks: Vec<CheckDocument>,
    pte_changes: BTreeMap<String, u64>,
    dma: DmaDocument,
    notifications: NotificationsDocument,
    smmu: SmmuDocument,
    shadow: ShadowDocument,
    needless_drops: Vec<DropsDocument>,
    redundant_commands: Vec<RedundantDocument>,
    console: Vec<String>,
    elapsed_us: u64,
}

#[derive(Serialize)]
struct DropsDocument {
    cache: String,
    entries: u64,
}

#[derive(Serialize)]
struct RedundantDocument {
    /// Null for commands that are for more than one cache.
    cache: Option<String>,
    commands: u64,
    took_nothing: u64,
    took_only_right: u64,
}

#[derive(Serialize)]
struct UntrackedDocument {
    step: u64,
    iova: String,
    found: Option<LeafDocument>,
    reported: Option<LeafDocument>,
}

#[derive(Serialize)]
struct CheckDocument {
    name: &'static str,
    expected: String,
    observed: String,
    holds: bool,
}

#[derive(Serialize)]
struct DmaDocument {
    reads: u64,
    writes: u64,
    faults: u64,
    retries: u64,
    refused: u64,
}

#[derive(Serialize)]
struct NotificationsDocument {
    range_start: u64,
    range_end: u64,
    secondary_tlb: u64,
}

#[derive(Serialize)]
struct SmmuDocument {
    tlb_hits: u64,
    tlb_misses: u64,
    invalidations: u64,
    invalidated_entries: u64,
    redundant_invalidations: u64,
    /// Entries taken out although the page table still said the same.
    invalidated_needlessly: u64,
}

#[derive(Serialize)]
struct ShadowDocument {
    filled: u64,
    zapped: u64,
    zapped_needlessly: u64,
}

#[derive(Serialize)]
struct AllDocument {
    runs: Vec<RunDocument>,
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: &'a str,
    exit_code: u8,
}

/// One run.
pub fn one(host: &Host, flagship: &Flagship) -> String {
    print(&run(host, flagship))
}

/// All runs.
pub fn all(host: &Host, runs: &[Flagship]) -> String {
    let runs = runs.iter().map(|flagship| run(host, flagship)).collect();
    print(&AllDocument { runs })
}

/// No run.
pub fn error(message: &str, exit_code: u8) -> String {
    print(&ErrorDocument {
        error: message,
        exit_code,
    })
}

/// These documents hold nothing that JSON can't say, so there is always one.
pub(crate) fn print(document: &impl Serialize) -> String {
    serde_json::to_string_pretty(document)
        .unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}

fn run(host: &Host, flagship: &Flagship) -> RunDocument {
    let run = &flagship.run;
    let findings = &run.findings;
    let count = |kind: ChangeKind| run.changes.get(&kind).copied().unwrap_or(0);
    let changes = ChangeKind::ALL.map(|kind| (kind.to_string(), count(kind)));
    RunDocument {
        host: HostDocument {
            kvm: host.kvm.to_string(),
            tracker: host.tracker.to_string(),
        },
        scenario: NAME,
        policy: flagship.policy.to_string(),
        smmu_knobs: flagship.smmu.values().into_iter().collect(),
        smmu_driver: flagship.driver.to_string(),
        verdict: flagship.verdict().map(|verdict| verdict.to_string()),
        as_expected: flagship.is_as_expected(),
        stopped: run.stopped.as_ref().map(ToString::to_string),
        violations: findings.violations.iter().map(violation).collect(),
        untracked_changes: findings.untracked.iter().map(untracked).collect(),
        findings_not_kept: findings.not_kept,
        checks: flagship.checks.iter().map(check).collect(),
        pte_changes: changes.into_iter().collect(),
        dma: DmaDocument {
            reads: run.dma.reads,
            writes: run.dma.writes,
            faults: run.dma.faults,
            retries: run.dma.retries,
            refused: run.dma.refused,
        },
        notifications: NotificationsDocument {
            range_start: run.notifications.range_start,
            range_end: run.notifications.range_end,
            secondary_tlb: run.notifications.secondary_tlb,
        },
        smmu: SmmuDocument {
            tlb_hits: run.smmu.tlb_hits,
            tlb_misses: run.smmu.tlb_misses,
            invalidations: run.smmu.invalidations,
            invalidated_entries: run.smmu.invalidated_entries,
            redundant_invalidations: run.smmu.redundant_invalidations,
            invalidated_needlessly: findings.needless_drops_of(CacheId::SmmuTlb(ASID)),
        },
        shadow: ShadowDocument {
            filled: run.shadow.filled,
            zapped: run.shadow.zapped,
            zapped_needlessly: findings.needless_drops_of(CacheId::Shadow),
        },
        needless_drops: needless_drops(findings),
        redundant_commands: findings.redundant.iter().map(redundant).collect(),
        console: run.console.clone(),
        elapsed_us: u64::try_from(run.elapsed.as_micros()).unwrap_or(u64::MAX),
    }
}

fn needless_drops(findings: &Findings) -> Vec<DropsDocument> {
    let drops = findings.needless_drops.iter();
    let document = |(cache, entries): &(CacheId, u64)| DropsDocument {
        cache: cache.to_string(),
        entries: *entries,
    };
    drops.map(document).collect()
}

fn redundant((cache, counts): &(Option<CacheId>, Redundant)) -> RedundantDocument {
    RedundantDocument {
        cache: cache.as_ref().map(ToString::to_string),
        commands: counts.commands,
        took_nothing: counts.took_nothing,
        took_only_right: counts.took_only_right,
    }
}

fn untracked(found: &Untracked) -> UntrackedDocument {
    UntrackedDocument {
        step: found.step.0,
        iova: found.iova.to_string(),
        found: found.found.as_ref().map(leaf),
        reported: found.reported.as_ref().map(leaf),
    }
}

fn check(check: &Check) -> CheckDocument {
    CheckDocument {
        name: check.name,
        expected: check.expected.clone(),
        observed: check.observed.clone(),
        holds: check.holds(),
    }
}
