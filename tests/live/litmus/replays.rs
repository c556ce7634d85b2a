//! One run, turn by turn.

use guest::abi::litmus::{
    CHOOSE, ENTERS, GET, GROW, LOG, RETRY, SET, STEP_END, STORE_PLAIN, Turn, UNLESS, constant,
    instruction,
};
use guest::abi::op::{STATUS_BAD, STATUS_DONE};
use tests::assembler::{
    Batch, Code, control, event_of, handler_of, key, keys, log, on, outcomes, plain, step, step_of,
};
use tests::lab::{Lab, Ran, on_announce};
use tests::op;

use super::{SEEN, X, Y, complete, ends, run, store_buffering, zero};

/// Both orders in which each vCPU's load comes behind the other's steps, and the one in which both do.
#[test]
fn a_replay_forces_an_order() {
    let [a, b] = [step_of(0, 1), step_of(0, 2)];
    let [c, d] = [step_of(1, 1), step_of(1, 2)];
    let orders = [
        ([a, b, c, d], 0b10),
        ([c, d, a, b], 0b01),
        ([a, c, b, d], 0b11),
        ([a, c, d, b], 0b11),
        ([c, a, b, d], 0b11),
        ([c, a, d, b], 0b11),
    ];
    on_announce(|lab| {
        for (order, expected) in orders {
            let batch = Batch::replay(&order, &store_buffering(STORE_PLAIN));
            let again = vec![op::litmus(); 100];
            let ran = lab.run_all(2, |machine| {
                batch.load(machine);
                vec![again.clone(), again]
            });
            assert_eq!(keys(&ran.ram), [(expected, 100)]);
            assert_eq!(control(&ran.ram).turn, 4);
        }
    });
}

/// Adds a digit to the word X; the log has the word after each turn.
fn digit(number: i64) -> [u64; 2] {
    [constant(number), on(GROW, X)]
}

fn logged(code: Code) -> Code {
    code.log(&[on(GET, X), on(LOG, 0), constant(7), on(LOG, 1)])
}

/// A replay that logs X, which is 0 at the beginning.
fn replay(lab: &Lab, schedule: &[Turn], first: Code, second: Code) -> Ran {
    let first = logged(first)
        .reset(&zero(&[X, Y, SEEN]))
        .collect(&[on(GET, X), key(0, u64::from(u32::MAX))]);
    let mut batch = Batch::replay(schedule, &[first, logged(second)]);
    batch.control.log_width = 2;
    run(lab, &batch)
}

fn whole_step(number: u64, does: &[u64]) -> Vec<u64> {
    [&[step(number)], does, &[plain(STEP_END)]].concat()
}

#[test]
fn events_are_made_before_during_and_after_a_body() {
    on_announce(|lab| {
        let body = |base| [whole_step(1, &digit(base)), whole_step(2, &digit(2 * base))].concat();
        let first = Code::of_body(&body(0x1)).event(&digit(0x100));
        let second = Code::of_body(&body(0x10)).event(&digit(0x1000));
        let schedule = [
            event_of(0, 0),
            step_of(0, 1),
            event_of(1, 0),
            event_of(0, 0),
            step_of(1, 1),
            step_of(0, 2),
            event_of(0, 0),
            step_of(1, 2),
            event_of(1, 0),
        ];
        let ran = replay(lab, &schedule, first, second);
        assert_eq!(ends(&ran), [(STATUS_DONE, 1); 2]);
        let values = [
            0x100, 0x101, 0x1101, 0x1201, 0x1211, 0x1213, 0x1313, 0x1333, 0x2333,
        ];
        let expected: Vec<_> = values.iter().flat_map(|value| [*value, 7]).collect();
        assert_eq!(log(&ran.ram, 18), expected);
        assert_eq!(keys(&ran.ram), [(0x2333, 1)]);
    });
}

/// A body of two steps with a handler that may be entered before each.
fn with_handlers() -> Code {
    let mut body = Vec::new();
    let begin = Code::default().here();
    for number in [1, 2] {
        let handler = whole_step(100, &digit(0x10));
        let behind = begin + body.len() as u64 + 2 + handler.len() as u64;
        body.extend([on(ENTERS, 5), instruction(UNLESS, 0, behind)]);
        body.extend(handler);
        body.extend(whole_step(number, &digit(1)));
    }
    Code::of_body(&body)
}

