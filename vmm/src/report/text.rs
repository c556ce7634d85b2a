//! A table for all policies, and words for one.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use notifier::oracle::Findings;
use notifier::paging::ChangeKind;
use notifier::secondary::CacheId;

use super::Host;
use crate::live::flagship::{DeviceWrite, Flagship};

/// All policies, side by side.
pub fn all(host: &Host, runs: &[Flagship]) -> String {
    let mut table = table();
    table.set_header([
        "policy",
        "the device's write",
        "verdict",
        "as theory\nsays",
        "notifications\nstart/end/tlb",
        "invalidations\n(redundant)",
        "shadow zaps\n(for nothing)",
    ]);
    for flagship in runs {
        table.add_row(row(flagship));
    }
    let mut text = format!("{}\n{INTRODUCTION}\n{table}\n{LEGEND}", place(host));
    let _ = write!(text, "{}", what_was_done(runs));
    for flagship in runs {
        explain(&mut text, flagship);
    }
    let expected = runs
        .iter()
        .filter(|flagship| flagship.is_as_expected())
        .count();
    let _ = write!(
        text,
        "\n\n{expected} of {} rows are as the theory says.",
        runs.len()
    );
    text
}

const INTRODUCTION: &str = "
A guest maps a page read-only and a device reads it: the SMMU now holds a read-only entry. Then
a CPU store faults, and the guest makes the page writable. The device writes it next. Does it get
through? The same guest ran under three policies, that is, ways to tell of such an upgrade:

  none           nobody is told (Linux up to 6.5); wrong, and here to show the bug
  range          a start/end event of its own kind (the first proposal, May 2023)
  secondary-tlb  secondary TLBs are invalidated under the page-table lock (Linux 6.6 on)
";

const LEGEND: &str = "\
notifications: range starts / range ends / secondary-TLB invalidations that page-table code sent;
invalidations: of the SMMU's TLB; redundant ones found nothing to drop. shadow zaps: entries lost by
a KVM-like MMU with page tables of its own; for nothing, if the page table went on allowing them.
";

/// The page-table changes of each run, once if they are the same.
fn what_was_done(runs: &[Flagship]) -> String {
    let mut lines: Vec<_> = runs.iter().map(changes).collect();
    lines.dedup();
    let lines = lines
        .iter()
        .map(|line| format!("page-table changes in each run: {line}\n"));
    lines.collect()
}

fn changes(flagship: &Flagship) -> String {
    let changes = ChangeKind::ALL.map(|kind| {
        let count = flagship.run.changes.get(&kind).copied().unwrap_or(0);
        format!("{count} {kind}")
    });
    changes.join(", ")
}

/// One policy, in words.
pub fn one(host: &Host, flagship: &Flagship) -> String {
    let mut text = format!(
        "{}\n\npolicy {}: {}\n{}\n",
        place(host),
        flagship.policy,
        verdict(flagship),
        knobs(flagship)
    );
    let run = &flagship.run;
    if !flagship.checks.is_empty() {
        let mut table = table();
        table.set_header(["what was tried", "what happened", "as expected"]);
        for check in &flagship.checks {
            let held = if check.holds() {
                "yes".into()
            } else {
                format!("NO: {}", check.expected)
            };
            table.add_row([check.name.to_string(), check.observed.clone(), held]);
        }
        let _ = writeln!(text, "{table}");
    }
    let _ = writeln!(text, "page-table changes: {}", changes(flagship));
    let _ = writeln!(
        text,
        "device: {} reads, {} writes, {} faults, {} retries",
        run.dma.reads, run.dma.writes, run.dma.faults, run.dma.retries
    );
    let _ = writeln!(
        text,
        "notifications: {} range starts, {} range ends, {} secondary-TLB invalidations",
        run.notifications.range_start, run.notifications.range_end, run.notifications.secondary_tlb
    );
    let _ = writeln!(
        text,
        "SMMU: {} TLB hits, {} misses, {} invalidations of {} entries, {} of them redundant",
        run.smmu.tlb_hits,
        run.smmu.tlb_misses,
        run.smmu.invalidations,
        run.smmu.invalidated_entries,
        run.smmu.redundant_invalidations
    );
    let needless = run.findings.needless_drops_of(CacheId::Shadow);
    let _ = write!(
        text,
        "shadow MMU (KVM-like): {} entries zapped, {needless} of them for nothing",
        run.shadow.zapped
    );
    wasted(&mut text, &run.findings);
    explain(&mut text, flagship);
    text
}

