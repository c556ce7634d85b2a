//! What a page-table write costs over the bare exit that it arrives by.
//!
//! Both sides run the same payload on the same memory with the same slots, and the payload makes
//! the same writes. One side is a machine: vCPU loop, bus, tracker, mirror, tree, oracle, notifier.
//! The other calls `KVM_RUN` and drops each exit. A run's time less that of a run without the
//! writes, divided by their number, is the cost of one. Other work shares the processors, so what
//! is counted is processor time, guest included, the runs of both sides take turns, and what is
//! compared is always two neighbours.

mod bare;
#[path = "../shared/bare_vm.rs"]
mod bare_vm;
mod case;
mod clock;
#[path = "../shared/mod.rs"]
mod shared;

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use guest::abi::op::Op;
use kvm_ioctls::Kvm;
use notifier::secondary::smmu::Knobs;
use vmm::driver::SmmuDriver;
use vmm::host;
use vmm::machine::{Machine, MachineConfig};
use vmm::memory::MemoryConfig;
use vmm::policy::UpgradePolicy;
use vmm::tracker::{TrackerKind, trap_works};

use case::{Case, Cases, DOWNGRADE_IN_USE, DOWNGRADE_NO_FRAME, DOWNGRADE_UNUSED};
use shared::{Spread, is_list, is_test, rounds};

/// How often both sides take turns in the comparison.
const TURNS: usize = 61;

fn main() {
    if is_list() {
        return;
    }
    let kvm = match host::open(Path::new(host::DEVICE)) {
        Ok(kvm) => kvm,
        Err(reason) => return println!("exit: SKIPPED, this host can't run a guest: {reason}"),
    };
    let bench = Bench::new(kvm);
    println!("exit: page-table writes are seen by {}", bench.tracker);
    if bench.tracker == TrackerKind::Announce {
        println!("exit: trap does not work on this host, so announcements are measured instead");
    }
    let cases = bench.cases();
    compare(&bench, &cases);
    if !is_test() {
        sample(&bench, &cases);
    }
}

/// Turn by turn, with the ratio of neighbours. Each turn has every case in it, so that a busy
/// moment is one for all of them.
fn compare(bench: &Bench, cases: &[Case]) {
    let turn = |_| cases.iter().map(|case| bench.turn(case)).collect();
    let turns: Vec<Vec<Turn>> = (0..rounds(TURNS)).map(turn).collect();
    println!(
        "one write, microseconds: median [quartiles] of {}",
        turns.len()
    );
    for (number, case) in cases.iter().enumerate() {
        let all = |figure: fn(&Turn) -> f64| Spread::of(turns.iter().map(|t| figure(&t[number])));
        let bare = all(|turn| turn.bare);
        if !case.answered {
            println!("{:32} bare {bare}", case.name);
            continue;
        }
        println!(
            "{:32} stalemate {}, bare {bare}, difference {}, ratio {}",
            case.name,
            all(|turn| turn.ours),
            all(|turn| turn.ours - turn.bare),
            all(|turn| turn.ours / turn.bare)
        );
    }
    forgetting(cases, &turns);
}

/// What it takes to make KVM forget a page, which is part of a downgrade: the same downgrade with
/// and without a frame that there is memory for.
fn forgetting(cases: &[Case], turns: &[Vec<Turn>]) {
    let place = |name| cases.iter().position(|case| case.name == name);
    let Some(without) = place(DOWNGRADE_NO_FRAME) else {
        return;
    };
    for name in [DOWNGRADE_UNUSED, DOWNGRADE_IN_USE] {
        let Some(with) = place(name) else { continue };
        let difference = |turn: &Vec<Turn>| turn[with].ours - turn[without].ours;
        let alone = Spread::of(turns.iter().map(difference));
        println!("{name:32} of it, making KVM forget: {alone}");
    }
}

