//! Scenarios in a batch: bytecode by hand, its runs and replays.

mod batches;
mod computing;
mod ends;
mod pages;
mod refusals;
mod replays;

use guest::abi::litmus::{GET, REGISTER, SET, SET_REGISTER, STEP_END, constant, instruction};
use guest::abi::op::STATUS_DONE;
use tests::assembler::{Batch, Code, control, key, on, plain, step};
use tests::lab::{Lab, Ran};
use tests::op;
use vmm::machine::{Machine, MachineConfig};

/// Two words that both vCPUs know.
const X: u64 = 0;
const Y: u64 = 1;
/// What each saw: the first, and the other's behind it.
const SEEN: u64 = 2;

/// Loads the batch into a machine and has it run; `also` may change memory before.
fn run_with(lab: &Lab, batch: &Batch, also: impl FnOnce(&Machine)) -> Ran {
    let config = MachineConfig {
        vcpus: batch.code.len() as u64,
        ..lab.config()
    };
    let ran = lab.attempt(&config, |machine| {
        batch.load(machine);
        also(machine);
        vec![vec![op::litmus()]; batch.code.len()]
    });
    assert_eq!(ran.run.stopped, None, "the batch comes to its end");
    ran
}

fn run(lab: &Lab, batch: &Batch) -> Ran {
    run_with(lab, batch, |_| ())
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

/// Sets these words to 0.
fn zero(words: &[u64]) -> Vec<u64> {
    let each = words.iter().map(|word| [constant(0), on(SET, *word)]);
    each.flatten().collect()
}

/// Stores 1 to `own` in step 1, looks at `other` in step 2, and leaves what it saw in `seen`.
fn buffering([own, other, seen]: [u64; 3], how: u64) -> Vec<u64> {
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
        on(SET, seen),
    ]
}

/// Store buffering on two vCPUs. The key's bit 0 is what the first saw, bit 1 what the second saw.
fn store_buffering(how: u64) -> [Code; 2] {
    let first = Code::of_body(&buffering([X, Y, SEEN], how))
        .reset(&zero(&[X, Y, SEEN, SEEN + 1]))
        .collect(&[on(GET, SEEN), key(0, 1), on(GET, SEEN + 1), key(1, 1)]);
    [first, Code::of_body(&buffering([Y, X, SEEN + 1], how))]
}
