//! Scenarios in a batch: bytecode by hand, its runs and replays.

use guest::abi::litmus::{
    ADD, GET, LOCK, REGISTER, SET, SET_REGISTER, STEP_END, STORE_LOCKED, STORE_PLAIN, UNLOCK,
    constant, instruction,
};
use guest::abi::op::STATUS_DONE;
use tests::assembler::{Batch, Code, control, key, keys, on, plain, step};
use tests::lab::{Lab, Ran, on_announce};
use tests::op;
use vmm::machine::MachineConfig;

/// Loads the batch into a machine and has it run.
fn run(lab: &Lab, batch: &Batch) -> Ran {
    let vcpus = batch.code.len() as u64;
    let config = MachineConfig {
        vcpus,
        ..lab.config()
    };
    let ran = lab.attempt(&config, |machine| {
        batch.load(machine);
        vec![vec![op::litmus()]; batch.code.len()]
    });
    assert_eq!(ran.run.stopped, None, "the batch comes to its end");
    ran
}

/// Status and value of each vCPU's operation.
fn ends(ran: &Ran) -> Vec<(u64, u64)> {
    let results = ran.run.results.iter();
    results.map(|of| (of[0].status, of[0].value)).collect()
}

/// A batch whose vCPUs all come to the end of all runs.
fn complete(lab: &Lab, batch: &Batch) -> Ran {
    let ran = run(lab, batch);
    let expected = vec![(STATUS_DONE, batch.control.runs); batch.code.len()];
    assert_eq!(ends(&ran), expected);
    assert_eq!(control(&ran.ram).done, batch.control.runs);
    ran
}

/// Two words that both vCPUs know, and two for what each saw.
const X: u64 = 0;
const Y: u64 = 1;
const SEEN: u64 = 2;

/// Stores to `own`, then looks at `other`.
fn buffering(own: u64, other: u64, how: u64) -> Vec<u64> {
    vec![
        step(1),
        constant(1),
        instruction(SET, own, how),
        plain(STEP_END),
        step(2),
        on(GET, other),
        on(SET_REGISTER, 0),
        plain(STEP_END),
        on(REGISTER, 0),
        on(SET, SEEN + own),
    ]
}

fn store_buffering(runs: u64, how: u64) -> Batch {
    let zero = |word| [constant(0), on(SET, word)];
    let first = Code::of_body(&buffering(X, Y, how))
        .reset(&[X, Y, SEEN, SEEN + 1].map(zero).concat())
        .collect(&[on(GET, SEEN), key(0, 1), on(GET, SEEN + 1), key(1, 1)]);
    let second = Code::of_body(&buffering(Y, X, how));
    let mut batch = Batch::new(runs, &[first, second]);
    batch.control.delay = 30;
    batch.control.alignment = 4;
    batch
}

#[test]
fn locked_stores_are_seen_by_one_of_two_at_least() {
    on_announce(|lab| {
        let ran = complete(lab, &store_buffering(2000, STORE_LOCKED));
        let keys = keys(&ran.ram);
        assert!(keys.iter().all(|(key, _)| *key != 0), "{keys:?}");
        let all: u64 = keys.iter().map(|(_, count)| count).sum();
        assert_eq!(all, 2000);
    });
}

/// The word that both count in.
const COUNT: u64 = 0;

/// Adds 1 in two steps of the machine, and 1 step of the scenario.
fn counting(times: usize, around: &[[u64; 2]]) -> Vec<u64> {
    let (before, behind): (Vec<_>, Vec<_>) = around.iter().map(|[lock, un]| (*lock, *un)).unzip();
    let add = [
        on(GET, COUNT),
        constant(1),
        plain(ADD),
        instruction(SET, COUNT, STORE_PLAIN),
    ];
    let once = [
        &[step(1)],
        &before[..],
        &add,
        &behind[..],
        &[plain(STEP_END)],
    ]
    .concat();
    once.repeat(times)
}

fn counts(lab: &Lab, around: &[[u64; 2]]) -> Vec<(u64, u64)> {
    let body = counting(20, around);
    let first = Code::of_body(&body)
        .reset(&[constant(0), on(SET, COUNT)])
        .collect(&[on(GET, COUNT), key(0, 0xff)]);
    let batch = Batch::new(500, &[first, Code::of_body(&body)]);
    keys(&complete(lab, &batch).ram)
}

#[test]
fn what_is_counted_under_the_step_lock_is_not_lost() {
    on_announce(|lab| {
        let counted = counts(lab, &[[plain(LOCK), plain(UNLOCK)]]);
        assert_eq!(counted, [(40, 500)]);
    });
}
