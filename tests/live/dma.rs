//! The DMA engine: all channels, both streams, both directions, across pages, faults and retries.

use guest::abi::dma::{self, CHANNELS, Descriptor, MAX_LENGTH, MAX_RETRIES};
use guest::abi::layout::PAGE;
use guest::abi::op::Op;
use guest::abi::pattern;
use notifier::addr::{Access, Iova};
use notifier::oracle::Judgement;
use tests::lab::{Ran, on_every_tracker};
use tests::{op, page, transfer};
use vmm::devices::dma::DmaCounts;
use vmm::machine::Machine;

const SEED: u64 = 0x5345_4544;
/// Words in a page.
const WORDS: u64 = PAGE / 8;

/// Maps the first `count` pages for loads and stores.
fn map(machine: &Machine, count: u64) -> Vec<Op> {
    let entry = |number| {
        let slot = page::slot(machine, number);
        op::set_entry(slot, page::read_write(machine, number), 8)
    };
    (0..count).map(entry).collect()
}

/// How a descriptor ended.
fn verify_ended(found: &Descriptor, wanted: Descriptor, ended: Descriptor) {
    let expected = Descriptor {
        command: wanted.command,
        stream: wanted.stream,
        iova: wanted.iova,
        length: wanted.length,
        seed: wanted.seed,
        retries: wanted.retries,
        ..ended
    };
    assert_eq!(*found, expected);
}

/// A transfer of everything.
fn done(bytes: u64, checksum: u64) -> Descriptor {
    Descriptor {
        status: dma::STATUS_DONE,
        transferred: bytes,
        checksum,
        ..Descriptor::default()
    }
}

/// A transfer given up after this many faults.
fn faulted(fault: u64, iova: u64, faults: u64) -> Descriptor {
    Descriptor {
        status: dma::STATUS_FAULTED,
        fault,
        fault_iova: iova,
        faults,
        ..Descriptor::default()
    }
}

#[test]
fn every_channel_carries_its_own_descriptor_out() {
    on_every_tracker(|lab| {
        let wanted = |channel| transfer::write(page::address(channel), PAGE, SEED + channel);
        let ran = lab.run(|machine| {
            let mut ops = map(machine, CHANNELS);
            for channel in 0..CHANNELS {
                ops.extend(transfer::start(channel, channel, wanted(channel)));
            }
            for channel in 0..CHANNELS {
                ops.push(transfer::finish(channel));
            }
            for channel in 0..CHANNELS {
                ops.push(op::check(page::address(channel), PAGE, SEED + channel));
                ops.push(op::load(dma::register(channel, dma::ID), 4));
            }
            ops
        });
        let results = &ran.run.results[0];
        let seen = results[results.len() - 17..].chunks_exact(2);
        for (channel, words) in (0..).zip(seen) {
            let word = |index: usize| words[index].value;
            assert_eq!(
                (word(0), word(1)),
                (0, dma::ID_VALUE.into()),
                "channel {channel}"
            );
            verify_ended(&ran.descriptor(channel), wanted(channel), done(PAGE, 0));
        }
        assert_eq!(ran.run.dma.writes, CHANNELS);
    });
}

/// Starts in the middle of a page and ends in the middle of another; the frames are out of order.
#[test]
fn a_transfer_across_pages_follows_each_page_to_its_own_frame() {
    on_every_tracker(|lab| {
        let (start, length) = (page::address(0) + PAGE - 16, PAGE + 32);
        let write = transfer::write(start, length, SEED);
        let reads = [
            transfer::read(start, length),
            transfer::shadowed(transfer::read(start, length)),
        ];
        let ran = lab.run(|machine| {
            let entry = |number, frame| {
                op::set_entry(
                    page::slot(machine, number),
                    page::read_write(machine, frame),
                    8,
                )
            };
            let mut ops = vec![entry(0, 2), entry(1, 0), entry(2, 1)];
            ops.extend(transfer::whole(0, write));
            ops.extend(transfer::whole(1, reads[0]));
            ops.extend(transfer::whole(2, reads[1]));
            ops.push(op::check(start, length, SEED));
            ops
        });
        let sum = pattern::checksum(SEED, length / 8);
        verify_ended(&ran.descriptor(0), write, done(length, 0));
        verify_ended(&ran.descriptor(1), reads[0], done(length, sum));
        verify_ended(&ran.descriptor(2), reads[1], done(length, sum));
        let first = [
            page::frame(2) + PAGE - 16,
            page::frame(0),
            page::frame(1) + 8,
        ];
        let words = first.map(|address| ran.word(address));
        assert_eq!(
            words,
            [0, 2, 2 + WORDS + 1].map(|index| pattern::word(SEED, index))
        );
        assert_eq!((ran.run.dma.reads, ran.run.dma.writes), (6, 3));
    });
}

#[test]
fn what_the_guest_writes_is_what_the_device_reads() {
    on_every_tracker(|lab| {
        let ran = lab.run(|machine| {
            let mut ops = map(machine, 1);
            ops.push(op::fill(page::address(0), PAGE, SEED));
            ops.extend(transfer::whole(0, transfer::read(page::address(0), PAGE)));
            ops.push(op::store(page::address(0) + 8, 0, 8));
            ops.extend(transfer::whole(1, transfer::read(page::address(0), PAGE)));
            ops
        });
        let sums = [0, 1].map(|number| ran.descriptor(number).checksum);
        let sum = pattern::checksum(SEED, WORDS);
        assert_eq!(sums[0], sum);
        assert_ne!(sums[1], sum, "another word, another sum");
    });
}

