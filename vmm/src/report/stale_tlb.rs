//! What `probe stale-tlb` found, for people and for programs.

use serde::Serialize;

use super::probe::{self as words, HostDocument, Seen};
use super::{json, text::table};
use crate::probe::stale_tlb::{Line, Verdict, verdict};

const INTRODUCTION: &str = "\
A page is used, its entry changes, and it is used again, with no exit from the guest in between unless
the host makes one. Without an invalidation the old translation may be used; with it, never.
";

const COLUMNS: &str = "\
remap: to another frame, then a load. downgrade: read-write to read-only, then a store. unmap, then a
load. changed by, flush by: the user is the vCPU that uses the page. stale: the use went by the old
entry. By another vCPU, a flush is all translations of the vCPU that is named.";

/// For people.
pub fn text(seen: &Seen, lines: &[Line]) -> String {
    let mut table = table();
    table.set_header([
        "change",
        "changed by",
        "flush by",
        "tries",
        "stale",
        "fresh",
        "stale is",
    ]);
    for Line {
        change,
        setup,
        counts,
        ..
    } in lines
    {
        let lawful = if setup.forbids() {
            "forbidden"
        } else {
            "allowed"
        };
        table.add_row([
            change.to_string(),
            setup.changer().into(),
            setup.flush().into(),
            counts.tries.to_string(),
            counts.stale.to_string(),
            counts.fresh.to_string(),
            lawful.into(),
        ]);
    }
    let stopped = lines.iter().filter_map(|line| line.stopped.as_ref());
    let stopped = words::stopped(stopped);
    let verdict = verdict(lines);
    format!(
        "{}\n{INTRODUCTION}\n{table}\n{COLUMNS}\n\n{stopped}{verdict}: {}.",
        seen.line(),
        sentence(verdict)
    )
}

fn sentence(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Observable => {
            "a missing invalidation shows on this host, and with it nothing stale was used"
        }
        Verdict::NotObservable => {
            "nothing stale was used even without an invalidation, so a missing one does not show here"
        }
        Verdict::Broken => "an old translation was used in spite of the invalidation",
        Verdict::NoVerdict => "not every case was tried, or something else went wrong",
    }
}

#[derive(Serialize)]
struct Document {
    host: HostDocument,
    probe: &'static str,
    verdict: String,
    lines: Vec<LineDocument>,
}

#[derive(Serialize)]
struct LineDocument {
    change: String,
    changed_by: &'static str,
    flush_by: &'static str,
    stale_is_forbidden: bool,
    tries: u64,
    stale: u64,
    fresh: u64,
    strange: u64,
    stopped: Option<String>,
}

/// For programs.
pub fn json(seen: &Seen, lines: &[Line]) -> String {
    json::print(&Document {
        host: seen.document(),
        probe: "stale-tlb",
        verdict: verdict(lines).to_string(),
        lines: lines.iter().map(line).collect(),
    })
}

fn line(line: &Line) -> LineDocument {
    let counts = line.counts;
    LineDocument {
        change: line.change.to_string(),
        changed_by: line.setup.changer(),
        flush_by: line.setup.flush(),
        stale_is_forbidden: line.setup.forbids(),
        tries: counts.tries,
        stale: counts.stale,
        fresh: counts.fresh,
        strange: counts.strange,
        stopped: line.stopped.as_ref().map(ToString::to_string),
    }
}
