//! How fast scenarios run on real vCPUs: an iteration by the number of vCPUs, beside the same words
//! handed round by plain threads of this host (the peer) and beside runs in which nothing is done (the
//! floor); the same with a real translation to invalidate; and a replay.

use std::hint::spin_loop;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use kvm_ioctls::Kvm;
use notifier::explore::{self, Breach, Cell, Forced, Limits};
use notifier::scenario::{Checked, check, parse};
use std::ops::ControlFlow;
use vmm::host;
use vmm::live::scenario::{Batch, Ordering, Plan, replay};

const VCPUS: [usize; 4] = [1, 2, 4, 8];
/// Runs for each of criterion's iterations, so that the vCPUs' start is a small part of the time.
const BATCH: u64 = 500;

fn main() {
    let kvm = match host::open(Path::new(host::DEVICE)) {
        Ok(kvm) => kvm,
        Err(reason) => return println!("scenario: SKIPPED, this host can't run a guest: {reason}"),
    };
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    words(&mut criterion, &kvm);
    translations(&mut criterion, &kvm);
    replays(&mut criterion, &kvm);
    criterion.final_summary();
}

/// So many agents, each of which adds to a word of its own `steps` times.
fn counters(agents: usize, steps: usize) -> Checked {
    let mut text = String::from("scenario counters;\n");
    for agent in 0..agents {
        text += &format!("shared n{agent}: 0..{};\n", steps.max(1));
        let body = format!("n{agent} = n{agent} + 1;\n").repeat(steps);
        text += &format!("agent A{agent} {{ {body} }}\n");
    }
    // A scenario asks something.
    checked(&(text + "table ends: n0;\n"))
}

fn checked(text: &str) -> Checked {
    parse(text).and_then(check).expect("it is a scenario")
}

fn plan(checked: &Checked, cell: &Cell) -> Plan {
    Plan::new(checked, cell, Ordering::Sequential).expect("a machine can run it")
}

/// The time of so many runs, from the first vCPU's start to the last one's end.
fn timed(kvm: &Kvm, plan: &Plan, iterations: u64) -> Duration {
    let runs = iterations * BATCH;
    let batch = Batch {
        runs,
        limit: Duration::from_secs(600),
        ..Batch::default()
    };
    let ran = batch
        .run(kvm, plan, &AtomicBool::new(false))
        .expect("there is a machine");
    assert_eq!(ran.runs, runs, "{:?}", ran.cut);
    share(ran.elapsed)
}

fn share(whole: Duration) -> Duration {
    Duration::from_secs_f64(whole.as_secs_f64() / BATCH as f64)
}

fn words(criterion: &mut Criterion, kvm: &Kvm) {
    let mut group = criterion.benchmark_group("scenario/run");
    for vcpus in VCPUS {
        for (name, steps) in [("floor", 0), ("two-steps", 2)] {
            let plan = plan(&counters(vcpus, steps), &Cell::default());
            group.bench_function(BenchmarkId::new(name, vcpus), |bencher| {
                bencher.iter_custom(|runs| timed(kvm, &plan, runs));
            });
        }
        group.bench_function(BenchmarkId::new("peer-threads", vcpus), |bencher| {
            bencher.iter_custom(|runs| threads(vcpus, runs));
        });
    }
    group.finish();
}

/// Threads that meet, add twice, and meet again, so many times.
fn threads(count: usize, iterations: u64) -> Duration {
    let runs = iterations * BATCH;
    let arrived: Arc<AtomicU64> = Arc::default();
    let words: Arc<Vec<AtomicU64>> = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
    let begin = Arc::new(Barrier::new(count + 1));
    let all: Vec<_> = (0..count)
        .map(|own| {
            let (arrived, words, begin) = (arrived.clone(), words.clone(), begin.clone());
            thread::spawn(move || {
                begin.wait();
                for run in 0..runs {
                    for _ in 0..2 {
                        words[own].fetch_add(1, Atomic::SeqCst);
                    }
                    meet(&arrived, (run + 1) * count as u64);
                }
            })
        })
        .collect();
    begin.wait();
    let began = Instant::now();
    all.into_iter()
        .for_each(|thread| thread.join().expect("it does not panic"));
    share(began.elapsed())
}

fn meet(arrived: &AtomicU64, until: u64) {
    arrived.fetch_add(1, Atomic::SeqCst);
    let mut spins = 0_u64;
    while arrived.load(Atomic::Acquire) < until {
        spins += 1;
        match spins.is_multiple_of(1000) {
            true => thread::yield_now(),
            false => spin_loop(),
        }
    }
}

/// Two vCPUs, of which one invalidates its translation of a page in each run.
fn translations(criterion: &mut Criterion, kvm: &Kvm) {
    let checked = checked(explore::embedded("write-protect").expect("it is there"));
    let mut group = criterion.benchmark_group("scenario/write-protect");
    for os in ["cmpxchg", "cmpxchg-flush"] {
        let plan = plan(&checked, &guest_cell(os));
        group.bench_function(os, |bencher| {
            bencher.iter_custom(|runs| timed(kvm, &plan, runs));
        });
    }
    group.finish();
}

fn guest_cell(os: &str) -> Cell {
    Cell {
        os: Some(os.into()),
        hardware: Some("dirty-atomic-guest".into()),
    }
}

/// A whole replay, the machine's making included.
fn replays(criterion: &mut Criterion, kvm: &Kvm) {
    let checked = checked(explore::embedded("write-protect").expect("it is there"));
    let cell = guest_cell("cmpxchg");
    let breach = [Breach::Condition("no-store-after-return".into())];
    let mut watch = |_| ControlFlow::Continue(());
    let found = explore::forced(&checked, &cell, &breach, &Limits::default(), &mut watch);
    let found = found.expect("it can be explored").into_iter().next();
    let Some(Forced::Way(_, schedule)) = found else {
        return println!("scenario/replay: SKIPPED, there is no way to the violation");
    };
    let plan = plan(&checked, &cell);
    criterion.bench_function("scenario/replay", |bencher| {
        bencher.iter(|| {
            let interrupted = AtomicBool::new(false);
            replay(kvm, &plan, &schedule, &Batch::default(), &interrupted).expect("it is made")
        });
    });
}
