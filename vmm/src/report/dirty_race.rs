//! What `probe dirty-race` found, for people and for programs.

use serde::Serialize;

use super::probe::{self as words, HostDocument, Seen};
use super::{json, text::table};
use crate::probe::Who;
use crate::probe::dirty_race::{Line, Verdict, verdict};

const INTRODUCTION: &str = "\
One vCPU stores to a page, another takes its permission to write (W). Does the entry ever become
dirty (D) after it lost W, so that W=0, D=1 is left behind for a store that was refused?
";

const COLUMNS: &str = "\
taken by: locked, an instruction that clears W (Linux up to 6.5); cmpxchg, which also moves D into a
bit of software's (6.6 on); plain, a load and a store, which is wrong. flush: whether the storing vCPU
invalidates before it stores again. D before: set when W was taken, by a store that came first, which
is legitimate; D after: set when W was gone already, the race. D lost: stores of which no mark
remains. late stores: got through after W was gone, by a stale translation.";

/// For people.
pub fn text(seen: &Seen, lines: &[Line]) -> String {
    let mut table = table();
    table.set_header([
        "taken by",
        "flush",
        "tries",
        "stored",
        "refused",
        "D before",
        "D after",
        "left W=0 D=1",
        "D lost",
        "late stores",
    ]);
    for Line {
        way, flush, counts, ..
    } in lines
    {
        let numbers = [
            counts.tries,
            counts.stored,
            counts.refused,
            counts.dirty_before,
            counts.dirty_after,
            counts.left_dirty,
            counts.lost_dirty,
            counts.late,
        ];
        let names = [way.to_string(), flush.to_string()];
        table.add_row(
            names
                .into_iter()
                .chain(numbers.map(|number| number.to_string())),
        );
    }
    let stopped = lines.iter().filter_map(|line| line.stopped.as_ref());
    let stopped = words::stopped(stopped);
    format!(
        "{}\n{INTRODUCTION}\n{table}\n{COLUMNS}\n\n{stopped}{}",
        seen.line(),
        sentence(seen, lines)
    )
}

/// The verdict, and what it says of whom.
fn sentence(seen: &Seen, lines: &[Line]) -> String {
    let verdict = verdict(lines);
    let tries: u64 = lines.iter().map(|line| line.counts.tries).sum();
    let after: u64 = lines.iter().map(|line| line.counts.dirty_after).sum();
    let refused: u64 = lines.iter().map(|line| line.counts.refused).sum();
    let what = match verdict {
        Verdict::NeverSeen => format!(
            "in {tries} tries, of which the store lost {refused}, no entry became dirty after it lost W"
        ),
        Verdict::Seen => format!("in {tries} tries {after} entries became dirty after they lost W"),
        Verdict::NoVerdict => format!(
            "in {tries} tries store and loss never met, or something else went wrong; try more, \
             on a host with two idle processors"
        ),
    };
    format!("{verdict}: {what}.\n{}", of_whom(seen))
}

fn of_whom(seen: &Seen) -> &'static str {
    match (seen.who, seen.has_cet) {
        (Who::Kvm, _) => {
            "This says nothing of the processor: KVM pages by shadow here, so D in the guest's entries\n\
             is set by KVM's own walker, in software, and the processor never sees them."
        }
        (Who::EmulatedCpu, _) => {
            "D is set by the processor (nested paging), but this one is emulated by its own account:\n\
             nothing follows for a real one."
        }
        (Who::Unknown, _) => {
            "Whether D is set by the processor or by KVM can't be told: this host's KVM does not say\n\
             whether paging is nested."
        }
        (Who::Cpu, true) => {
            "D is set by the processor here (nested paging), if this host is not itself a guest. It has CET,\n\
             and such a processor never sets D where W is clear (Intel SDM vol. 3, 4.8)."
        }
        (Who::Cpu, false) => {
            "D is set by the processor here (nested paging), if this host is not itself a guest. It has no CET,\n\
             so it may leave W=0, D=1 behind (Intel SDM vol. 3, 4.8); how rarely, no number of tries says."
        }
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
    taken_by: String,
    flush: bool,
    tries: u64,
    stored: u64,
    refused: u64,
    dirty_before: u64,
    dirty_after: u64,
    left_dirty: u64,
    dirty_lost: u64,
    late_stores: u64,
    strange_faults: u64,
    stopped: Option<String>,
}

/// For programs.
pub fn json(seen: &Seen, lines: &[Line]) -> String {
    json::print(&Document {
        host: seen.document(),
        probe: "dirty-race",
        verdict: verdict(lines).to_string(),
        lines: lines.iter().map(line).collect(),
    })
}

fn line(line: &Line) -> LineDocument {
    let counts = line.counts;
    LineDocument {
        taken_by: line.way.to_string(),
        flush: line.flush == crate::probe::dirty_race::Flush::Yes,
        tries: counts.tries,
        stored: counts.stored,
        refused: counts.refused,
        dirty_before: counts.dirty_before,
        dirty_after: counts.dirty_after,
        left_dirty: counts.left_dirty,
        dirty_lost: counts.lost_dirty,
        late_stores: counts.late,
        strange_faults: counts.strange,
        stopped: line.stopped.as_ref().map(ToString::to_string),
    }
}