#[test]
fn the_largest_transfer_is_a_mebibyte() {
    on_every_tracker(|lab| {
        // All pages of it are the window's 64 pages and then nothing.
        let wanted = transfer::read(page::address(0), MAX_LENGTH);
        let ran = lab.run(|machine| {
            let mut ops = map(machine, 64);
            ops.extend(transfer::whole(0, wanted));
            ops
        });
        let pages = 64 * PAGE;
        let ended = Descriptor {
            transferred: pages,
            checksum: ran.descriptor(0).checksum,
            ..faulted(dma::FAULT_TRANSLATION, page::address(64), 1)
        };
        verify_ended(&ran.descriptor(0), wanted, ended);
    });
}

/// Runs one write to page 0, which is read-only, with this retry budget.
fn refused(ran: &Ran, stream: u64, retries: u64) {
    let wanted = Descriptor {
        stream,
        retries,
        ..transfer::write(page::address(0), PAGE, SEED)
    };
    let ended = faulted(dma::FAULT_PERMISSION, page::address(0), retries + 1);
    verify_ended(&ran.descriptor(0), wanted, ended);
    let counted = DmaCounts {
        faults: retries + 1,
        retries,
        ..DmaCounts::default()
    };
    assert_eq!(ran.run.dma, counted);
    let judged = ran.run.findings.faults.iter().all(|fault| {
        (fault.iova, fault.access) == (Iova::new(page::address(0)), Access::Write)
            && fault.judgement == Judgement::Genuine
    });
    assert!(judged, "{:?}", ran.run.findings.faults);
    assert_eq!(ran.run.findings.violations, []);
    assert_eq!(ran.word(page::frame(0)), 0);
}

#[test]
fn a_device_tries_again_as_often_as_its_budget_says() {
    on_every_tracker(|lab| {
        for stream in [dma::STREAM_SMMU, dma::STREAM_SHADOW] {
            for retries in [0, 1, MAX_RETRIES] {
                let ran = lab.run(|machine| {
                    let wanted = Descriptor {
                        stream,
                        retries,
                        ..transfer::write(page::address(0), PAGE, SEED)
                    };
                    let entry = page::read_only(machine, 0);
                    let mut ops = vec![op::set_entry(page::slot(machine, 0), entry, 8)];
                    ops.extend(transfer::whole(0, wanted));
                    ops
                });
                refused(&ran, stream, retries);
            }
        }
    });
}

#[test]
fn a_page_whose_accessed_bit_is_clear_is_an_access_fault() {
    on_every_tracker(|lab| {
        let ran = lab.run(|machine| {
            let untouched = page::read_only(machine, 0) & !(1 << 5);
            let mut ops = vec![op::set_entry(page::slot(machine, 0), untouched, 8)];
            ops.extend(transfer::whole(0, transfer::read(page::address(0), 8)));
            ops
        });
        let wanted = transfer::read(page::address(0), 8);
        verify_ended(
            &ran.descriptor(0),
            wanted,
            faulted(dma::FAULT_ACCESS, page::address(0), 1),
        );
    });
}

#[test]
fn a_malformed_entry_is_an_address_fault() {
    on_every_tracker(|lab| {
        let ran = lab.run(|machine| {
            let (slot, malformed) = page::malformed(machine);
            let mut ops = vec![op::set_entry(slot, malformed, 8)];
            ops.extend(transfer::whole(0, transfer::read(page::address(0), 8)));
            ops
        });
        let wanted = transfer::read(page::address(0), 8);
        verify_ended(
            &ran.descriptor(0),
            wanted,
            faulted(dma::FAULT_ADDRESS, page::address(0), 1),
        );
    });
}

/// What is kept, is kept with its permissions: no walk after the first.
#[test]
fn a_second_read_of_a_page_hits_the_tlb() {
    on_every_tracker(|lab| {
        let ran = lab.run(|machine| {
            let mut ops = map(machine, 1);
            for number in 0..4 {
                ops.extend(transfer::whole(number, transfer::read(page::address(0), 8)));
            }
            ops
        });
        assert_eq!((ran.run.smmu.tlb_misses, ran.run.smmu.tlb_hits), (1, 3));
    });
}

/// A driver that writes the descriptor's address in halves, and rings by any width.
#[test]
fn registers_take_the_widths_that_they_say() {
    on_every_tracker(|lab| {
        let wanted = transfer::write(page::address(0), 8, SEED);
        let register = dma::register(3, dma::DESCRIPTOR);
        let ran = lab.run(|machine| {
            let mut ops = map(machine, 1);
            let start = transfer::start(3, 0, wanted);
            ops.extend(&start[..start.len() - 2]);
            ops.extend([
                op::store(register, u64::MAX, 8),
                op::store(register, transfer::descriptor(0), 4),
                op::store(register + 4, 0, 4),
                // None of these is a width that the register has.
                op::store(register, 0xff, 1),
                op::store(register + 2, 0xffff, 2),
                op::load(register, 8),
                op::store(dma::register(3, dma::DOORBELL), 1, 1),
                transfer::finish(0),
                op::load(dma::register(3, dma::STATUS), 4),
            ]);
            ops
        });
        let results = &ran.run.results[0];
        let at = |from_end: usize| results[results.len() - 1 - from_end].value;
        assert_eq!(at(4), transfer::descriptor(0));
        verify_ended(&ran.descriptor(0), wanted, done(8, 0));
    });
}