#[test]
fn a_handler_is_entered_where_the_schedule_says() {
    on_announce(|lab| {
        let steps = [step_of(0, 1), step_of(0, 2)];
        let enters = handler_of(0, 5);
        let schedules: [(&[Turn], u64); 4] = [
            (&steps, 0x02),
            (&[enters, steps[0], steps[1]], 0x12),
            (&[steps[0], enters, steps[1]], 0x12),
            (&[enters, steps[0], enters, steps[1]], 0x22),
        ];
        for (schedule, expected) in schedules {
            let ran = replay(lab, schedule, with_handlers(), Code::default());
            assert_eq!(keys(&ran.ram), [(expected, 1)]);
        }
    });
}

#[test]
fn a_handler_is_always_entered_in_a_batch() {
    on_announce(|lab| {
        let code = with_handlers()
            .reset(&zero(&[X]))
            .collect(&[on(GET, X), key(0, 0xff)]);
        let ran = complete(lab, &Batch::new(3, &[code]));
        assert_eq!(keys(&ran.ram), [(0x22, 3)]);
    });
}

/// Two choices of 16 ways in one step.
fn choosing() -> Code {
    let choices = [on(CHOOSE, 16), on(SET, X), on(CHOOSE, 16), on(SET, Y)];
    Code::of_body(&whole_step(1, &choices))
}

#[test]
fn choices_are_the_turns() {
    on_announce(|lab| {
        let turn = Turn {
            choices: 0xb3,
            ..step_of(0, 1)
        };
        let code = choosing().collect(&[on(GET, X), key(0, 0xff), on(GET, Y), key(8, 0xff)]);
        let ran = run(lab, &Batch::replay(&[turn], &[code]));
        assert_eq!(keys(&ran.ram), [(0x0b03, 1)]);
    });
}

#[test]
fn a_choice_that_there_is_no_such_way_of_is_refused() {
    on_announce(|lab| {
        let turn = Turn {
            choices: 2,
            ..step_of(0, 1)
        };
        let too_far = Code::of_body(&whole_step(1, &[on(CHOOSE, 2), on(SET, X)]));
        let too_many = [on(CHOOSE, 16), on(SET, X)].repeat(17);
        let too_many = Code::of_body(&whole_step(1, &too_many));
        for code in [too_far, too_many] {
            let ran = run(lab, &Batch::replay(&[turn], &[code]));
            assert_eq!(ends(&ran), [(STATUS_BAD, 0)]);
        }
    });
}

/// A trace may end before the vCPUs do.
#[test]
fn bodies_end_with_the_schedule() {
    on_announce(|lab| {
        let steps = |digits: [i64; 2]| {
            let both = digits.map(|one| whole_step(1, &digit(one)));
            Code::of_body(&both.concat())
        };
        let ran = replay(lab, &[step_of(1, 1)], steps([1, 2]), steps([0x10, 0x20]));
        assert_eq!(ends(&ran), [(STATUS_DONE, 1); 2]);
        assert_eq!(keys(&ran.ram), [(0x10, 1)]);
        let ran = replay(lab, &[], with_handlers(), steps([1, 2]));
        assert_eq!(keys(&ran.ram), [(0, 1)]);
    });
}

#[test]
fn what_the_schedule_does_not_say_is_a_divergence() {
    let one = |does: &[u64]| Code::of_body(&whole_step(1, does));
    let again = instruction(RETRY, 0, Code::default().here());
    let cases: [(&str, &[Turn], Code); 6] = [
        ("another step", &[step_of(1, 2)], one(&[])),
        ("behind the end", &[step_of(1, 1), step_of(1, 1)], one(&[])),
        ("no step at all", &[step_of(1, 1)], Code::default()),
        ("no handler there", &[handler_of(1, 5)], one(&[])),
        ("not that handler", &[handler_of(1, 6)], with_handlers()),
        ("it has to be tried again", &[step_of(1, 1)], one(&[again])),
    ];
    on_announce(|lab| {
        for (what, schedule, second) in &cases {
            let schedule = [&[step_of(0, 1)], *schedule].concat();
            let ran = replay(lab, &schedule, one(&digit(1)), second.clone());
            assert_eq!(control(&ran.ram).diverged, 1 + 1, "{what}");
            assert_eq!(ends(&ran), [(STATUS_DONE, 0); 2], "{what}");
            assert_eq!(outcomes(&ran.ram), [], "{what}");
            assert_eq!(log(&ran.ram, 2), [1, 7], "{what}");
        }
    });
}