/// Each side on its own, so that criterion can compare it with earlier runs of this bench.
fn sample(bench: &Bench, cases: &[Case]) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("exit");
    group.sampling_mode(SamplingMode::Flat);
    for case in cases.iter().filter(|case| case.answered) {
        group.bench_function(format!("{}/stalemate", case.name), |bencher| {
            bencher.iter_custom(|count| case.times(count, |ops| bench.ours(ops)));
        });
        group.bench_function(format!("{}/bare", case.name), |bencher| {
            bencher.iter_custom(|count| case.times(count, |ops| bench.bare(ops)));
        });
    }
    group.finish();
    criterion.final_summary();
}

impl Case {
    fn program(&self) -> Vec<Op> {
        [&self.before[..], &self.writes].concat()
    }

    /// What one write takes, in microseconds.
    fn one(&self, run: impl Fn(&[Op]) -> Duration) -> f64 {
        let (with, without) = (run(&self.program()), run(&self.before));
        let writes = u32::try_from(self.writes.len()).unwrap_or(u32::MAX);
        (with.as_secs_f64() - without.as_secs_f64()) * 1e6 / f64::from(writes)
    }

    /// What `count` writes take, made in as many runs as they need.
    fn times(&self, count: u64, run: impl Fn(&[Op]) -> Duration) -> Duration {
        let runs = count.div_ceil(self.writes.len() as u64);
        let cost: f64 = (0..runs).map(|_| self.one(&run)).sum();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let scale = count as f64 / runs as f64;
        // Not zero, which criterion takes for a mistake.
        Duration::from_secs_f64((cost * scale * 1e-6).max(1e-9))
    }
}

/// What one write took on either side, in microseconds.
struct Turn {
    ours: f64,
    bare: f64,
}

struct Bench {
    kvm: Kvm,
    tracker: TrackerKind,
}

impl Bench {
    fn new(kvm: Kvm) -> Self {
        let tracker = if trap_works(&kvm).is_ok_and(|works| works) {
            TrackerKind::Trap
        } else {
            TrackerKind::Announce
        };
        Self { kvm, tracker }
    }

    fn machine(&self) -> Machine {
        let config = MachineConfig {
            vcpus: 1,
            memory: MemoryConfig::default(),
            tracker: self.tracker,
            policy: UpgradePolicy::SecondaryTlb,
            smmu: Knobs::default(),
            driver: SmmuDriver::Vmm,
            image: guest::images::PAYLOAD,
            limit: Duration::from_secs(10),
        };
        Machine::new(&self.kvm, &config).expect("a machine")
    }

    fn cases(&self) -> Vec<Case> {
        let machine = self.machine();
        let cases = Cases {
            format: &**machine.format(),
            slot: machine.window_slot(0).expect("a window"),
        };
        let cases = cases.all();
        for case in cases.iter().filter(|case| case.answered) {
            self.check(case);
        }
        cases
    }

    /// The machine takes the writes for what they are meant to be.
    fn check(&self, case: &Case) {
        let seen = |ops: &[Op]| {
            let run = self.loaded(ops).run(&self.kvm).expect("a run");
            let count = case.kind.and_then(|kind| run.changes.get(&kind).copied());
            count.unwrap_or(0)
        };
        let made = seen(&case.program()) - seen(&case.before);
        let meant = case.kind.map_or(0, |_| case.writes.len() as u64);
        assert_eq!(made, meant, "{}", case.name);
    }

    fn turn(&self, case: &Case) -> Turn {
        let ours = |ops: &[Op]| self.ours(ops);
        Turn {
            ours: if case.answered { case.one(ours) } else { 0.0 },
            bare: case.one(|ops| self.bare(ops)),
        }
    }

    fn ours(&self, ops: &[Op]) -> Duration {
        let machine = self.loaded(ops);
        let began = clock::now();
        let run = machine.run(&self.kvm).expect("a run");
        let used = clock::now() - began;
        assert_eq!(run.stopped, None);
        used
    }

    /// The memory is a machine's that never runs.
    fn bare(&self, ops: &[Op]) -> Duration {
        let machine = self.loaded(ops);
        let began = clock::now();
        bare::run(&self.kvm, machine.ram(), self.tracker == TrackerKind::Trap);
        clock::now() - began
    }

    fn loaded(&self, ops: &[Op]) -> Machine {
        let machine = self.machine();
        machine.load_program(0, ops).expect("room for the program");
        machine
    }
}
