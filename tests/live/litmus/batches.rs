//! Many runs: races, chance, the histogram.

use guest::abi::litmus::{
    ADD, CHOOSE, Control, GET, GROW, INITIAL_VALUE, LITMUS, LOCK, MOST_ALIGNMENT, NOT, OR,
    OUTCOMES, REGISTER, SET, SET_REGISTER, STEP_END, STORE_LOCKED, STORE_PLAIN, UNLOCK, WORDS,
    constant, instruction,
};
use guest::abi::op::STATUS_DONE;
use tests::assembler::{Batch, Code, control, key, keys, on, outcomes, plain, standing, step};
use tests::host::{is_emulated, is_parallel};
use tests::lab::{Lab, on_announce};

use super::{complete, ends, run, store_buffering, zero};

/// Batches in which what needs both vCPUs at once may take to show.
const PATIENCE: u64 = 60;

/// How many runs can be made in a moment.
fn some_runs() -> u64 {
    if is_emulated() { 100 } else { 20_000 }
}

/// Pairs of words on which a run tries store buffering.
const PAIRS: u64 = 8;

/// Stores to one word of each pair and looks at the other. From `own` on are the words that this vCPU
/// stores to, from `other` on those that it looks at, and from `seen` on what it saw.
fn buffering([own, other, seen]: [u64; 3], how: u64) -> Vec<u64> {
    let tries = (0..PAIRS).flat_map(|pair| {
        [
            step(pair),
            constant(1),
            instruction(SET, own + pair, how),
            on(GET, other + pair),
            on(SET_REGISTER, pair),
            plain(STEP_END),
        ]
    });
    let keeps = (0..PAIRS).flat_map(|pair| [on(REGISTER, pair), on(SET, seen + pair)]);
    tries.chain(keeps).collect()
}

/// Whether neither of two vCPUs saw the other's store, ever.
fn is_buffered(lab: &Lab, how: u64, seed: u64) -> bool {
    let words = [0, 1, 2, 3].map(|kind| kind * PAIRS);
    let [x, y, one, other] = words;
    let neither = (0..PAIRS).flat_map(|pair| {
        let saw = [on(GET, one + pair), on(GET, other + pair)];
        [saw[0], saw[1], plain(OR), plain(NOT), key(pair, 1)]
    });
    let first = Code::of_body(&buffering([x, y, one], how))
        .reset(&zero(&(0..4 * PAIRS).collect::<Vec<_>>()))
        .collect(&neither.collect::<Vec<_>>());
    let second = Code::of_body(&buffering([y, x, other], how));
    let mut batch = Batch::new(some_runs(), &[first, second]);
    batch.control.seed = seed;
    batch.control.alignment = 4;
    batch.control.delay = 4;
    batch.control.delay_one_in = 4;
    let keys = keys(&complete(lab, &batch).ram);
    let all: u64 = keys.iter().map(|(_, count)| count).sum();
    assert_eq!(all, some_runs());
    keys.iter().any(|(key, _)| *key != 0)
}

/// What x86 does that no interleaving does.
#[test]
fn plain_stores_are_seen_by_neither_of_two_now_and_then() {
    on_announce(|lab| {
        let expected = is_parallel();
        let batches = if expected { PATIENCE } else { 1 };
        let seen = (0..batches).any(|seed| is_buffered(lab, STORE_PLAIN, seed));
        assert!(seen || !expected, "no store was buffered");
    });
}

#[test]
fn locked_stores_are_seen_by_one_of_two_at_least() {
    on_announce(|lab| {
        for seed in 0..4 {
            assert!(!is_buffered(lab, STORE_LOCKED, seed));
        }
    });
}

/// The word that both count in.
const COUNT: u64 = 0;

/// Adds 1, by a load and a store, 20 times.
fn counting(before: &[u64], behind: &[u64]) -> Vec<u64> {
    let add = [
        on(GET, COUNT),
        constant(1),
        plain(ADD),
        instruction(SET, COUNT, STORE_PLAIN),
    ];
    let once = [&[step(1)], before, &add, behind, &[plain(STEP_END)]].concat();
    once.repeat(20)
}

/// What two vCPUs count to in many runs.
fn counts(lab: &Lab, body: &[u64]) -> Vec<(u64, u64)> {
    let first = Code::of_body(body)
        .reset(&zero(&[COUNT]))
        .collect(&[on(GET, COUNT), key(0, 0xff)]);
    let batch = Batch::new(some_runs() / 20, &[first, Code::of_body(body)]);
    keys(&complete(lab, &batch).ram)
}

#[test]
fn what_is_counted_under_the_step_lock_is_not_lost() {
    on_announce(|lab| {
        let counted = counts(lab, &counting(&[plain(LOCK)], &[plain(UNLOCK)]));
        assert_eq!(counted, [(40, some_runs() / 20)]);
    });
}

#[test]
fn what_is_counted_by_a_locked_addition_is_not_lost() {
    on_announce(|lab| {
        let add = [constant(1), on(GROW, COUNT)].repeat(20);
        assert_eq!(counts(lab, &add), [(40, some_runs() / 20)]);
    });
}

#[test]
fn what_is_counted_without_a_lock_is_lost_now_and_then() {
    on_announce(|lab| {
        let is_lost = |_| counts(lab, &counting(&[], &[]))[0].0 < 40;
        let expected = is_parallel();
        let lost = (0..if expected { PATIENCE } else { 1 }).any(is_lost);
        assert!(lost || !expected, "nothing was lost");
    });
}

