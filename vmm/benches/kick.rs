//! How long it takes to reach a vCPU that runs: from outside, by a kick, and from another vCPU, by a
//! shoot-down; and how fast vCPUs hand a word round by turns.
#![expect(
    unsafe_code,
    reason = "a kick goes through a second descriptor of the vCPU"
)]

use std::hint::spin_loop;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use guest::abi::layout::{FLAGS, WINDOW};
use guest::abi::op::{self, Op};
use guest::images::{PAYLOAD, hostile};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use notifier::secondary::smmu::Knobs;
use vmm::driver::SmmuDriver;
use vmm::host;
use vmm::machine::{Machine, MachineConfig};
use vmm::memory::MemoryConfig;
use vmm::policy::UpgradePolicy;
use vmm::tracker::TrackerKind;
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

#[path = "shared/bare_vm.rs"]
mod bare_vm;

/// How long a thread gets to be where it is to be kicked out of, once it is about to go there.
const SETTLE: Duration = Duration::from_micros(100);
/// When a signal that had no effect must have come too early.
const LOST: Duration = Duration::from_secs(1);
/// Shoot-downs in one run of a machine.
const SHOTS: u64 = 100;
/// Turns of each vCPU in one run of a machine.
const TURNS: u64 = 50;
const SIZES: [u64; 3] = [2, 4, 8];

fn main() {
    let kvm = match host::open(Path::new(host::DEVICE)) {
        Ok(kvm) => kvm,
        Err(reason) => return println!("kick: SKIPPED, this host can't run a guest: {reason}"),
    };
    let mut criterion = Criterion::default().configure_from_args();
    kicks(&mut criterion, &kvm);
    shots(&mut criterion, &kvm);
    tokens(&mut criterion, &kvm);
    criterion.final_summary();
}

/// A thread that waits for something, again and again, for as long as anybody kicks it.
struct Waiter {
    /// How often it has gone to wait, and come back.
    gone: Arc<AtomicU64>,
    back: Arc<AtomicU64>,
    over: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Waiter {
    fn start(mut wait: impl FnMut() + Send + 'static) -> Self {
        let words = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
        let [gone, back, over] = words.clone();
        let thread = thread::spawn(move || {
            while over.load(Ordering::Acquire) == 0 {
                gone.fetch_add(1, Ordering::Release);
                wait();
                back.fetch_add(1, Ordering::Release);
            }
        });
        let [gone, back, over] = words;
        Self {
            gone,
            back,
            over,
            thread,
        }
    }

    /// From the kick until the thread is back.
    fn latency(&self, kick: &mut impl FnMut()) -> Duration {
        loop {
            if let Some(latency) = self.attempt(kick) {
                return latency;
            }
        }
    }

    /// The same; `None` if the thread was not there yet, so that the signal was lost.
    fn attempt(&self, kick: &mut impl FnMut()) -> Option<Duration> {
        let back = self.back.load(Ordering::Acquire);
        while self.gone.load(Ordering::Acquire) == back {
            spin_loop();
        }
        let settled = Instant::now() + SETTLE;
        while Instant::now() < settled {
            spin_loop();
        }
        let began = Instant::now();
        kick();
        self.thread.kill(SIGRTMIN()).expect("the thread lives");
        let mut sent = 1;
        while self.back.load(Ordering::Acquire) == back {
            spin_loop();
            if began.elapsed() > LOST * sent {
                self.thread.kill(SIGRTMIN()).expect("the thread lives");
                sent += 1;
            }
        }
        (sent == 1).then(|| began.elapsed())
    }

    fn end(self, kick: &mut impl FnMut()) {
        self.over.store(1, Ordering::Release);
        self.latency(kick);
        self.thread.join().expect("the thread comes to its end");
    }

    fn bench(self, group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut kick: impl FnMut()) {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iters| (0..iters).map(|_| self.latency(&mut kick)).sum());
        });
        self.end(&mut kick);
    }
}

