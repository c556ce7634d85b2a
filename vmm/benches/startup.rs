//! How long the `stalemate` command takes, seen from outside: from the process's start to the
//! guest's, and the whole of it.
//!
//! The guest's start is not seen from outside, but two things are: with `-vv` the command logs the
//! moment a vCPU ends, and its document says how long the guest ran (`elapsed_us`, from the vCPUs'
//! creation to the end). The first less the second is the guest's start, which is early by the
//! vCPU's creation and late by the log line's way here, each some tenths of a millisecond. The
//! whole is measured on its own, without the log.
//!
//! What recording costs is the ratio of two runs, right after each other, of which one writes files.

#[path = "shared/mod.rs"]
mod shared;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use vmm::host;

use shared::{Spread, is_list, rounds};

/// Runs of each kind.
const RUNS: usize = 41;

/// What the command logs when the guest has done all that it was to do.
const GUEST_ENDS: &str = "vCPU 0: it finished";

/// What is run, and what it stands for.
const COMMANDS: [(&str, &[&str]); 4] = [
    ("run, trap", &["run", "--json", "--tracker", "trap"]),
    ("run, announce", &["run", "--json", "--tracker", "announce"]),
    ("run, tracker found out", &["run", "--json"]),
    ("all policies", &["--json"]),
];

fn main() {
    if is_list() {
        return;
    }
    if let Err(reason) = host::open(Path::new(host::DEVICE)) {
        return println!("startup: SKIPPED, this host can't run a guest: {reason}");
    }
    let runs = rounds(RUNS);
    println!("milliseconds, wall clock: median [quartiles] of {runs}");
    for (name, arguments) in COMMANDS {
        let timings: Vec<_> = (0..runs).filter_map(|_| Timing::of(arguments)).collect();
        report(name, &timings);
    }
    recording(runs);
}

/// Runs without and with files, in pairs.
fn recording(runs: usize) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let file = |name| directory.path().join(name).display().to_string();
    let (trace, page) = (file("trace.json"), file("report.html"));
    let plain = ["run", "--json", "--tracker", "announce"];
    for (name, files) in [
        ("--trace", &["--trace", &trace][..]),
        (
            "--trace and --report",
            &["--trace", &trace, "--report", &page],
        ),
    ] {
        let options = [&plain, files].concat();
        let pairs: Vec<_> = (0..runs)
            .map(|_| (Observed::of(&plain), Observed::of(&options)))
            .collect();
        let ratio = |part: fn(&Observed) -> f64| {
            Spread::of(pairs.iter().map(|(plain, with)| part(with) / part(plain)))
        };
        println!(
            "{name:24} times a run without: guest {}, whole {}",
            ratio(|run| run.guests.iter().sum()),
            ratio(|run| run.whole)
        );
    }
}

fn report(name: &str, timings: &[Timing]) {
    if timings.is_empty() {
        return println!("{name:24} SKIPPED: no run came to a good end and logged it");
    }
    let spread = |part: fn(&Timing) -> f64| Spread::of(timings.iter().map(part));
    println!(
        "{name:24} until the last guest starts {}, guests run {}, whole {}",
        spread(|timing| timing.start),
        spread(|timing| timing.guests),
        spread(|timing| timing.whole)
    );
}

/// One command, in milliseconds.
struct Timing {
    /// Until its last guest starts.
    start: f64,
    /// All guests whose time is told.
    guests: f64,
    /// Until the process is gone.
    whole: f64,
}

impl Timing {
    /// Of a command that comes to its end as it should; `None` if it does not.
    fn of(arguments: &[&str]) -> Option<Self> {
        let logged = Observed::of(&[arguments, &["-vv"]].concat());
        let quiet = Observed::of(arguments);
        let last = *logged.guests.last()?;
        Some(Self {
            start: logged.guest_ended? - last,
            guests: quiet.guests.iter().sum(),
            whole: quiet.whole,
        })
    }
}

/// What is seen of one process, in milliseconds from its start.
struct Observed {
    /// When the log said the last time that a guest had ended.
    guest_ended: Option<f64>,
    /// How long each guest ran, by the document; none for a command that failed.
    guests: Vec<f64>,
    whole: f64,
}

impl Observed {
    fn of(arguments: &[&str]) -> Self {
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_stalemate"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let reader = thread::spawn(move || {
            let lines = log.lines().map_while(Result::ok);
            let ends = lines.filter(|line| line.contains(GUEST_ENDS));
            ends.map(|_| milliseconds(began)).last()
        });
        let document = document(&mut child);
        let succeeded = child.wait().is_ok_and(|status| status.success());
        Self {
            whole: milliseconds(began),
            guest_ended: reader.join().expect("the log is read"),
            guests: succeeded
                .then(|| guests(&document))
                .flatten()
                .unwrap_or_default(),
        }
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn document(child: &mut Child) -> Vec<u8> {
    let mut document = Vec::new();
    let output = child.stdout.take().expect("a pipe");
    let read = BufReader::new(output).read_to_end(&mut document);
    read.map_or_else(|_| Vec::new(), |_| document)
}

/// What the document says of each run in it.
fn guests(document: &[u8]) -> Option<Vec<f64>> {
    let document: serde_json::Value = serde_json::from_slice(document).ok()?;
    let elapsed = |run: &serde_json::Value| Some(run["elapsed_us"].as_f64()? / 1e3);
    match document["runs"].as_array() {
        Some(runs) => runs.iter().map(elapsed).collect(),
        None => Some(vec![elapsed(&document)?]),
    }
}
