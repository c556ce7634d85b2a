//! Page-table writes that would make the table something that can't be followed: the run ends there,
//! with the reason, and nothing was sent.

use guest::abi::layout::PAGE;
use notifier::addr::Gpa;
use notifier::paging::TreeError;
use tests::lab::{Lab, end, on_every_tracker};
use tests::{op, page};
use vmm::machine::Machine;
use vmm::mirror::MirrorError;
use vmm::vcpu::VcpuEnd;

/// Why the run ends in which the guest makes the entry above the window's table lead to the table
/// that `table` says, and what was sent before.
fn link(lab: &Lab, level: u8, table: impl Fn(&Machine) -> u64) -> MirrorError {
    let ran = lab.attempt(&lab.config(), |machine| {
        let slot = page::slot_at(machine, page::address(0), level);
        let entry = machine.format().encode_table(Gpa::new(table(machine)));
        vec![vec![op::set_entry(slot, entry, 8), op::report(1)]]
    });
    let sent = ran.run.notifications;
    assert_eq!(sent, Default::default());
    assert_eq!(ran.changes(), []);
    let stopped = ran.run.stopped.expect("the run is stopped");
    assert_eq!(stopped.to_string().lines().count(), 1);
    match end(stopped) {
        VcpuEnd::Mirror(error) => error,
        other => panic!("the mirror can't follow: {other}"),
    }
}

fn table_of(machine: &Machine, level: u8) -> u64 {
    page::slot_at(machine, page::address(0), level) & !(PAGE - 1)
}

#[test]
fn a_table_that_leads_back_to_the_root_is_refused() {
    on_every_tracker(|lab| {
        let found = link(lab, 1, |machine| table_of(machine, 3));
        assert!(
            matches!(found, MirrorError::Tree(TreeError::Shared(_))),
            "{found}"
        );
    });
}

#[test]
fn a_table_that_leads_to_itself_is_refused() {
    on_every_tracker(|lab| {
        for level in [1, 2, 3] {
            let found = link(lab, level, |machine| table_of(machine, level));
            assert!(
                matches!(found, MirrorError::Tree(TreeError::Shared(_))),
                "{found}"
            );
        }
    });
}

/// The identity map's tables hang below entry 0 of the root.
#[test]
fn a_table_that_two_entries_lead_to_is_refused() {
    on_every_tracker(|lab| {
        let found = link(lab, 1, |machine| page::slot_at(machine, 0, 1) & !(PAGE - 1));
        assert!(
            matches!(found, MirrorError::Tree(TreeError::Shared(_))),
            "{found}"
        );
    });
}

#[test]
fn a_table_outside_the_pool_is_refused() {
    on_every_tracker(|lab| {
        let found = link(lab, 1, |_| page::frame(0));
        let expected = "the page table at 0x500000 lies outside the page-table pool \
                        [0x400000, 0x440000)";
        assert_eq!(found.to_string(), expected);
    });
}

#[test]
fn a_table_outside_memory_is_refused() {
    on_every_tracker(|lab| {
        let found = link(lab, 1, |machine| {
            machine.ram().layout().memory().last().raw() + 1
        });
        let outside = matches!(found, MirrorError::Tree(TreeError::OutsideRegion { .. }));
        assert!(outside, "{found}");
    });
}

/// The payload's own code goes away under its feet: whatever the processor makes of it ends.
#[test]
fn a_guest_that_unmaps_itself_ends() {
    on_every_tracker(|lab| {
        let ran = lab.attempt(&lab.config(), |machine| {
            let slot = page::slot_at(machine, 0, 3);
            vec![vec![
                op::set_entry(slot, 0, 8),
                op::invalidate(0),
                op::report(1),
            ]]
        });
        let stopped = ran.run.stopped.expect("the run is stopped");
        assert_eq!(stopped.to_string().lines().count(), 1, "{stopped}");
    });
}