fn kicks(criterion: &mut Criterion, kvm: &Kvm) {
    extern "C" fn ignore(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

    register_signal_handler(SIGRTMIN(), ignore).expect("a handler");
    let mut group = criterion.benchmark_group("kick");
    let asleep = Waiter::start(|| {
        // SAFETY: it asks for nothing, and waits for a signal.
        let ended = unsafe { libc::pause() };
        assert_eq!(ended, -1);
    });
    asleep.bench(&mut group, "a thread in pause()", || {});

    let image = hostile("spin").expect("there is such an image");
    let machine = machine(kvm, 1, image);
    let (vm, mut vcpu) = bare_vm::new(kvm, machine.ram(), image, false);
    let mut run_page = duplicate(&vm, &vcpu);
    let inside = Waiter::start(move || {
        let left = vcpu.run().map(|exit| format!("{exit:?}"));
        let error = left.expect_err("the guest spins");
        assert_eq!(error.errno(), libc::EINTR);
        vcpu.set_kvm_immediate_exit(0);
    });
    inside.bench(&mut group, "a vCPU in ring 3", || {
        run_page.set_kvm_immediate_exit(1);
    });
    group.finish();
}

/// A second descriptor of the vCPU, as whoever kicks it has.
fn duplicate(vm: &VmFd, vcpu: &VcpuFd) -> VcpuFd {
    // SAFETY: the borrowed descriptor is open as long as `vcpu` is borrowed.
    let borrowed = unsafe { BorrowedFd::borrow_raw(vcpu.as_raw_fd()) };
    let owned = borrowed.try_clone_to_owned().expect("a descriptor");
    // SAFETY: a fresh descriptor of a vCPU of `vm`, which nobody else owns.
    let duplicate = unsafe { vm.create_vcpu_from_rawfd(owned.into_raw_fd()) };
    duplicate.expect("a mapping of its run page")
}

fn machine(kvm: &Kvm, vcpus: u64, image: &'static [u8]) -> Machine {
    let config = MachineConfig {
        vcpus,
        memory: MemoryConfig::default(),
        tracker: TrackerKind::Announce,
        policy: UpgradePolicy::None,
        smmu: Knobs::default(),
        driver: SmmuDriver::Vmm,
        image,
        limit: Duration::from_secs(60),
    };
    Machine::new(kvm, &config).expect("a machine")
}

fn op(code: u64, a: u64, b: u64, c: u64) -> Op {
    Op { code, a, b, c }
}

/// How long these programs, one for each vCPU, run.
fn run(kvm: &Kvm, programs: &[Vec<Op>]) -> Duration {
    let machine = machine(kvm, programs.len() as u64, PAYLOAD);
    for (vcpu, program) in (0..).zip(programs) {
        machine.load_program(vcpu, program).expect("room");
    }
    let run = machine.run(kvm).expect("a run");
    assert_eq!(run.stopped, None);
    run.elapsed
}

/// One of `count` steps, by runs with and without them. Each sample is two runs, whatever the number
/// of iterations that it stands for.
fn step(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    count: u64,
    run: impl Fn(u64) -> Duration,
) {
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iters| {
            let steps = run(1).saturating_sub(run(0)).max(Duration::from_nanos(1));
            steps.mul_f64(iters as f64 / count as f64)
        });
    });
}

fn shots(criterion: &mut Criterion, kvm: &Kvm) {
    let mut group = criterion.benchmark_group("shoot-down");
    group.sample_size(20);
    let own = BenchmarkId::new("invlpg of its own", 1);
    let invalidate = op(op::INVALIDATE, WINDOW, 0, 0);
    step(&mut group, own, SHOTS, |times| {
        run(kvm, &shooter(1, invalidate, times))
    });
    for vcpus in SIZES {
        let all = op(op::SHOOT_DOWN, WINDOW, u64::MAX, 0);
        let id = BenchmarkId::new("everybody", vcpus);
        step(&mut group, id, SHOTS, |times| {
            run(kvm, &shooter(vcpus, all, times))
        });
    }
    group.finish();
}

/// Once all run, the first does `shot`, [`SHOTS`] times `times`; the others wait for its end.
fn shooter(vcpus: u64, shot: Op, times: u64) -> Vec<Vec<Op>> {
    let here = |vcpu| op(op::STORE, FLAGS + 8 * vcpu, 1, 8);
    let wait = |vcpu| op(op::WAIT_UNTIL, FLAGS + 8 * vcpu, 1, 0);
    let shots = std::iter::repeat_n(shot, usize::try_from(SHOTS * times).unwrap_or(0));
    let first = (1..vcpus).map(wait).chain(shots).chain([here(0)]).collect();
    let others = (1..vcpus).map(|vcpu| vec![here(vcpu), wait(0)]);
    [first].into_iter().chain(others).collect()
}

fn tokens(criterion: &mut Criterion, kvm: &Kvm) {
    let mut group = criterion.benchmark_group("token");
    group.sample_size(10);
    for vcpus in SIZES {
        let id = BenchmarkId::new("handed on", vcpus);
        step(&mut group, id, vcpus * TURNS, |times| {
            run(kvm, &ring(vcpus, times * TURNS))
        });
    }
    group.finish();
}

/// Each waits for its number, and sets the next one's.
fn ring(vcpus: u64, turns: u64) -> Vec<Vec<Op>> {
    let turn = |number| {
        [
            op(op::WAIT_UNTIL, FLAGS, number, 0),
            op(op::STORE, FLAGS, number + 1, 8),
        ]
    };
    let program = |vcpu| (0..turns).flat_map(move |round| turn(round * vcpus + vcpu));
    (0..vcpus).map(|vcpu| program(vcpu).collect()).collect()
}
