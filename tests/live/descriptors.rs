//! Descriptors that make no sense, and those that point where a device must not go. Each is refused,
//! nothing else is harmed, and the engine goes on.

use guest::abi::dma::{self, Descriptor, MAX_LENGTH, MAX_RETRIES};
use guest::abi::layout::{MMIO, PAGE, PAGE_TABLE_PAGES, PAGE_TABLES};
use guest::abi::op::Op;
use notifier::addr::{PageSize, Permissions};
use tests::lab::{Lab, Ran, on_every_tracker};
use tests::{op, page, transfer};
use vmm::devices::dma::DmaCounts;
use vmm::machine::Machine;

const SEED: u64 = 0x4241_4421;

/// Page 0 mapped for everything.
fn map(machine: &Machine) -> Op {
    op::set_entry(page::slot(machine, 0), page::read_write(machine, 0), 8)
}

/// The page-table pool as the guest left it, the window's own entries aside.
fn tables(ran: &Ran) -> Vec<u64> {
    let pool = PAGE_TABLES..PAGE_TABLES + PAGE_TABLE_PAGES * PAGE;
    pool.step_by(8).map(|at| ran.word(at)).collect()
}

/// Carries `wanted` out on a machine with page 0 mapped, then a descriptor that is good.
fn try_out(lab: &Lab, wanted: Descriptor) -> Ran {
    lab.run(|machine| {
        let mut ops = vec![map(machine)];
        ops.extend(transfer::whole(0, wanted));
        ops.extend(transfer::whole(
            1,
            transfer::write(page::address(0), 8, SEED),
        ));
        ops.push(op::load(dma::register(0, dma::STATUS), 4));
        ops
    })
}

/// It was refused before any byte moved, and the good one after it was not.
fn verify_refused(ran: &Ran, wanted: Descriptor) {
    let found = ran.descriptor(0);
    let expected = Descriptor {
        status: dma::STATUS_REFUSED,
        ..wanted
    };
    assert_eq!(found, expected);
    assert_eq!(ran.descriptor(1).status, dma::STATUS_DONE);
    let counted = DmaCounts {
        writes: 1,
        refused: 1,
        ..DmaCounts::default()
    };
    assert_eq!(ran.run.dma, counted);
    assert_eq!(ran.run.findings.violations, []);
}

#[test]
fn a_descriptor_that_makes_no_sense_is_refused() {
    on_every_tracker(|lab| {
        let good = transfer::write(page::address(0), 8, SEED);
        for wanted in [
            Descriptor { length: 0, ..good },
            Descriptor {
                length: MAX_LENGTH + 8,
                ..good
            },
            Descriptor {
                length: u64::MAX - 7,
                ..good
            },
            Descriptor {
                iova: u64::MAX - 7,
                length: 16,
                ..good
            },
            Descriptor {
                iova: page::address(0) + 4,
                ..good
            },
            Descriptor { length: 12, ..good },
            Descriptor { command: 0, ..good },
            Descriptor { command: 3, ..good },
            Descriptor {
                command: u64::MAX,
                ..good
            },
            Descriptor { stream: 3, ..good },
            Descriptor {
                stream: dma::STREAM_SHADOW,
                hold: 1,
                ..good
            },
            Descriptor {
                stream: u64::MAX,
                ..good
            },
            Descriptor {
                retries: MAX_RETRIES + 1,
                ..good
            },
            Descriptor {
                retries: u64::MAX,
                ..good
            },
        ] {
            verify_refused(&try_out(lab, wanted), wanted);
        }
    });
}

/// The last word of the address space is no place of its own: it is just not mapped.
#[test]
fn the_last_word_of_the_address_space_is_a_plain_fault() {
    on_every_tracker(|lab| {
        let ran = try_out(lab, transfer::read(u64::MAX - 7, 8));
        let found = ran.descriptor(0);
        assert_eq!(
            (found.status, found.fault),
            (dma::STATUS_FAULTED, dma::FAULT_TRANSLATION)
        );
        assert_eq!(found.fault_iova, u64::MAX - 7);
    });
}

