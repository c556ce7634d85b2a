//! Real page-table entries, accesses through pages, invalidation, DMA.

use guest::abi::layout::{FRAMES, PAGE};
use guest::abi::litmus::{
    CAS_ENTRY, CONTENTS, DMA, ENTRY, FieldMap, GET, GROW, INCREMENT, INVALIDATE, LITMUS, LOAD,
    REGISTER, SET, SET_CONTENTS, SET_ENTRY, SET_REGISTER, SHOOT_DOWN, STORE, STORE_PLAIN, UNLESS,
    WORDS, constant, instruction,
};
use guest::abi::pattern;
use tests::assembler::{Batch, Code, key, keys, on, plain};
use tests::host::say;
use tests::lab::{Lab, Ran, on_announce};

use super::{complete, run_with, zero};

/// Bits of the processor's entry.
const PRESENT: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;

/// Bits of the scenario's: present, writable, then dirty or the number of a frame.
const P: i64 = 1 << 0;
const W: i64 = 1 << 1;
const D: i64 = 1 << 2;

const fn bit(scenario: u64, entry: u64) -> FieldMap {
    FieldMap {
        scenario,
        ones: 1,
        entry,
        is_frame: 0,
    }
}

const PRESENCE: FieldMap = bit(0, 0);
const WRITABLE: FieldMap = bit(1, 1);
const WRITTEN: FieldMap = bit(2, 6);
const FRAME: FieldMap = FieldMap {
    scenario: 2,
    ones: 3,
    entry: 0,
    is_frame: 1,
};

fn paged(runs: u64, fields: &[FieldMap], code: &[Code]) -> Batch {
    let mut batch = Batch::new(runs, code);
    batch.fields = fields.to_vec();
    batch.control.present = USER | ACCESSED;
    batch
}

/// One run of one vCPU with pages whose entries have these fields.
fn once(lab: &Lab, fields: &[FieldMap], body: &[u64]) -> Ran {
    complete(lab, &paged(1, fields, &[Code::of_body(body)]))
}

fn words(ran: &Ran, count: u64) -> Vec<u64> {
    let word = |slot| ran.word(LITMUS + WORDS + 8 * slot);
    (0..count).map(word).collect()
}

/// Gives a page this entry, and drops what was cached of it.
fn enter(page: u64, entry: i64) -> [u64; 3] {
    [constant(entry), on(SET_ENTRY, page), on(INVALIDATE, page)]
}

#[test]
fn accesses_get_through_as_the_entry_allows() {
    on_announce(|lab| {
        let tries = |first| {
            let each = [LOAD, STORE, INCREMENT].into_iter().zip(first..);
            each.flat_map(|(access, slot)| [on(access, 1), on(SET, slot)])
        };
        let mut body = Vec::new();
        for (first, entry) in [(0, 0), (3, P), (6, P | W), (9, W)] {
            body.extend(enter(1, entry));
            body.extend(tries(first));
        }
        let mut batch = paged(1, &[PRESENCE, WRITABLE], &[Code::of_body(&body)]);
        batch.control.first = 77;
        let ran = complete(lab, &batch);
        assert_eq!(words(&ran, 12), [0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0]);
        // Page 1 has no frame with a name, but the second behind those.
        let frame = FRAMES + PAGE * (4 + 1);
        assert_eq!((ran.word(frame), ran.word(frame + 8)), (1, 77));
    });
}

/// Without the invalidation either is right: what a run sees is only told.
#[test]
fn a_page_is_gone_once_it_is_invalidated() {
    on_announce(|lab| {
        let body = [
            &enter(0, P | W)[..],
            &[on(LOAD, 0), on(SET, 0)],
            &[constant(0), on(SET_ENTRY, 0), on(LOAD, 0), on(SET, 1)],
            &[on(INVALIDATE, 0), on(LOAD, 0), on(SET, 2)],
        ];
        let code = Code::of_body(&body.concat()).collect(&[
            on(GET, 0),
            key(0, 1),
            on(GET, 1),
            key(1, 1),
            on(GET, 2),
            key(2, 1),
        ]);
        let ran = complete(lab, &paged(50, &[PRESENCE, WRITABLE], &[code]));
        let keys = keys(&ran.ram);
        let stale = keys.iter().find(|(key, _)| *key == 3);
        let stale = stale.map_or(0, |(_, count)| *count);
        say(&format!("{stale} of 50 loads went by a stale translation"));
        assert!(keys.iter().all(|(key, _)| key & !2 == 1), "{keys:?}");
    });
}

/// Loads before and after another vCPU shot it down, when that one is done.
#[test]
fn a_page_is_gone_on_the_other_vcpu_once_it_is_shot_down() {
    on_announce(|lab| {
        let begin = Code::default().here();
        let reset = [&zero(&[0, 1])[..], &[constant(P), on(SET_ENTRY, 3)]];
        let shoots = [
            constant(0),
            on(SET_ENTRY, 3),
            instruction(SHOOT_DOWN, 3, 0b11),
            constant(1),
            on(SET, 0),
            on(LOAD, 3),
            on(SET_REGISTER, 1),
        ];
        // Loads again and again until it is told, and then once more.
        let loads = [
            on(LOAD, 3),
            on(SET_REGISTER, 0),
            on(GET, 0),
            instruction(UNLESS, 0, begin),
            on(LOAD, 3),
            on(SET, 1),
        ];
        let first = Code::of_body(&shoots)
            .reset(&reset.concat())
            .prime(&[on(INVALIDATE, 3)])
            .collect(&[on(GET, 1), key(0, 1), on(REGISTER, 1), key(1, 1)]);
        let second = Code::of_body(&loads).prime(&[on(INVALIDATE, 3)]);
        let ran = complete(lab, &paged(50, &[PRESENCE, WRITABLE], &[first, second]));
        assert_eq!(keys(&ran.ram), [(0, 50)]);
    });
}

