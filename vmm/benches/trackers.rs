//! What a page-table write costs under each tracker, until the machine knows of it.
//!
//! A machine's guest maps pages, one write each. A run's time less that of a run without the writes,
//! divided by their number, is the cost of one: the guest's own work, exits, scans, and what the
//! mirror, the tree and the oracle make of it. The floor is the same guest with the same stores in a
//! machine that is told of none. Criterion is not used: it counts time by the wall. Other work shares the processors, so what is counted is processor
//! time of the whole process, guest included, and all trackers take turns. A program has room for
//! 500 writes, so more are more runs.

#[path = "exit/clock.rs"]
mod clock;
#[path = "shared/mod.rs"]
mod shared;

use std::path::Path;
use std::time::Duration;

use guest::abi::layout;
use guest::abi::op::{self, Op};
use kvm_ioctls::Kvm;
use notifier::addr::{Gpa, PageSize, Permissions};
use notifier::paging::{ChangeKind, Leaf};
use notifier::secondary::smmu::Knobs;
use vmm::driver::SmmuDriver;
use vmm::host;
use vmm::machine::{Machine, MachineConfig};
use vmm::memory::MemoryConfig;
use vmm::policy::UpgradePolicy;
use vmm::tracker::scan::DirtyPages;
use vmm::tracker::{TrackerKind, dirty_pages, trap_works};

use shared::{Spread, is_list, rounds};

/// Writes of one program at most.
const PROGRAM: u64 = 500;
/// Numbers of writes, and how often all trackers take turns with each.
const CASES: [(u64, usize); 3] = [(1, 41), (100, 31), (10_000, 3)];

/// A way to learn of writes, or none.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    tracker: TrackerKind,
    /// The operation that writes an entry.
    code: u64,
}

/// An announcing machine hears nothing of a plain store.
const FLOOR: Way = way("untracked", TrackerKind::Announce, op::STORE);
const TRAP: Way = way("trap", TrackerKind::Trap, op::SET_ENTRY);
const LOG: Way = way(
    "scan, log",
    TrackerKind::Scan(DirtyPages::Log),
    op::SET_ENTRY,
);
const RING: Way = way(
    "scan, ring",
    TrackerKind::Scan(DirtyPages::Ring),
    op::SET_ENTRY,
);
const ANNOUNCE: Way = way("announce", TrackerKind::Announce, op::SET_ENTRY);

const fn way(name: &'static str, tracker: TrackerKind, code: u64) -> Way {
    Way {
        name,
        tracker,
        code,
    }
}

fn main() {
    if is_list() {
        return;
    }
    let kvm = match host::open(Path::new(host::DEVICE)) {
        Ok(kvm) => kvm,
        Err(reason) => return println!("trackers: SKIPPED, this host can't run a guest: {reason}"),
    };
    let mut ways = vec![FLOOR, ANNOUNCE, LOG];
    if dirty_pages(&kvm) == DirtyPages::Ring {
        ways.push(RING);
    } else {
        println!("trackers: the dirty ring SKIPPED, it does not work on this host");
    }
    if trap_works(&kvm).is_ok_and(|works| works) {
        ways.push(TRAP);
    } else {
        println!("trackers: trap SKIPPED, it does not work on this host");
    }
    println!("one write, microseconds of processor time: median [quartiles]");
    for (writes, turns) in CASES {
        let turn = |_| ways.iter().map(|way| way.cost(&kvm, writes)).collect();
        let turns: Vec<Vec<f64>> = (0..rounds(turns)).map(turn).collect();
        for (number, way) in ways.iter().enumerate() {
            let costs = Spread::of(turns.iter().map(|turn| turn[number]));
            println!("{writes:6} writes, {:10} {costs}", way.name);
        }
    }
}

impl Way {
    /// What one of this many writes takes, in microseconds.
    fn cost(self, kvm: &Kvm, writes: u64) -> f64 {
        let runs = writes.div_ceil(PROGRAM);
        let each = writes.min(PROGRAM);
        let one = |_| self.run(kvm, each).as_secs_f64() - self.run(kvm, 0).as_secs_f64();
        let total: f64 = (0..runs).map(one).sum();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let made = (runs * each) as f64;
        total * 1e6 / made
    }

    /// A run in which the guest makes this many writes, all of which become known if any do.
    fn run(self, kvm: &Kvm, writes: u64) -> Duration {
        let machine = self.machine(kvm);
        let ops: Vec<_> = (0..writes)
            .map(|number| self.write(&machine, number))
            .collect();
        machine.load_program(0, &ops).expect("room for the program");
        let began = clock::now();
        let run = machine.run(kvm).expect("a run");
        let used = clock::now() - began;
        assert_eq!(run.stopped, None);
        let known = if self.code == op::STORE { 0 } else { writes };
        assert_eq!(run.changes[&ChangeKind::Map], known, "{}", self.name);
        used
    }

    fn machine(self, kvm: &Kvm) -> Machine {
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
        Machine::new(kvm, &config).expect("a machine")
    }

    /// Maps page `number`.
    fn write(self, machine: &Machine, number: u64) -> Op {
        let first = machine.window_slot(0).expect("a window");
        let frames = (layout::FRAMES_END - layout::FRAMES) / layout::PAGE;
        let frame = Gpa::new(layout::FRAMES + number % frames * layout::PAGE);
        let leaf = Leaf::page(frame, PageSize::K4, Permissions::READ_ONLY);
        let entry = machine.format().encode_leaf(&leaf);
        Op {
            code: self.code,
            a: first.raw() + 8 * number,
            b: entry.expect("an ordinary page"),
            c: 8,
        }
    }
}