/// Nothing of memory changes but the status register of the channel.
#[test]
fn a_descriptor_that_is_not_in_memory_is_refused() {
    on_every_tracker(|lab| {
        let end = lab.config().memory.size;
        let places = [end, end - 8, MMIO, MMIO - 8, u64::MAX, u64::MAX - 95];
        for place in places {
            let ran = lab.run(|machine| {
                let mut ops = vec![map(machine)];
                ops.extend(transfer::ring(1, place));
                // The engine takes doorbells in the order in which they ring.
                ops.extend(transfer::whole(
                    0,
                    transfer::write(page::address(0), 8, SEED),
                ));
                ops.push(op::load(dma::register(1, dma::STATUS), 4));
                ops
            });
            let results = &ran.run.results[0];
            let status = results[results.len() - 2].value;
            assert_eq!(status, dma::STATUS_REFUSED, "descriptor at {place:#x}");
            assert_eq!((ran.run.dma.refused, ran.run.dma.writes), (1, 1));
        }
    });
}

/// The device would write its status into page tables behind the tracker's back.
#[test]
fn a_descriptor_in_the_page_table_pool_is_refused_and_the_tables_unharmed() {
    on_every_tracker(|lab| {
        let untouched = lab.run(|machine| vec![map(machine)]);
        let end = PAGE_TABLES + PAGE_TABLE_PAGES * PAGE;
        for place in [PAGE_TABLES, PAGE_TABLES - 88, end - 8, end - 96] {
            let ran = lab.run(|machine| {
                let mut ops = vec![map(machine)];
                ops.extend(transfer::ring(1, place));
                ops.extend(transfer::whole(0, transfer::read(page::address(0), 8)));
                ops
            });
            assert_eq!(ran.run.dma.refused, 1, "descriptor at {place:#x}");
            assert_eq!(tables(&ran), tables(&untouched), "descriptor at {place:#x}");
        }
    });
}

/// Page 1 maps the window's own table.
#[test]
fn a_write_into_the_page_table_pool_is_refused_and_the_tables_unharmed() {
    on_every_tracker(|lab| {
        for wanted in [
            transfer::write(page::address(1), PAGE, SEED),
            transfer::shadowed(transfer::write(page::address(1), PAGE, SEED)),
        ] {
            let program = |wanted: Option<Descriptor>| {
                lab.run(|machine| {
                    let slot = page::slot(machine, 0);
                    let pool = page::leaf(slot, PageSize::K4, Permissions::READ_WRITE);
                    let pool = page::encode(machine, &pool);
                    let mut ops = vec![map(machine), op::set_entry(slot + 8, pool, 8)];
                    let transfer = wanted.map(|wanted| transfer::whole(0, wanted));
                    ops.extend(transfer.into_iter().flatten());
                    ops
                })
            };
            let (untouched, ran) = (program(None), program(Some(wanted)));
            assert_eq!(ran.descriptor(0).status, dma::STATUS_REFUSED);
            assert_eq!(ran.run.dma.refused, 1);
            assert_eq!(tables(&ran), tables(&untouched));
        }
    });
}

/// A page that the table maps, of memory that the machine does not have.
#[test]
fn a_translation_that_leads_outside_memory_is_refused() {
    on_every_tracker(|lab| {
        let wanted = [
            transfer::read(page::address(1), 8),
            transfer::write(page::address(1), 8, SEED),
            transfer::shadowed(transfer::write(page::address(1), 8, SEED)),
        ];
        for wanted in wanted {
            let ran = lab.run(|machine| {
                let end = machine.ram().layout().memory().last().raw() + 1;
                let outside = page::leaf(end, PageSize::K4, Permissions::READ_WRITE);
                let outside = page::encode(machine, &outside);
                let mut ops = vec![op::set_entry(page::slot(machine, 1), outside, 8)];
                ops.extend(transfer::whole(0, wanted));
                ops
            });
            let expected = Descriptor {
                status: dma::STATUS_REFUSED,
                ..wanted
            };
            assert_eq!(ran.descriptor(0), expected);
            assert_eq!((ran.run.dma.refused, ran.run.dma.faults), (1, 0));
        }
    });
}

/// A channel that does not exist is no place at all; a register that does not is one that ignores.
#[test]
fn registers_that_do_not_exist_read_as_zero_and_ignore_writes() {
    on_every_tracker(|lab| {
        let ran = lab.run(|_| {
            vec![
                op::store(dma::register(0, 0x40), u64::MAX, 8),
                op::load(dma::register(0, 0x40), 8),
                op::store(dma::register(0, dma::ID), 0, 4),
                op::load(dma::register(0, dma::ID), 4),
                op::load(dma::register(7, 0xf8), 8),
            ]
        });
        let read = [1, 3, 4].map(|index| ran.loaded(index));
        assert_eq!(read, [Ok(0), Ok(dma::ID_VALUE.into()), Ok(0)]);
    });
}
