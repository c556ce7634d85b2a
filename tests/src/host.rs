//! What the host offers to tests.

use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use kvm_ioctls::Kvm;
use vmm::tracker::scan::DirtyPages;
use vmm::tracker::{TrackerKind, dirty_pages, trap_works};

/// KVM; or `None`, said aloud, where there is none.
///
/// # Panics
/// Instead of `None` if `STALEMATE_REQUIRE_KVM=1`.
pub fn require_kvm() -> Option<Kvm> {
    match vmm::host::open(Path::new(vmm::host::DEVICE)) {
        Ok(kvm) => Some(kvm),
        Err(reason) => {
            let required = std::env::var_os("STALEMATE_REQUIRE_KVM").is_some_and(|is| is == "1");
            assert!(!required, "this test needs KVM: {reason}");
            say(&format!("skipped: {reason}"));
            None
        }
    }
}

/// Calls `test` with KVM where there is one, like [`require_kvm`].
pub fn with_kvm(test: impl FnOnce(&Kvm)) {
    if let Some(kvm) = require_kvm() {
        test(&kvm);
    }
}

/// The trackers that work here. Where trapping does not, that is said aloud.
///
/// # Panics
/// If no machine can be built.
pub fn trackers(kvm: &Kvm) -> &'static [TrackerKind] {
    static WORKING: OnceLock<Vec<TrackerKind>> = OnceLock::new();
    WORKING.get_or_init(|| {
        let mut working = vec![TrackerKind::Announce, TrackerKind::Scan(DirtyPages::Log)];
        if dirty_pages(kvm) == DirtyPages::Ring {
            working.push(TrackerKind::Scan(DirtyPages::Ring));
        } else {
            say("this host has no dirty ring that works: it is not tested");
        }
        if trap_works(kvm).expect("the probe's machine can be built") {
            working.insert(0, TrackerKind::Trap);
        } else {
            say("this host can't trap page-table writes: the tracker `trap` is not tested");
        }
        working
    })
}

/// Whether page-table writes can be trapped here.
pub fn can_trap(kvm: &Kvm) -> bool {
    trackers(kvm).contains(&TrackerKind::Trap)
}

/// How often to do what chance has a part in: `often`, but twice, said aloud, on an emulated
/// processor. Some hundred thousand entries into a guest are enough for QEMU's emulation of SVM to
/// mistake the host's instruction pointer for the guest's once, which then hangs or shuts down.
pub fn rounds(often: u64) -> u64 {
    if is_emulated() {
        say("an emulated processor: 2 rounds only");
        return 2;
    }
    often
}

/// Whether the processor is QEMU's.
pub fn is_emulated() -> bool {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    processor.contains("QEMU TCG CPU")
}

/// Whether two vCPUs really run at the same time here; if not, that is said aloud.
pub fn is_parallel() -> bool {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let is_parallel = cpus > 1 && !is_emulated();
    if !is_parallel {
        say("vCPUs take turns on one CPU here: what takes two at the same time is not required");
    }
    is_parallel
}

/// Prints a line that the test harness does not keep to itself, after the test's name.
pub fn say(line: &str) {
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    // If nobody can be told, nobody needs to be.
    let _ = writeln!(io::stderr(), "{name}: {line}");
}