#[test]
fn every_initial_state_is_begun_with_and_the_machine_can_tell_in_which_run() {
    on_announce(|lab| {
        let code = Code::default().collect(&[
            on(INITIAL_VALUE, 0),
            key(0, 0xff),
            on(INITIAL_VALUE, 1),
            key(8, 0xff),
        ]);
        let mut batch = Batch::new(100, &[code]);
        batch.initial = vec![1, 2, 3, 4, 5, 6];
        batch.control.initial_states = 3;
        batch.control.initial_width = 2;
        batch.control.first = 1000;
        let ran = complete(lab, &batch);
        let seen: Vec<_> = keys(&ran.ram).iter().map(|(key, _)| *key).collect();
        assert_eq!(seen, [0x0201, 0x0403, 0x0605]);
        for outcome in outcomes(&ran.ram) {
            let began = batch.control.beginning(outcome.first).initial_state;
            assert_eq!(outcome.key0 & 0xff, 1 + 2 * began);
            assert!((1000..1100).contains(&outcome.first));
        }
    });
}

/// Which of so many ways are gone, and how often.
fn chosen(lab: &Lab, ways: u64, seed: u64) -> Vec<(u64, u64)> {
    let code = Code::default()
        .body(&[on(CHOOSE, ways), on(SET, 0)])
        .collect(&[on(GET, 0), key(0, 0xff)]);
    let mut batch = Batch::new(500, &[code]);
    batch.control.seed = seed;
    keys(&complete(lab, &batch).ram)
}

#[test]
fn choices_go_every_way_and_the_same_ways_with_the_same_seed() {
    on_announce(|lab| {
        for ways in [1, 2, 3, 16] {
            let counted = chosen(lab, ways, 1);
            let all: Vec<_> = counted.iter().map(|(way, _)| *way).collect();
            assert_eq!(all, (0..ways).collect::<Vec<_>>());
        }
        assert_eq!(chosen(lab, 16, 1), chosen(lab, 16, 1));
        assert_ne!(chosen(lab, 16, 1), chosen(lab, 16, 2));
    });
}

#[test]
fn words_are_as_far_apart_as_the_batch_says() {
    on_announce(|lab| {
        for alignment in 0..=MOST_ALIGNMENT {
            let code = Code::of_body(&[constant(77), on(SET, 255)]);
            let mut batch = Batch::new(1, &[code]);
            batch.control.alignment = alignment;
            let ran = complete(lab, &batch);
            assert_eq!(ran.word(LITMUS + WORDS + (255 << (3 + alignment))), 77);
        }
    });
}

/// Counts runs in a word that nobody resets.
fn all_different(runs: u64) -> Batch {
    let code = Code::of_body(&[constant(1), on(GROW, 0)]).collect(&[
        on(GET, 0),
        key(0, u64::from(u32::MAX)),
        on(GET, 0),
        key(0x300, 1),
    ]);
    Batch::new(runs, &[code])
}

#[test]
fn every_outcome_that_there_is_room_for_is_kept_apart() {
    on_announce(|lab| {
        let ran = complete(lab, &all_different(OUTCOMES));
        let expected: Vec<_> = (1..=OUTCOMES).map(|key| (key, 1)).collect();
        assert_eq!(keys(&ran.ram), expected);
        let is_last = |number: u64| (number, (number + 1) % 2);
        let outcomes = outcomes(&ran.ram);
        let last: Vec<_> = outcomes.iter().map(|one| (one.first, one.key3)).collect();
        assert_eq!(last, (0..OUTCOMES).map(is_last).collect::<Vec<_>>());
        assert_eq!(control(&ran.ram).full, 0);
    });
}

#[test]
fn a_batch_ends_before_an_outcome_that_there_is_no_room_for() {
    on_announce(|lab| {
        let ran = run(lab, &all_different(OUTCOMES + 100));
        let Control {
            done,
            outcomes,
            full,
            ..
        } = control(&ran.ram);
        assert_eq!((done, outcomes, full), (OUTCOMES, OUTCOMES, 1));
        assert_eq!(ends(&ran), [(STATUS_DONE, OUTCOMES + 1)]);
    });
}

#[test]
fn a_batch_adds_to_the_outcomes_that_are_there() {
    on_announce(|lab| {
        let batch = Batch::new(5, &store_buffering(STORE_LOCKED)[..1]);
        let ran = lab.run_all(1, |machine| {
            batch.load(machine);
            vec![vec![tests::op::litmus(); 4]]
        });
        assert_eq!(keys(&ran.ram), [(0, 20)]);
        assert_eq!(control(&ran.ram).done, 5);
    });
}

#[test]
fn where_a_vcpu_is_can_be_seen() {
    on_announce(|lab| {
        let mut batch = Batch::new(200, &store_buffering(STORE_LOCKED));
        batch.control.first = 40;
        for (patience, yields) in [(0, false), (1, true)] {
            batch.control.patience = patience;
            let ran = complete(lab, &batch);
            let standings = [0, 1].map(|vcpu| standing(&ran.ram, vcpu));
            for standing in standings {
                assert_eq!((standing.run, standing.step), (239, 2));
            }
            let all = standings.iter().any(|standing| standing.yields > 0);
            assert_eq!(all, yields, "{patience}");
        }
    });
}
