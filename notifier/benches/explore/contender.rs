//! One run of one contender, alone in its process.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Instant;

use notifier::explore::{Cell, Limits, Reductions, Verdict, explore};
use notifier::scenario::{check, parse};
use stateright::{Checker, Model};

use crate::bounds::{Bounds, Os};
use crate::spin::Checker as Pan;

/// What a contender found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) holds: bool,
    pub(crate) states: usize,
    /// Of the whole process at its greatest, or as the contender says.
    pub(crate) bytes: usize,
}

/// What it found and how long that took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    found: Found,
    /// Seconds of processor time.
    busy: f64,
    /// Seconds by the clock.
    wall: f64,
}

pub(crate) struct Contender {
    pub(crate) name: String,
    run: Box<dyn Fn() -> Found>,
}

impl Contender {
    /// This program again, with the contender's name.
    pub(crate) fn own(name: &'static str, bounds: Bounds, threads: usize) -> Self {
        let Bounds { os, stores, rounds } = bounds;
        let arguments = [stores.into(), rounds.into(), threads].map(|number| number.to_string());
        let run = move || {
            let program = std::env::current_exe().expect("it runs");
            let mut command = Command::new(program);
            let output = command
                .args(["one", name, os.name()])
                .args(&arguments)
                .output();
            let output = output.expect("it starts");
            parsed(&String::from_utf8_lossy(&output.stdout)).expect("it ends well")
        };
        Self {
            name: format!("{name}, threads {threads}"),
            run: Box::new(run),
        }
    }

    pub(crate) fn spin(pan: Pan, size: usize) -> Self {
        Self {
            name: format!("spin {}", pan.options),
            run: Box::new(move || pan.run(size)),
        }
    }

    pub(crate) fn run(&self) -> Outcome {
        let (busy, begun) = (children(), Instant::now());
        let found = (self.run)();
        Outcome {
            found,
            busy: children() - busy,
            wall: begun.elapsed().as_secs_f64(),
        }
    }
}

/// Processor time of all processes that were started and have ended, in seconds; the kernel counts
/// it in steps of 10 ms.
fn children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("there is a /proc");
    // `cutime` and `cstime` are fields 16 and 17; the second field is in parentheses.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let times = fields
        .skip(13)
        .take(2)
        .filter_map(|time| time.parse::<f64>().ok());
    times.sum::<f64>() / 100.0
}

/// The most memory that this process had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("there is a /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.expect("the kernel says so") << 10
}

/// What a process of its own does: NAME OS STORES ROUNDS THREADS.
pub(crate) fn alone(arguments: &[String]) {
    let [name, os, numbers @ ..] = arguments else {
        panic!("one NAME OS STORES ROUNDS THREADS");
    };
    let numbers: Vec<u8> = numbers
        .iter()
        .map(|n| n.parse().expect("a number"))
        .collect();
    let os = Os::ALL.into_iter().find(|one| one.name() == os);
    let bounds = Bounds {
        os: os.expect("a variant"),
        stores: numbers[0],
        rounds: numbers[1],
    };
    let threads = numbers[2].into();
    let found = match name.as_str() {
        "stalemate" => stalemate(bounds, threads),
        _ => stateright_on(bounds, threads),
    };
    println!("{} {} {}", found.holds, found.states, peak());
}

fn parsed(line: &str) -> Option<Found> {
    let mut words = line.split_whitespace();
    Some(Found {
        holds: words.next()?.parse().ok()?,
        states: words.next()?.parse().ok()?,
        bytes: words.next()?.parse().ok()?,
    })
}

pub(crate) fn stalemate(bounds: Bounds, threads: usize) -> Found {
    let checked = parse(&bounds.scenario())
        .and_then(check)
        .expect("it is a scenario");
    let cell = Cell {
        os: Some(bounds.os.name().into()),
        hardware: Some("clears-w".into()),
    };
    let limits = Limits {
        threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
        ..Limits::default()
    };
    let watch = &mut |_| ControlFlow::Continue(());
    let report = explore(&checked, &cell, &limits, Reductions::On, watch).expect("it fits");
    let verdict = report.properties[0].verdict;
    assert_ne!(verdict, Verdict::Undecided, "{bounds}");
    Found {
        holds: verdict == Verdict::Holds,
        states: report.states,
        bytes: report.bytes,
    }
}

pub(crate) fn stateright(bounds: Bounds) -> Found {
    stateright_on(bounds, 1)
}

fn stateright_on(bounds: Bounds, threads: usize) -> Found {
    let checker = bounds.checker().threads(threads).spawn_bfs().join();
    Found {
        holds: checker.discoveries().is_empty(),
        states: checker.unique_state_count(),
        bytes: 0,
    }
}

/// The middle of several runs.
pub(crate) fn told(outcomes: &[Outcome]) -> String {
    let found = outcomes[0].found;
    let busy = quartiles(outcomes.iter().map(|outcome| outcome.busy));
    let wall = quartiles(outcomes.iter().map(|outcome| outcome.wall));
    let bytes = quartiles(outcomes.iter().map(|outcome| outcome.found.bytes as f64));
    let states = found.states as f64;
    let verdict = if found.holds { "holds" } else { "violated" };
    format!(
        "{verdict}; {}; {:.2} [{:.2}, {:.2}]; {:.2} [{:.2}, {:.2}]; {:.2} M; {:.1}",
        found.states,
        busy[1],
        busy[0],
        busy[2],
        wall[1],
        wall[0],
        wall[2],
        states / busy[1] / 1e6,
        bytes[1] / states,
    )
}

/// A quarter, half and three quarters of the way through.
fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
