//! What the payload's other operations do: loads, stores, faults, upgrades, waiting, patterns.

use guest::abi::layout::{FLAGS, PAGE};
use guest::abi::op::{Op, OpResult, STATUS_BAD, STATUS_DONE, STATUS_FAULT, STATUS_NOT_RUN};
use guest::abi::pattern;
use notifier::addr::Permissions;
use notifier::paging::ChangeKind;
use tests::lab::{Lab, Ran, on_each_write, on_every_tracker};
use tests::{op, page};

/// #PF.
const PAGE_FAULT: u64 = 14;
/// Its error code: the page was present.
const PRESENT: u64 = 1;
/// ...the access was a store.
const WRITE: u64 = 2;
/// ...it came from ring 3.
const USER: u64 = 4;

const WORD: u64 = 0x8877_6655_4433_2211;

/// Runs a program with page 0 mapped like this first; its own first operation is number 1.
fn on_page(lab: &Lab, permissions: Permissions, ops: &[Op]) -> Ran {
    lab.run(|machine| {
        let entry = page::entry(machine, 0, permissions);
        let map = op::set_entry(page::slot(machine, 0), entry, 8);
        [&[map], ops].concat()
    })
}

fn statuses(ran: &Ran) -> Vec<u64> {
    ran.run.results[0]
        .iter()
        .map(|result| result.status)
        .collect()
}

#[test]
fn loads_and_stores_move_as_many_bytes_as_they_say() {
    on_every_tracker(|lab| {
        for (width, stored) in [
            (1, 0xffff_ffff_ffff_ff11),
            (2, 0xffff_ffff_ffff_2211),
            (4, 0xffff_ffff_4433_2211),
            (8, WORD),
        ] {
            let ops = [
                op::store(page::address(0), u64::MAX, 8),
                op::store(page::address(0), WORD, width),
                op::load(page::address(0), 8),
                op::store(page::address(0), WORD, 8),
                op::load(page::address(0), width),
            ];
            let ran = on_page(lab, Permissions::READ_WRITE, &ops);
            assert_eq!(ran.loaded(3), Ok(stored), "{width} bytes stored");
            let mask = u64::MAX >> (64 - 8 * width);
            assert_eq!(ran.loaded(5), Ok(WORD & mask), "{width} bytes loaded");
            assert_eq!(ran.word(page::frame(0)), WORD);
        }
    });
}

#[test]
fn a_fault_is_recorded_with_vector_error_code_and_address() {
    on_every_tracker(|lab| {
        let (here, nowhere) = (page::address(0) + 0x123, page::address(1) + 0x456);
        let ops = [
            op::store(here, 1, 1),
            op::load(nowhere, 1),
            op::store(nowhere, 1, 1),
            op::load(here, 1),
        ];
        let ran = on_page(lab, Permissions::READ_ONLY, &ops);
        assert_eq!(
            ran.loaded(1),
            Err((PAGE_FAULT, PRESENT | WRITE | USER, here))
        );
        assert_eq!(ran.loaded(2), Err((PAGE_FAULT, USER, nowhere)));
        assert_eq!(ran.loaded(3), Err((PAGE_FAULT, WRITE | USER, nowhere)));
        assert_eq!(ran.loaded(4), Ok(0), "and the program goes on");
    });
}

#[test]
fn a_page_of_ring_0_is_none_for_the_payload() {
    on_every_tracker(|lab| {
        let ops = [op::load(page::address(0), 8)];
        let ran = on_page(lab, Permissions::READ | Permissions::WRITE, &ops);
        assert_eq!(
            ran.loaded(1),
            Err((PAGE_FAULT, PRESENT | USER, page::address(0)))
        );
    });
}

/// #GP, which has no address.
#[test]
fn an_address_that_is_not_canonical_is_a_fault_of_its_own() {
    on_every_tracker(|lab| {
        let ran = lab.run(|_| vec![op::load(1 << 62, 8)]);
        let OpResult { status, vector, .. } = ran.result(0);
        assert_eq!((status, vector), (STATUS_FAULT, 13));
    });
}

#[test]
fn an_armed_page_is_upgraded_by_the_first_store_and_not_by_a_load() {
    on_each_write(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let lower = page::read_only(machine, 0);
            let bits = page::read_write(machine, 0) & !lower;
            vec![
                op::set_entry(slot, lower, 8),
                op::on_write_fault(page::address(0), slot, bits),
                op::load(page::address(0), 8),
                op::store(page::address(0), WORD, 8),
                op::load(page::address(0), 8),
                op::store(page::address(0) + 8, WORD, 8),
            ]
        });
        let took = |index| {
            let result = ran.result(index);
            (result.status, result.faults, result.upgrades)
        };
        assert_eq!(took(2), (STATUS_DONE, 0, 0));
        assert_eq!(took(3), (STATUS_DONE, 1, 1));
        assert_eq!(ran.loaded(4), Ok(WORD));
        assert_eq!(took(5), (STATUS_DONE, 0, 0));
        assert_eq!(
            ran.changes(),
            [(ChangeKind::Map, 1), (ChangeKind::Upgrade, 1)]
        );
    });
}

