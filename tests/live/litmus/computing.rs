//! What each instruction computes.

use guest::abi::litmus::{
    ADD, AND, CALL, CAS, EQUAL, GET, GET_AT, GROW, JUMP, LESS, LITMUS, LOOK_UP, NOT, OR, PART,
    REGISTER, RETURN, SELECT, SET, SET_AT, SET_REGISTER, SUBTRACT, UNLESS, WITH, WORDS, constant,
    instruction,
};
use tests::assembler::{Batch, Code, on, plain};
use tests::lab::{Lab, on_announce};

use super::complete;

/// What these instructions leave in the scenario's first words.
fn words(lab: &Lab, body: &[u64], count: u64) -> Vec<i64> {
    let mut batch = Batch::new(1, &[Code::of_body(body)]);
    batch.tables = vec![0, 1 << 63 | 1, 2];
    let ran = complete(lab, &batch);
    let word = |slot| ran.word(LITMUS + WORDS + 8 * slot).cast_signed();
    (0..count).map(word).collect()
}

#[test]
fn expressions_come_to_what_they_say() {
    let [five, minus, zero] = [5, -3, 0].map(constant);
    let cases: [(&[u64], i64); 35] = [
        (&[constant((1 << 55) - 1)], (1 << 55) - 1),
        (&[constant(-1 << 55)], -1 << 55),
        (&[minus, instruction(PART, 0, 0xff)], 0xfd),
        (&[minus, instruction(PART, 32, 0xffff_ffff)], 0xffff_ffff),
        (&[constant(0xabc), instruction(PART, 4, 0xf)], 0xb),
        (&[constant(0xabc), five, instruction(WITH, 4, 0xf)], 0xa5c),
        (&[zero, minus, instruction(WITH, 62, 3)], 1 << 62),
        (&[zero, plain(NOT)], 1),
        (&[five, plain(NOT)], 0),
        (&[minus, plain(NOT)], 0),
        (&[five, zero, plain(OR)], 1),
        (&[zero, minus, plain(OR)], 1),
        (&[zero, zero, plain(OR)], 0),
        (&[five, minus, plain(AND)], 1),
        (&[five, zero, plain(AND)], 0),
        (&[zero, five, plain(AND)], 0),
        (&[five, five, plain(EQUAL)], 1),
        (&[five, minus, plain(EQUAL)], 0),
        (&[minus, five, plain(LESS)], 1),
        (&[five, minus, plain(LESS)], 0),
        (&[five, five, plain(LESS)], 0),
        (&[five, minus, plain(ADD)], 2),
        (&[five, minus, plain(SUBTRACT)], 8),
        (&[five, five, minus, plain(SELECT)], 5),
        (&[zero, five, minus, plain(SELECT)], -3),
        (&[zero, on(LOOK_UP, 1)], 1),
        (&[constant(1), on(LOOK_UP, 1)], 0),
        (&[constant(63), on(LOOK_UP, 1)], 1),
        (&[constant(65), on(LOOK_UP, 1)], 1),
        (&[five, on(SET_REGISTER, 511), on(REGISTER, 511)], 5),
        (&[on(REGISTER, 510)], 0),
        (&[on(GET, 255)], 0),
        (&[constant(3), instruction(GET_AT, 200, 3)], 0),
        (&[minus, instruction(GET_AT, 200, 3)], 0),
        (&[zero, instruction(GET_AT, 0, 1)], (1 << 55) - 1),
    ];
    on_announce(|lab| {
        let body = (0..).zip(&cases).flat_map(|(slot, (code, _))| {
            let set = [on(SET, slot)];
            [*code, &set].concat()
        });
        let body: Vec<_> = body.collect();
        let expected: Vec<_> = cases.iter().map(|(_, value)| *value).collect();
        assert_eq!(words(lab, &body, cases.len() as u64), expected);
    });
}

#[test]
fn statements_change_what_they_say() {
    let [one, two, seven] = [1, 2, 7].map(constant);
    on_announce(|lab| {
        let body = [
            // Word 0 is 7 in the end, word 1 whether that was done, word 2 whether it was again.
            &[one, on(SET, 0)][..],
            &[one, seven, on(CAS, 0), on(SET, 1)],
            &[one, two, on(CAS, 0), on(SET, 2)],
            // Word 3 is -1.
            &[two, on(SET, 3), constant(-3), on(GROW, 3)],
            // Of words 4 to 6 only the middle one is set.
            &[one, seven, instruction(SET_AT, 4, 3)],
            &[constant(3), seven, instruction(SET_AT, 4, 3)],
            &[constant(-1), seven, instruction(SET_AT, 4, 3)],
            &[one, instruction(GET_AT, 4, 3), on(SET, 8)],
        ];
        let body = body.concat();
        assert_eq!(words(lab, &body, 9), [7, 1, 0, -1, 0, 7, 0, 0, 7]);
    });
}

/// A loop of 10 turns that calls a subroutine which calls another.
#[test]
fn jumps_and_calls_go_where_they_say() {
    on_announce(|lab| {
        let begin = Code::default().here();
        let at = |offset| begin + offset;
        let body = [
            // Until the word is 10.
            on(GET, 0),
            constant(10),
            plain(LESS),
            instruction(UNLESS, 0, at(6)),
            instruction(CALL, 0, at(7)),
            instruction(JUMP, 0, at(0)),
            plain(guest::abi::litmus::END),
            instruction(CALL, 0, at(10)),
            plain(RETURN),
            plain(guest::abi::litmus::END),
            constant(1),
            on(GROW, 0),
            plain(RETURN),
        ];
        assert_eq!(words(lab, &body, 1), [10]);
    });
}
