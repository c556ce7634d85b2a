//! Announcements that keep no protocol, made by raw machine code. What is announced is what the test
//! put into the vCPU's block.

use guest::abi::layout::{PAGE, PAGE_TABLE_PAGES, PAGE_TABLES};
use guest::abi::op::Op;
use guest::abi::port::{ANNOUNCE, ANNOUNCE_COMMIT, ANNOUNCE_PREPARE, EXIT_DONE};
use guest::abi::program::{self, Announcement};
use notifier::addr::Gpa;
use notifier::paging::ChangeKind;
use tests::lab::{Lab, Ran, end, on_announce};
use tests::{image, page};
use vmm::machine::{Machine, MachineConfig};
use vmm::mirror::MirrorError;
use vmm::vcpu::VcpuEnd;

/// Runs a guest that writes these commands to the port, one after the other, and leaves.
fn say(lab: &Lab, commands: &[u32], announced: impl FnOnce(&Machine) -> Announcement) -> Ran {
    let said = commands
        .iter()
        .flat_map(|command| image::out(ANNOUNCE, *command));
    let code: Vec<_> = said.chain(image::exit(EXIT_DONE)).collect();
    let config = MachineConfig {
        image: &image::of_code(&code),
        ..lab.config()
    };
    lab.attempt(&config, |machine| {
        let place = Gpa::new(program::block(0) + program::ANNOUNCEMENT);
        let announcement = announced(machine).to_bytes();
        let written = machine.ram().write(place, &announcement);
        written.expect("program blocks are in memory");
        vec![Vec::<Op>::new()]
    })
}

/// How it ends.
fn ends(lab: &Lab, commands: &[u32], announcement: Announcement) -> VcpuEnd {
    let ran = say(lab, commands, |_| announcement);
    assert_eq!(ran.run.notifications, Default::default());
    end(ran.run.stopped.expect("the run is stopped"))
}

/// The window's first entry becomes a read-only page.
fn mapping(machine: &Machine) -> Announcement {
    Announcement {
        address: page::slot(machine, 0),
        value: page::read_only(machine, 0),
        width: 8,
    }
}

const NOTHING: Announcement = Announcement {
    address: 0,
    value: 0,
    width: 0,
};

#[test]
fn a_commit_without_a_prepare_is_refused() {
    on_announce(|lab| {
        assert_eq!(
            ends(lab, &[ANNOUNCE_COMMIT], NOTHING),
            VcpuEnd::NothingAnnounced
        );
    });
}

#[test]
fn a_second_commit_is_refused() {
    on_announce(|lab| {
        let ran = say(
            lab,
            &[ANNOUNCE_PREPARE, ANNOUNCE_COMMIT, ANNOUNCE_COMMIT],
            mapping,
        );
        assert_eq!(end(ran.run.stopped.unwrap()), VcpuEnd::NothingAnnounced);
    });
}

#[test]
fn a_command_that_is_none_is_refused() {
    on_announce(|lab| {
        for command in [0, 3, 0xff] {
            assert_eq!(ends(lab, &[command], NOTHING), VcpuEnd::NothingAnnounced);
        }
    });
}

/// Only the low byte of these is one.
#[test]
fn a_command_with_more_bits_than_it_has_is_refused() {
    on_announce(|lab| {
        let ran = say(lab, &[0x100 | ANNOUNCE_PREPARE], mapping);
        let stopped = ran.run.stopped.expect("the run is stopped");
        assert_eq!(end(stopped), VcpuEnd::NothingAnnounced);
    });
}

#[test]
fn a_width_that_no_store_has_is_refused() {
    on_announce(|lab| {
        for width in [0, 9, u64::MAX] {
            let announcement = Announcement {
                address: PAGE_TABLES,
                value: 0,
                width,
            };
            let found = ends(lab, &[ANNOUNCE_PREPARE], announcement);
            assert!(matches!(found, VcpuEnd::Announcement(_)), "{found}");
        }
    });
}

#[test]
fn an_address_at_the_end_of_the_address_space_is_refused() {
    on_announce(|lab| {
        let announcement = Announcement {
            address: u64::MAX - 3,
            value: 0,
            width: 8,
        };
        let found = ends(lab, &[ANNOUNCE_PREPARE], announcement);
        assert!(matches!(found, VcpuEnd::Announcement(_)), "{found}");
    });
}

#[test]
fn an_address_outside_the_pool_is_refused() {
    on_announce(|lab| {
        let end = PAGE_TABLES + PAGE_TABLE_PAGES * PAGE;
        for address in [
            0,
            PAGE_TABLES - 1,
            PAGE_TABLES - 8,
            end - 7,
            end,
            u64::MAX - 7,
        ] {
            let announcement = Announcement {
                address,
                value: 0,
                width: 8,
            };
            let found = ends(lab, &[ANNOUNCE_PREPARE], announcement);
            let outside = matches!(found, VcpuEnd::Mirror(MirrorError::OutsidePool { .. }));
            assert!(outside, "{address:#x}: {found}");
        }
    });
}

/// The second prepare calls the first off: one change, and it was not made, so none.
#[test]
fn what_is_announced_twice_and_never_stored_is_no_change() {
    on_announce(|lab| {
        let ran = say(
            lab,
            &[ANNOUNCE_PREPARE, ANNOUNCE_PREPARE, ANNOUNCE_COMMIT],
            mapping,
        );
        assert_eq!(ran.run.stopped, None);
        assert_eq!(ran.changes(), []);
        assert_eq!(ran.run.findings.untracked, []);
    });
}

/// A window that is left open when the guest leaves: its start has its end all the same.
#[test]
fn a_change_that_is_announced_and_never_committed_is_none() {
    on_announce(|lab| {
        let ran = say(lab, &[ANNOUNCE_PREPARE], mapping);
        assert_eq!(ran.run.stopped, None);
        assert_eq!(ran.run.changes[&ChangeKind::Map], 0);
    });
}
