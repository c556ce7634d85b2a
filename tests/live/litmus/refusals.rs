//! Bytecode and control words that make no sense.

use guest::abi::layout::{FRAMES, FRAMES_END, IDENTITY_END, PAGE};
use guest::abi::litmus::{
    self, ADD, CALL, CAS, CHOOSE, CODE_STRIDE, CONTENTS, Control, DMA, ENTRY, FieldMap, GET,
    GET_AT, INITIAL_VALUE, INVALIDATE, JUMP, KEY, LOAD, LOCK, LOG, LOOK_UP, NOTIFY, PART, REGISTER,
    RETRY, RETURN, SELECT, SET, SET_AT, SET_CONTENTS, SET_ENTRY, SET_REGISTER, SHOOT_DOWN, STEP,
    STEP_END, Sections, UNLOCK, WITH, constant, instruction,
};
use guest::abi::op::{STATUS_BAD, STATUS_DONE};
use tests::assembler::{Batch, Code, control, event_of, on, plain, step, step_of};
use tests::lab::{Lab, on_announce};

use super::{ends, run};

/// The batch ends as bad on its one vCPU, at this instruction behind the beginning of the code.
fn verify_bad(lab: &Lab, batch: &Batch, what: &str, at: Option<u64>) {
    let ran = run(lab, batch);
    assert_eq!(ends(&ran)[0], (STATUS_BAD, 0), "{what}");
    if let Some(at) = at {
        let found = ran.run.results[0][0].instruction;
        assert_eq!(found, Code::default().here() + at, "{what}");
    }
    assert_eq!(control(&ran.ram).done, 0, "{what}");
}

/// Bodies of which the last instruction is the bad one.
fn bad_bodies() -> Vec<(&'static str, Vec<u64>)> {
    let one = constant(1);
    let far = CODE_STRIDE / 8;
    let mut bodies = vec![
        ("an empty stack", vec![plain(ADD)]),
        ("half of what it takes", vec![one, plain(ADD)]),
        ("two of three", vec![one, one, plain(SELECT)]),
        ("a full stack", vec![one; 65]),
        ("a register", vec![on(REGISTER, 512)]),
        ("a register to set", vec![one, on(SET_REGISTER, 512)]),
        ("a word", vec![on(GET, 256)]),
        ("a word to set", vec![one, on(SET, 256)]),
        ("a word to exchange", vec![one, one, on(CAS, 256)]),
        ("a word of many", vec![one, instruction(GET_AT, 255, 2)]),
        (
            "a word of many to set",
            vec![one, one, instruction(SET_AT, 255, 2)],
        ),
        ("a kind of store", vec![one, instruction(SET, 0, 2)]),
        (
            "a kind of store to an entry",
            vec![one, instruction(SET_ENTRY, 0, 2)],
        ),
        ("a shift", vec![one, instruction(PART, 64, 1)]),
        ("a shift in", vec![one, one, instruction(WITH, 64, 1)]),
        ("a table", vec![one, on(LOOK_UP, 0xc000)]),
        ("a bit of a table", vec![constant(-1), on(LOOK_UP, 0)]),
        ("an initial value", vec![on(INITIAL_VALUE, 2)]),
        ("a page", vec![on(ENTRY, 8)]),
        ("a page to load from", vec![on(LOAD, 8)]),
        ("a page to invalidate", vec![on(INVALIDATE, 8)]),
        ("a page to shoot down", vec![instruction(SHOOT_DOWN, 8, 1)]),
        ("a page to tell of", vec![on(NOTIFY, 8)]),
        ("a way to tell", vec![instruction(NOTIFY, 0, 0x1_0000)]),
        ("a kind of transfer", vec![instruction(DMA, 0, 2)]),
        (
            "a frame in an entry",
            vec![constant(7 << 1), on(SET_ENTRY, 0)],
        ),
        ("a frame", vec![constant(12), plain(CONTENTS)]),
        (
            "a frame below all",
            vec![constant(-1), one, plain(SET_CONTENTS)],
        ),
        ("no way to go", vec![on(CHOOSE, 0)]),
        ("too many ways", vec![on(CHOOSE, 17)]),
        ("a return", vec![plain(RETURN)]),
        ("the lock twice", vec![plain(LOCK), plain(LOCK)]),
        ("the lock of nobody", vec![plain(UNLOCK)]),
        ("a step in the lock", vec![plain(LOCK), step(1)]),
        ("a retry in the lock", vec![plain(LOCK), plain(RETRY)]),
        ("the end in the lock", vec![plain(LOCK)]),
        ("a key in a body", vec![one, plain(KEY)]),
        ("a log in a body", vec![one, plain(LOG)]),
    ];
    // The first and the last of each gap between operations that there are.
    let unknown = [17, 19, 25, 27, 38, 39, 46, 49, 57, 59, 62, 255];
    bodies.extend(unknown.map(|code| ("an operation", vec![plain(code)])));
    bodies.push(("a jump", vec![instruction(JUMP, 0, far)]));
    bodies.push(("a jump far away", vec![instruction(JUMP, 0, 0xffff_ffff)]));
    bodies
}

fn batch_of(code: Code) -> Batch {
    let mut batch = Batch::new(3, &[code]);
    batch.control.initial_width = 2;
    batch.fields = vec![FieldMap {
        scenario: 1,
        ones: 7,
        entry: 0,
        is_frame: 1,
    }];
    batch
}