/// Commands that were of no use, if there were any commands.
fn wasted(text: &mut String, findings: &Findings) {
    for (cache, counts) in &findings.redundant {
        let cache = cache.map_or("more than one cache".into(), |cache| cache.to_string());
        let _ = write!(
            text,
            "\n{cache}: {} commands, {} of them took nothing, {} only what was still right",
            counts.commands, counts.took_nothing, counts.took_only_right
        );
    }
}

pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn place(host: &Host) -> String {
    format!(
        "KVM: {}, page-table writes seen by: {}",
        host.kvm, host.tracker
    )
}

fn row(flagship: &Flagship) -> [String; 7] {
    let run = &flagship.run;
    let notifications = &run.notifications;
    let expected = if flagship.is_as_expected() {
        "yes"
    } else {
        "NO"
    };
    let needless = run.findings.needless_drops_of(CacheId::Shadow);
    [
        flagship.policy.to_string(),
        device_write(flagship),
        verdict(flagship),
        expected.into(),
        format!(
            "{}/{}/{}",
            notifications.range_start, notifications.range_end, notifications.secondary_tlb
        ),
        format!(
            "{} ({})",
            run.smmu.invalidations, run.smmu.redundant_invalidations
        ),
        format!("{} ({needless})", run.shadow.zapped),
    ]
}

/// What differs from the SMMU that there is without a word.
fn knobs(flagship: &Flagship) -> String {
    let text = flagship.smmu.to_string();
    let text = if text.is_empty() {
        "every knob as by default"
    } else {
        &text
    };
    format!("SMMU: {text}; driven by: {}", flagship.driver)
}

/// The verdict in words.
pub(crate) fn verdict(flagship: &Flagship) -> String {
    let verdict = flagship.verdict();
    verdict.map_or("no verdict".into(), |verdict| verdict.to_string())
}

/// What became of the write to the upgraded page.
pub(super) fn device_write(flagship: &Flagship) -> String {
    match &flagship.write {
        None => "not reached".into(),
        Some(DeviceWrite {
            done: true,
            faults: 0,
        }) => "succeeds at once".into(),
        Some(DeviceWrite { done: true, faults }) => format!("succeeds after {faults} faults"),
        Some(DeviceWrite { faults: 0, .. }) => "is not carried out".into(),
        Some(DeviceWrite { faults, .. }) => format!("gives up after {faults} faults"),
    }
}

/// What went wrong, in words.
fn explain(text: &mut String, flagship: &Flagship) {
    let (run, policy) = (&flagship.run, flagship.policy);
    if let Some(stopped) = &run.stopped {
        let _ = write!(
            text,
            "\n{policy}: the run did not come to its end: {stopped}"
        );
        for line in &run.console {
            let _ = write!(text, "\n{policy}: the guest said: {line}");
        }
    }
    for violation in &run.findings.violations {
        let words = violation.to_string().replace("; ", ";\n  ");
        let _ = write!(text, "\n{policy}: {}\n  {words}", violation.kind);
    }
    for untracked in &run.findings.untracked {
        let show = |leaf: Option<notifier::paging::Leaf>| {
            leaf.map_or("nothing".into(), |leaf| leaf.to_string())
        };
        let _ = write!(
            text,
            "\n{policy}: the tracker missed a change: at {} the page table says {}, not {}",
            untracked.iova,
            show(untracked.found),
            show(untracked.reported)
        );
    }
    let failed = flagship.checks.iter().filter(|check| !check.holds());
    for check in failed {
        let _ = write!(
            text,
            "\n{policy}: unexpected: {}: {} instead of {}",
            check.name, check.observed, check.expected
        );
    }
}
