//! Chance: the same seed throws the same dice.

use std::collections::BTreeMap;

use kvm_ioctls::Kvm;
use notifier::explore::Bound;
use tests::host::with_kvm;
use vmm::live::scenario::{Batch, judge};

use super::{checked, plan, ran};

/// One agent: nothing but the dice decides.
const DICE: &str = "scenario dice;
shared n: 0..15;
shared start: 0..3;
initially { choose { start = 0; } or { start = 1; } or { start = 2; } or { start = 3; } }
agent one {
    repeat 3 { choose { n = n + 1; } or { n = n + 2; } or { n = n + 3; } or { n = n + 4; } }
}
allowed some finally: n == 7;
";

/// How often each outcome was seen, and when first.
fn histogram(kvm: &Kvm, seed: u64, often: u64) -> BTreeMap<String, (u64, u64)> {
    let plan = plan(&checked(DICE));
    let batch = Batch {
        runs: often,
        seed,
        ..Batch::default()
    };
    let ran = ran(kvm, &plan, &batch);
    assert_eq!((ran.runs, ran.cut.as_ref()), (often, None));
    let judgement = judge(&plan, &ran, Err(Bound::Interrupted));
    let outcomes = judgement.outcomes.iter();
    let counts = outcomes.map(|one| {
        let values = format!("{:?}", one.values);
        (values, (one.seen.count, one.seen.first))
    });
    counts.collect()
}

#[test]
fn a_seed_gives_the_same_histogram_and_another_gives_another() {
    with_kvm(|kvm| {
        let one = histogram(kvm, 1, 1000);
        assert_eq!(histogram(kvm, 1, 1000), one);
        assert_ne!(histogram(kvm, 2, 1000), one);
        assert_ne!(histogram(kvm, u64::MAX, 1000), one);
    });
}

#[test]
fn every_way_and_every_beginning_is_taken() {
    with_kvm(|kvm| {
        let seen = histogram(kvm, 7, 4000);
        // Sums of three from 1 to 4, from each of four beginnings.
        assert_eq!(seen.len(), 10 * 4, "{seen:#?}");
        assert_eq!(seen.values().map(|(count, _)| count).sum::<u64>(), 4000);
        let firsts: Vec<u64> = seen.values().map(|(_, first)| *first).collect();
        assert!(firsts.contains(&0) && firsts.iter().all(|first| *first < 4000));
    });
}
