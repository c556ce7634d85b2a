//! Machines that can't be: each is refused with a reason, before anything runs.

use guest::abi::layout;
use guest::abi::op::Op;
use guest::abi::program;
use notifier::addr::Gpa;
use tests::lab::{Lab, on_every_tracker};
use tests::{op, page};
use vmm::machine::{Machine, MachineConfig, MachineError};
use vmm::memory::{LayoutError, MemoryConfig};

/// Why there is no machine of this configuration.
fn refused(lab: &Lab, config: MachineConfig<'_>) -> MachineError {
    let built = Machine::new(&lab.kvm, &config);
    let error = built.err().expect("there is no such machine");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error
}

fn with_memory(lab: &Lab, size: u64, page_tables: u64) -> MachineConfig<'static> {
    let page_tables = Gpa::new(page_tables);
    MachineConfig {
        memory: MemoryConfig { size, page_tables },
        ..lab.config()
    }
}

#[test]
fn no_vcpus_and_too_many_are_refused() {
    on_every_tracker(|lab| {
        for vcpus in [0, 9, u64::MAX] {
            let found = refused(
                lab,
                MachineConfig {
                    vcpus,
                    ..lab.config()
                },
            );
            assert!(
                matches!(found, MachineError::Vcpus(count) if count == vcpus),
                "{found}"
            );
        }
    });
}

#[test]
fn too_little_too_much_and_crooked_memory_is_refused() {
    on_every_tracker(|lab| {
        let least = layout::MINIMUM_MEMORY;
        for size in [
            0,
            1,
            least - 4096,
            least + 1,
            layout::MAXIMUM_MEMORY + 4096,
            u64::MAX,
        ] {
            let found = refused(lab, with_memory(lab, size, layout::PAGE_TABLES));
            let expected = matches!(found, MachineError::Layout(LayoutError::Size { .. }));
            assert!(expected, "{size:#x}: {found}");
        }
    });
}

#[test]
fn a_pool_on_top_of_something_is_refused() {
    on_every_tracker(|lab| {
        let places = [
            layout::IMAGE,
            layout::SYSTEM,
            layout::PROGRAMS,
            layout::FRAMES,
            layout::FRAMES - 4096,
        ];
        for place in places {
            let found = refused(lab, with_memory(lab, 16 << 20, place));
            let overlaps = matches!(
                found,
                MachineError::Layout(LayoutError::PoolOverlaps { .. })
            );
            assert!(overlaps, "{place:#x}: {found}");
        }
    });
}

#[test]
fn a_pool_outside_memory_or_off_a_page_is_refused() {
    on_every_tracker(|lab| {
        for place in [1, 0x40_0008, 16 << 20, (16 << 20) - 4096, !0xfff, u64::MAX] {
            let found = refused(lab, with_memory(lab, 16 << 20, place));
            assert!(
                matches!(found, MachineError::Layout(_)),
                "{place:#x}: {found}"
            );
        }
    });
}

/// Everything works wherever the pool is: at the very start of memory, and at its very end.
#[test]
fn a_pool_at_either_end_of_memory_works() {
    on_every_tracker(|lab| {
        let bytes = layout::PAGE_TABLE_PAGES * layout::PAGE;
        for place in [0, (16 << 20) - bytes] {
            let ran = lab.attempt(&with_memory(lab, 16 << 20, place), |machine| {
                let map = op::set_entry(page::slot(machine, 0), page::read_only(machine, 0), 8);
                vec![vec![map, op::load(page::address(0), 8)]]
            });
            assert_eq!(ran.run.stopped, None, "pool at {place:#x}");
            assert_eq!(ran.loaded(1), Ok(0), "pool at {place:#x}");
        }
    });
}

#[test]
fn the_least_memory_is_enough() {
    on_every_tracker(|lab| {
        let config = with_memory(lab, layout::MINIMUM_MEMORY, layout::PAGE_TABLES);
        let ran = lab.attempt(&config, |_| vec![vec![op::report(1)]]);
        assert_eq!(ran.run.stopped, None);
    });
}

#[test]
fn what_is_no_payload_is_refused() {
    on_every_tracker(|lab| {
        let mut wrong_version = guest::images::PAYLOAD.to_vec();
        let magic = b"STALEMT1";
        let header = wrong_version
            .windows(8)
            .position(|bytes| bytes == magic)
            .unwrap();
        wrong_version[header + 8] ^= 0x55;
        let host_program = std::fs::read("/proc/self/exe").unwrap();
        for image in [
            &b""[..],
            b"\x7fELF",
            &[0; 4096],
            &wrong_version,
            &host_program,
        ] {
            let found = refused(
                lab,
                MachineConfig {
                    image,
                    ..lab.config()
                },
            );
            assert!(matches!(found, MachineError::Image(_)), "{found}");
        }
    });
}

#[test]
fn a_program_that_does_not_fit_is_refused() {
    on_every_tracker(|lab| {
        let machine = Machine::new(&lab.kvm, &lab.config()).unwrap();
        let program = |length| vec![Op::default(); length];
        let capacity = usize::try_from(program::CAPACITY).unwrap();
        assert!(machine.load_program(0, &program(capacity - 1)).is_ok());
        for refused in [
            machine.load_program(0, &program(capacity)),
            machine.load_program(1, &program(1)),
            machine.load_program(u64::MAX, &program(1)),
        ] {
            assert!(
                matches!(refused, Err(MachineError::Program { .. })),
                "{refused:?}"
            );
        }
    });
}