#[test]
fn an_upgrade_is_made_once_for_each_time_it_was_armed() {
    on_every_tracker(|lab| {
        let ran = lab.run(|machine| {
            let (slot, lower) = (page::slot(machine, 0), page::read_only(machine, 0));
            let bits = page::read_write(machine, 0) & !lower;
            vec![
                op::set_entry(slot, lower, 8),
                op::on_write_fault(page::address(0), slot, bits),
                op::store(page::address(0), WORD, 8),
                op::set_entry(slot, lower, 8),
                op::invalidate(page::address(0)),
                op::store(page::address(0), 1, 8),
            ]
        });
        assert_eq!(ran.result(5).status, STATUS_FAULT);
        assert_eq!(ran.word(page::frame(0)), WORD);
    });
}

#[test]
fn patterns_are_written_and_compared_word_by_word() {
    on_every_tracker(|lab| {
        let ops = [
            op::fill(page::address(0), PAGE, 7),
            op::check(page::address(0), PAGE, 7),
            op::store(page::address(0) + 16, 0, 8),
            op::check(page::address(0), PAGE, 7),
            op::check(page::address(0), PAGE, 8),
        ];
        let ran = on_page(lab, Permissions::READ_WRITE, &ops);
        let differing = [2, 4, 5].map(|index| ran.loaded(index).unwrap());
        assert_eq!(differing, [0, 1, PAGE / 8]);
        let words = [0, 1, 3].map(|index| ran.word(page::frame(0) + 8 * index));
        assert_eq!(words, [0, 1, 3].map(|index| pattern::word(7, index)));
    });
}

#[test]
fn vcpus_wait_for_each_other() {
    on_every_tracker(|lab| {
        let pass = |vcpu: u64| {
            let (own, next) = (FLAGS + 8 * vcpu, FLAGS + 8 * (vcpu + 1));
            vec![op::wait_until(own, vcpu + 1), op::store(next, vcpu + 2, 8)]
        };
        let ran = lab.run_all(8, |_| {
            let mut programs: Vec<_> = (0..8).map(pass).collect();
            // The first one sets off the round and waits for its end.
            programs[0] = vec![op::store(FLAGS + 8, 2, 8), op::wait_while(FLAGS + 64, 0)];
            programs
        });
        assert_eq!(ran.loaded(1), Ok(9));
        let values = ran
            .run
            .results
            .iter()
            .skip(1)
            .map(|results| results[0].value);
        assert_eq!(values.collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8]);
    });
}

/// The first vCPU has nothing to do; the second has a while, and none of it is lost.
#[test]
fn a_run_ends_when_its_last_vcpu_has_ended() {
    on_every_tracker(|lab| {
        let work: Vec<_> = (0..100)
            .map(|seed| op::fill(page::frame(0), PAGE, seed))
            .collect();
        let ran = lab.run_all(2, |_| vec![Vec::new(), work]);
        let done = ran.run.results[1].iter().map(|result| result.status);
        assert_eq!(done.collect::<Vec<_>>(), [STATUS_DONE; 101]);
        assert_eq!(ran.word(page::frame(0)), pattern::word(99, 0));
    });
}

#[test]
fn operations_that_make_no_sense_say_so_and_do_nothing() {
    on_every_tracker(|lab| {
        let at = page::address(0);
        let bad = [
            op::load(at, 3),
            op::store(at, 1, 0),
            op::set_entry(at, 1, 0),
            op::set_entry(at, 1, 9),
            op::fill(at, 7, 0),
            op::check(at, 9, 0),
            op::on_write_fault(at + 8, at, 2),
            op::report(1 << 32),
            Op {
                code: 999,
                a: at,
                b: 1,
                c: 8,
            },
        ];
        let ran = on_page(lab, Permissions::READ_WRITE, &bad);
        let mut expected = vec![STATUS_DONE; 1];
        expected.extend([STATUS_BAD; 9]);
        expected.push(STATUS_DONE);
        assert_eq!(statuses(&ran), expected);
        assert_eq!(ran.word(page::frame(0)), 0);
    });
}

#[test]
fn a_program_ends_where_it_says() {
    on_every_tracker(|lab| {
        let ran = lab.run(|_| vec![op::report(1), Op::default(), op::report(2)]);
        let expected = [STATUS_DONE, STATUS_DONE, STATUS_NOT_RUN, STATUS_NOT_RUN];
        assert_eq!(statuses(&ran), expected);
    });
}