#[test]
fn bytecode_that_makes_no_sense_ends_the_batch_where_it_is() {
    on_announce(|lab| {
        for (what, body) in bad_bodies() {
            let is_jump = body.last().is_some_and(|last| last & 0xff == JUMP);
            let at_end = what == "the end in the lock";
            let last = body.len() as u64 - u64::from(!at_end);
            let at = (!is_jump).then_some(last);
            verify_bad(lab, &batch_of(Code::of_body(&body)), what, at);
        }
    });
}

#[test]
fn subroutines_within_each_other_have_an_end() {
    on_announce(|lab| {
        let begin = Code::default().here();
        let code = Code::of_body(&[instruction(CALL, 0, begin)]);
        verify_bad(lab, &batch_of(code), "calls for ever", Some(0));
    });
}

#[test]
fn instructions_have_their_sections() {
    on_announce(|lab| {
        let one = constant(1);
        let none = Code::default;
        let cases = [
            ("a step in the reset", none().reset(&[step(1)])),
            ("a step before the body", none().prime(&[step(1)])),
            ("a step in the outcome", none().collect(&[plain(STEP)])),
            ("a log in the outcome", none().collect(&[one, plain(LOG)])),
            ("a key's word", none().collect(&[one, on(KEY, 4 << 8)])),
            ("a key's bit", none().collect(&[one, on(KEY, 64)])),
            (
                "the stack of nobody",
                none().reset(&[one]).body(&[on(SET, 0)]),
            ),
        ];
        for (what, code) in cases {
            verify_bad(lab, &batch_of(code), what, None);
        }
        let outside = Sections {
            body: CODE_STRIDE / 8,
            ..Sections::default()
        };
        let outside = none().with_sections(outside);
        verify_bad(lab, &batch_of(outside), "a section outside", None);
    });
}

#[test]
fn turns_that_make_no_sense_end_the_replay() {
    on_announce(|lab| {
        let one_step = || Code::of_body(&[step(1), plain(STEP_END)]);
        let turn = step_of(0, 1);
        let cases = [
            ("a vCPU", step_of(1, 1), one_step()),
            ("a kind", litmus::Turn { kind: 3, ..turn }, one_step()),
            ("an event", event_of(0, 1), one_step().event(&[])),
            (
                "a step in an event",
                event_of(0, 0),
                one_step().event(&[step(1)]),
            ),
            ("a step in a step", turn, Code::of_body(&[step(1), step(2)])),
            ("the end in a step", turn, Code::of_body(&[step(1)])),
            (
                "the end of no step",
                turn,
                Code::of_body(&[plain(STEP_END)]),
            ),
            (
                "a word of the log",
                turn,
                one_step().log(&[constant(1), on(LOG, 1)]),
            ),
        ];
        for (what, turn, code) in cases {
            let mut batch = Batch::replay(&[turn], &[code]);
            batch.control.log_width = 1;
            verify_bad(lab, &batch, what, None);
        }
    });
}

/// Makes nonsense of control words.
type Change = fn(&mut Control);

#[test]
fn control_words_that_make_no_sense_are_refused() {
    let cases: [(&str, Change); 14] = [
        ("mode", |control| control.mode = 2),
        ("initial states", |control| control.initial_states = 0),
        ("too many of them", |control| {
            control.initial_states = 1 << 32;
            control.initial_width = 1 << 32;
        }),
        ("pages", |control| control.pages = 17),
        ("entries off a word", |control| control.entries = 4),
        ("entries past memory", |control| {
            control.entries = IDENTITY_END / 2
        }),
        ("entries far away", |control| control.entries = u64::MAX / 2),
        ("frames below theirs", |control| {
            control.frames = FRAMES - PAGE
        }),
        ("frames above theirs", |control| {
            control.frames = FRAMES_END - PAGE
        }),
        ("frames off a page", |control| control.frames = FRAMES + 8),
        ("frames", |control| control.frame_count = 249),
        ("frames without end", |control| {
            control.frame_count = u64::MAX
        }),
        ("outcomes", |control| {
            control.outcomes = litmus::OUTCOMES + 1
        }),
        ("a log", |control| {
            control.mode = litmus::MODE_REPLAY;
            control.log_width = u64::MAX;
        }),
    ];
    on_announce(|lab| {
        for (what, change) in cases {
            let mut batch = batch_of(Code::of_body(&[]));
            change(&mut batch.control);
            verify_bad(lab, &batch, what, None);
        }
    });
}

#[test]
fn a_schedule_that_has_no_room_is_refused() {
    on_announce(|lab| {
        let turns = (litmus::SCHEDULE_END - litmus::SCHEDULE) / litmus::Turn::SIZE as u64;
        let turns = usize::try_from(turns).expect("so many fit into memory");
        for (count, expected) in [(turns, STATUS_DONE), (turns + 1, STATUS_BAD)] {
            let schedule = vec![event_of(0, 0); count];
            let code = Code::default().event(&[]);
            let ran = run(lab, &Batch::replay(&schedule, &[code]));
            assert_eq!(ends(&ran)[0].0, expected);
        }
    });
}

/// One vCPU's nonsense ends the batch of the other one, too.
#[test]
fn a_bad_vcpu_takes_the_others_with_it() {
    on_announce(|lab| {
        let bad = Code::of_body(&[plain(255)]);
        let good = Code::of_body(&[step(1), plain(STEP_END)]);
        let ran = run(lab, &Batch::new(9, &[good.clone(), bad.clone()]));
        assert_eq!(ends(&ran), [(STATUS_DONE, 0), (STATUS_BAD, 0)]);
        let ran = run(lab, &Batch::new(9, &[bad, good]));
        assert_eq!(ends(&ran), [(STATUS_BAD, 0), (STATUS_DONE, 0)]);
    });
}