#[test]
fn increments_of_two_vcpus_are_not_lost() {
    on_announce(|lab| {
        let body = [on(INCREMENT, 2), on(GROW, 0)].repeat(10);
        let own_frame = constant(4 + 2);
        let reset = [
            &zero(&[0])[..],
            &[constant(P | W), on(SET_ENTRY, 2)],
            &[own_frame, constant(0), plain(SET_CONTENTS)],
        ];
        let first = Code::of_body(&body).reset(&reset.concat()).collect(&[
            own_frame,
            plain(CONTENTS),
            key(0, 0xff),
            on(GET, 0),
            key(8, 0xff),
        ]);
        let second = Code::of_body(&body).prime(&[on(INVALIDATE, 2)]);
        let ran = complete(lab, &paged(50, &[PRESENCE, WRITABLE], &[first, second]));
        assert_eq!(keys(&ran.ram), [(20 << 8 | 20, 50)]);
    });
}

#[test]
fn an_entry_leads_to_the_frame_that_it_names() {
    on_announce(|lab| {
        let frame = |number: i64| P | W | number << 2;
        let body = [
            &[constant(3), constant(30), plain(SET_CONTENTS)][..],
            &enter(0, frame(3)),
            &[on(INCREMENT, 0), on(SET, 0)],
            &enter(0, frame(1)),
            &[on(INCREMENT, 0), on(SET, 0)],
            &[constant(3), plain(CONTENTS), on(SET, 1)],
            &[constant(1), plain(CONTENTS), on(SET, 2)],
            &[on(ENTRY, 0), on(SET, 3)],
        ];
        let ran = once(lab, &[PRESENCE, WRITABLE, FRAME], &body.concat());
        assert_eq!(words(&ran, 4), [1, 31, 1, frame(1).cast_unsigned()]);
        assert_eq!(ran.word(FRAMES + 3 * PAGE), 31);
    });
}

/// The processor's own page-table entry after this body with page 0.
fn entry_after(lab: &Lab, fields: &[FieldMap], body: &[u64]) -> (u64, Ran) {
    let batch = paged(1, fields, &[Code::of_body(body)]);
    let mut slot = 0;
    let ran = run_with(lab, &batch, |machine| slot = tests::page::slot(machine, 0));
    (ran.word(slot) & !(0xffff << 12), ran)
}

#[test]
fn a_compare_exchange_of_an_entry_leaves_the_hardwares_dirty_bit() {
    on_announce(|lab| {
        let body = [
            &enter(0, P | W)[..],
            &[on(STORE, 0), on(SET, 0), on(ENTRY, 0), on(SET, 1)],
            &[constant(P | W), constant(P), on(CAS_ENTRY, 0), on(SET, 2)],
            &[constant(P | W), constant(0), on(CAS_ENTRY, 0), on(SET, 3)],
        ];
        let (entry, ran) = entry_after(lab, &[PRESENCE, WRITABLE], &body.concat());
        assert_eq!(words(&ran, 4), [1, 3, 1, 0]);
        assert_eq!(entry, PRESENT | USER | ACCESSED | DIRTY);
    });
}

#[test]
fn a_compare_exchange_fails_where_the_dirty_bit_is_the_scenarios() {
    on_announce(|lab| {
        let body = [
            &enter(0, P | W)[..],
            &[on(STORE, 0), on(SET, 0), on(ENTRY, 0), on(SET, 1)],
            &[constant(P | W), constant(P), on(CAS_ENTRY, 0), on(SET, 2)],
            &[
                constant(P | W | D),
                constant(0),
                on(CAS_ENTRY, 0),
                on(SET, 3),
            ],
            &[on(ENTRY, 0), on(SET, 4)],
        ];
        let fields = [PRESENCE, WRITABLE, WRITTEN];
        let (entry, ran) = entry_after(lab, &fields, &body.concat());
        assert_eq!(words(&ran, 5), [1, 7, 0, 1, 0]);
        assert_eq!(entry, 0);
    });
}

#[test]
fn an_entry_that_is_not_present_has_the_scenarios_bits_only() {
    on_announce(|lab| {
        let body = [constant(W | D), instruction(SET_ENTRY, 0, STORE_PLAIN)];
        let (entry, _) = entry_after(lab, &[PRESENCE, WRITABLE, WRITTEN], &body);
        assert_eq!(entry, WRITE | DIRTY);
    });
}

#[test]
fn the_device_gets_through_as_the_entry_allows() {
    on_announce(|lab| {
        let transfer = |page, writes, slot| [instruction(DMA, page, writes), on(SET, slot)];
        let body = [
            &enter(0, P | W)[..],
            &enter(1, P),
            &enter(2, 0),
            &transfer(0, 0, 0),
            &transfer(0, 1, 1),
            &transfer(1, 0, 2),
            &transfer(1, 1, 3),
            &transfer(2, 0, 4),
            &transfer(2, 1, 5),
        ];
        let mut batch = paged(1, &[PRESENCE, WRITABLE], &[Code::of_body(&body.concat())]);
        batch.control.present |= DIRTY;
        batch.control.first = 9;
        let ran = complete(lab, &batch);
        assert_eq!(words(&ran, 6), [1, 1, 1, 0, 0, 0]);
        assert_eq!(ran.word(FRAMES + PAGE * 4 + 16), pattern::word(9, 0));
        assert_eq!((ran.run.dma.reads, ran.run.dma.writes), (2, 1));
    });
}
