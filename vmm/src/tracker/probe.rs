//! Finding out which tracker works here, by trying.

use std::time::Duration;

use guest::abi::op::{self, Op};
use guest::abi::{layout, pattern};
use kvm_ioctls::Kvm;
use notifier::addr::{Gpa, PageSize, Permissions};
use notifier::paging::ChangeKind;
use notifier::secondary::smmu::Knobs;

use super::TrackerKind;
use crate::driver::SmmuDriver;
use crate::machine::{Machine, MachineConfig, MachineError, Run};
use crate::memory::MemoryConfig;
use crate::page_tables::page;
use crate::policy::UpgradePolicy;

/// How long the throw-away machine may take. Where trapping works it takes some milliseconds; where it
/// does not, a guest may fault for ever on the first instruction, and this is what it costs.
const LIMIT: Duration = Duration::from_millis(500);

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
        op(op::SET_ENTRY, slot, 0, 8),
        op(op::INVALIDATE, layout::WINDOW, 0, 0),
        op(op::LOAD, layout::WINDOW, 8, 0),
    ])
}

fn is_right(run: &Run) -> bool {
    let [_, _, mapped, _, _, unmapped, ..] = &run.results[0][..] else {
        return false;
    };
    let read = (mapped.status, mapped.value) == (op::STATUS_DONE, pattern::word(SEED, 0));
    let count = |kind| run.changes.get(&kind).copied();
    let seen = (count(ChangeKind::Map), count(ChangeKind::Unmap)) == (Some(1), Some(1));
    run.stopped.is_none() && read && unmapped.status == op::STATUS_FAULT && seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trapping_is_chosen_only_where_it_was_seen_to_work() {
        let answers = [Ok(true), Ok(false), Err(MachineError::Vcpus(0))];
        let chosen = answers.map(chosen);
        let [trap, announce] = [TrackerKind::Trap, TrackerKind::Announce];
        assert_eq!(chosen, [trap, announce, announce]);
    }
}
