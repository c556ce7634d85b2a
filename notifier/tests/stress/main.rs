//! The whole contract under random schedules: real threads register, unregister, share, watch, read,
//! change and age, and in half of the rounds one ends the address space under the others.
//!
//! Everybody checks for himself: subscribers that nobody calls them too late, too often or out of
//! order, owners that what they copied is not stale, whoever changes that his windows were delivered
//! in pairs. The first violation ends the process and names the seed and what every thread was doing; so
//! do 30 s without progress.
//!
//! `STALEMATE_STRESS_OPS` sets how many operations are made (an operation is one call of the
//! contract), `STALEMATE_SEED` repeats a run: the same operations by the same threads, though not in
//! the same order between them, so a violation may need several runs to come back.

mod delivered;
mod jitter;
mod mirror;
mod mutator;
mod pages;
mod ranges;
mod record;
mod report;
mod single;
mod tlb;
mod watch;
mod worker;
mod world;

use std::sync::{Arc, Barrier};

use worker::Worker;
use world::World;

/// 5 to 10 s on two processors without optimization.
const OPERATIONS: u64 = 3_000_000;
const THREADS: usize = 5;
/// Of a round, over all threads: a round ends one or two address spaces.
const ROUND: u64 = 2_000;

#[test]
fn random_schedules_keep_every_rule() {
    report::begin();
    let mut rng = fastrand::Rng::with_seed(report::seed());
    let wanted = report::from_environment("STALEMATE_STRESS_OPS").unwrap_or(OPERATIONS);
    while report::operations() < wanted {
        round(&mut rng);
    }
    report::finish();
}

/// One life of one or two address spaces.
fn round(rng: &mut fastrand::Rng) {
    let worlds: Vec<_> = (0..rng.usize(1..=2)).map(|_| World::new()).collect();
    let ender = rng.bool().then(|| rng.usize(..THREADS));
    let all_stopped = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let mut worker = Worker::new(number, rng.fork(), &worlds);
            let (ends, all_stopped) = (ender == Some(number), &all_stopped);
            scope.spawn(move || {
                worker.work(ROUND / THREADS as u64, ends);
                all_stopped.wait();
                worker.stop();
            });
        }
    });
    for world in &worlds {
        close(world);
    }
}

/// Nobody is left in the address space; it is checked, and ended if nobody did.
fn close(world: &Arc<World>) {
    check!(
        world.space.interval_sequence().is_multiple_of(2),
        "the interval number is odd though nothing is open"
    );
    world.exit();
    world.check_ended();
}
