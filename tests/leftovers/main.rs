//! What machines leave behind in their process: no thread, no descriptor, no mapping. These tests
//! have a process of their own, and take turns in it.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use guest::images::HOSTILE;
use tests::host::say;
use tests::lab::{Lab, on_every_tracker};
use tests::op;
use vmm::live::flagship::Flagship;
use vmm::machine::{Machine, MachineConfig};
use vmm::policy::UpgradePolicy;
use vmm::primary::{self, Omission, PrimaryConfig, PrimaryError, Subject};

/// Machines in a row.
const MACHINES: usize = 20;

/// What a process has.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: Vec<String>,
    vcpu_threads: usize,
    guest_memories: usize,
}

impl Holdings {
    fn now() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
        let guest = |line: &&str| line.contains("guest-memory") || line.contains("kvm-vcpu");
        Self {
            descriptors: descriptors(),
            vcpu_threads: thread_names()
                .filter(|name| name.starts_with("vcpu"))
                .count(),
            guest_memories: maps.lines().filter(guest).count(),
        }
    }
}

/// What each open descriptor leads to, the one that lists them not included.
fn descriptors() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd")
        .expect("/proc is mounted")
        .flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let targets = links.map(|target| target.to_string_lossy().into_owned());
    let mut targets: Vec<_> = targets.filter(|it| !it.starts_with("/proc/")).collect();
    targets.sort();
    targets
}

/// Threads that end while they are looked at have no name any more.
fn thread_names() -> impl Iterator<Item = String> {
    let tasks = fs::read_dir("/proc/self/task")
        .expect("/proc is mounted")
        .flatten();
    tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
}

fn take_turns() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `work` for every tracker, and holds what the process has afterwards against what it had.
fn verify_nothing_left(work: impl Fn(&Lab)) {
    let _turn = take_turns();
    on_every_tracker(|lab| {
        // The first machine of a process may set up what stays.
        work(lab);
        let before = Holdings::now();
        work(lab);
        assert_eq!(Holdings::now(), before);
    });
}

#[test]
fn a_running_machine_is_seen_at_all() {
    let _turn = take_turns();
    on_every_tracker(|lab| {
        let before = Holdings::now();
        let config = MachineConfig {
            vcpus: 8,
            ..lab.config()
        };
        let machine = Machine::new(&lab.kvm, &config).unwrap();
        let spin = vec![op::wait_while(guest::abi::layout::FLAGS, 0)];
        (0..8).for_each(|vcpu| machine.load_program(vcpu, &spin).unwrap());
        let ram = machine.ram().clone();
        let during = std::thread::scope(|scope| {
            let run = scope.spawn(|| machine.run(&lab.kvm));
            let during = seen_with_threads(8);
            let flag = notifier::addr::Gpa::new(guest::abi::layout::FLAGS);
            ram.publish(flag, 1).unwrap();
            assert_eq!(run.join().unwrap().unwrap().stopped, None);
            during
        });
        assert_eq!(during.vcpu_threads, 8);
        assert!(during.descriptors.len() > before.descriptors.len() + 8);
        assert!(during.guest_memories > before.guest_memories);
        drop(ram);
        assert_eq!(Holdings::now(), before);
    });
}

/// Waits until there are this many vCPU threads, up to a minute.
fn seen_with_threads(count: usize) -> Holdings {
    let tries = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(10));
        Holdings::now()
    });
    let mut seen = tries.take(6000).skip_while(|now| now.vcpu_threads != count);
    seen.next().expect("the vCPUs' threads start")
}

#[test]
fn a_flagship_run_leaves_nothing_behind() {
    verify_nothing_left(|lab| {
        for policy in UpgradePolicy::ALL {
            let config = MachineConfig {
                vcpus: 2,
                policy,
                ..lab.config()
            };
            assert!(Flagship::run(&lab.kvm, &config).unwrap().is_as_expected());
        }
    });
}

#[test]
fn twenty_machines_in_a_row_leave_nothing_behind() {
    verify_nothing_left(|lab| {
        for _ in 0..MACHINES {
            let ran = lab.run_all(2, |_| vec![vec![op::report(1)], vec![op::report(2)]]);
            assert_eq!(ran.run.results.len(), 2);
        }
    });
}

#[test]
fn a_machine_that_never_runs_leaves_nothing_behind() {
    verify_nothing_left(|lab| {
        for _ in 0..MACHINES {
            assert!(Machine::new(&lab.kvm, &lab.config()).is_ok());
        }
    });
}

#[test]
fn a_machine_that_can_t_be_built_leaves_nothing_behind() {
    verify_nothing_left(|lab| {
        for image in [&b""[..], &[0; 4096]] {
            let config = MachineConfig {
                image,
                ..lab.config()
            };
            assert!(Machine::new(&lab.kvm, &config).is_err());
        }
    });
}

#[test]
fn a_host_that_takes_memory_and_gives_it_back_leaves_nothing_behind() {
    verify_nothing_left(|lab| {
        for subject in [Subject::Mprotect, Subject::DirtyLog, Subject::UffdWp] {
            for omission in [Omission::Nothing, Omission::Answer] {
                let config = PrimaryConfig {
                    subject,
                    vcpus: 2,
                    tries: 20,
                    pages: 4,
                    limit: Duration::from_millis(200),
                    omission,
                };
                match primary::run(&lab.kvm, &config, &AtomicBool::new(false)) {
                    Ok(_) => {}
                    Err(PrimaryError::Host(reason)) => say(&format!("no {subject}: {reason}")),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
}

/// Also those that spin for ever: after the limit their threads are gone.
#[test]
fn hostile_guests_leave_nothing_behind() {
    verify_nothing_left(|lab| {
        for (_, image) in HOSTILE {
            let limit = Duration::from_millis(300);
            let config = MachineConfig {
                image,
                vcpus: 8,
                limit,
                ..lab.config()
            };
            let ran = lab.attempt(&config, |_| Vec::new());
            assert_eq!(ran.run.dma.writes, 0);
        }
    });
}
