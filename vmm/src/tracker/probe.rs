//! Finding out which tracker works here, by trying.

use std::path::Path;
use std::time::Duration;

use guest::abi::op::{self, Op};
use guest::abi::{layout, pattern, smmu};
use kvm_ioctls::Kvm;
use notifier::addr::{Gpa, PageSize, Permissions};
use notifier::paging::ChangeKind;
use notifier::secondary::smmu::Knobs;

use super::TrackerKind;
use super::scan::DirtyPages;
use crate::driver::SmmuDriver;
use crate::machine::{Machine, MachineConfig, MachineError, Run};
use crate::memory::MemoryConfig;
use crate::page_tables::page;
use crate::policy::UpgradePolicy;

/// How long the throw-away machine may take. Where trapping works it takes some milliseconds; where it
/// does not, a guest may fault for ever on the first instruction, and this is what it costs.
const LIMIT: Duration = Duration::from_millis(500);

/// Says `Y` where kvm_intel has the processor log dirty pages.
const PML: &str = "/sys/module/kvm_intel/parameters/pml";

/// Seed of what the guest is to read through the page that it maps.
const SEED: u64 = 0x7261_7021;

/// The tracker that works on this host: [`TrackerKind::Trap`] if a machine that is tried with it
/// works, else [`TrackerKind::Announce`], which asks nothing of the host.
pub fn choose(kvm: &Kvm) -> TrackerKind {
    chosen(trap_works(kvm))
}

fn chosen(trap_works: Result<bool, MachineError>) -> TrackerKind {
    match trap_works {
        Ok(true) => TrackerKind::Trap,
        Ok(false) => TrackerKind::Announce,
        Err(error) => {
            log::info!("a machine that traps can't even be built: {error}");
            TrackerKind::Announce
        }
    }
}

/// Whether trapping works: a throw-away machine's guest maps a page, reads it, takes it away and
/// is to fault. What the host calls itself is not asked.
///
/// # Errors
/// [`MachineError`] if the machine can't be built.
pub fn trap_works(kvm: &Kvm) -> Result<bool, MachineError> {
    works(kvm, TrackerKind::Trap)
}

/// The same of any tracker.
///
/// # Errors
/// [`MachineError`] if the machine can't be built.
pub fn works(kvm: &Kvm, tracker: TrackerKind) -> Result<bool, MachineError> {
    let config = MachineConfig {
        vcpus: 1,
        memory: MemoryConfig::default(),
        tracker,
        policy: UpgradePolicy::None,
        smmu: Knobs::default(),
        driver: SmmuDriver::Vmm,
        image: guest::images::PAYLOAD,
        limit: LIMIT,
    };
    let machine = Machine::new(kvm, &config)?;
    let program = program(&machine)?;
    machine.load_program(0, &program)?;
    let run = machine.run(kvm)?;
    let works = is_right(&run);
    log::debug!(
        "the tracker {tracker} works here: {works}, stopped: {:?}",
        run.stopped
    );
    Ok(works)
}

/// What the scanning tracker goes by on this host: [`DirtyPages::Ring`] if a machine that is tried
/// with it works, and the ring has each page at once; else [`DirtyPages::Log`], which is everywhere.
pub fn dirty_pages(kvm: &Kvm) -> DirtyPages {
    if processor_logs_pages(Path::new(PML)) {
        log::info!("the dirty log is used: the processor keeps dirty pages back from the ring");
        return DirtyPages::Log;
    }
    match works(kvm, TrackerKind::Scan(DirtyPages::Ring)) {
        Ok(true) => DirtyPages::Ring,
        Ok(false) => DirtyPages::Log,
        Err(error) => {
            log::info!("the dirty log is used: {error}");
            DirtyPages::Log
        }
    }
}

/// Whether the processor collects dirty pages in a buffer of its own (Intel's PML), which KVM empties
/// into the ring when the vCPU next leaves the guest. What another vCPU has written would then be
/// missing at a point; KVM_GET_DIRTY_LOG has all vCPUs leave.
fn processor_logs_pages(parameter: &Path) -> bool {
    std::fs::read_to_string(parameter).is_ok_and(|value| value.trim() == "Y")
}

fn program(machine: &Machine) -> Result<Vec<Op>, MachineError> {
    let slot = machine.window_slot(0).map_or(0, Gpa::raw);
    let frame = page(
        Gpa::new(layout::FRAMES),
        PageSize::K4,
        Permissions::READ_ONLY,
    );
    let entry = machine.format().encode_leaf(&frame);
    let entry = entry.map_err(|error| MachineError::Assembly(error.into()))?;
    let op = |code, a, b, c| Op { code, a, b, c };
    Ok(vec![
        op(op::FILL, layout::FRAMES, 8, SEED),
        op(op::SET_ENTRY, slot, entry, 8),
        op(op::LOAD, layout::WINDOW, 8, 0),
        // A point: what is mapped is found before it is taken away.
        op(op::RING, smmu::register(smmu::GERRORN), 0, 0),
        op(op::SET_ENTRY, slot, 0, 8),
        op(op::INVALIDATE, layout::WINDOW, 0, 0),
        op(op::LOAD, layout::WINDOW, 8, 0),
    ])
}

fn is_right(run: &Run) -> bool {
    let [_, _, mapped, _, _, _, unmapped, ..] = &run.results[0][..] else {
        return false;
    };
    let read = (mapped.status, mapped.value) == (op::STATUS_DONE, pattern::word(SEED, 0));
    let count = |kind| run.changes.get(&kind).copied();
    let seen = (count(ChangeKind::Map), count(ChangeKind::Unmap)) == (Some(1), Some(1));
    run.stopped.is_none() && read && unmapped.status == op::STATUS_FAULT && seen
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_processor_that_keeps_dirty_pages_back_is_known_by_the_parameter() {
        let answers = ["Y\n", "N\n", ""].map(|value| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(value.as_bytes()).unwrap();
            processor_logs_pages(file.path())
        });
        assert_eq!(answers, [true, false, false]);
        assert!(!processor_logs_pages(Path::new("/no/such/parameter")));
    }

    #[test]
    fn trapping_is_chosen_only_where_it_was_seen_to_work() {
        let answers = [Ok(true), Ok(false), Err(MachineError::Vcpus(0))];
        let chosen = answers.map(chosen);
        let [trap, announce] = [TrackerKind::Trap, TrackerKind::Announce];
        assert_eq!(chosen, [trap, announce, announce]);
    }
}
