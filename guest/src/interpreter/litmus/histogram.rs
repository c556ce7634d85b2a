//! How often each outcome was seen.

use core::sync::atomic::AtomicU16;
use core::sync::atomic::Ordering::{Relaxed, Release};

use super::area::{self, index};
use crate::abi::litmus::{OUTCOMES, Outcome};

/// Places of the index, a power of two: at most half of them are taken.
const PLACES: u64 = 2 * OUTCOMES;

/// Where in the histogram an outcome is, by what its key hashes to: 1 + its index, or 0. An outcome
/// whose place is taken has the next free one.
static INDEX: [AtomicU16; index(PLACES)] = [const { AtomicU16::new(0) }; index(PLACES)];

const _: () = assert!(PLACES.is_power_of_two() && OUTCOMES < u16::MAX as u64);

/// The histogram of a batch; vCPU 0's.
pub(super) struct Histogram {
    count: u64,
}

/// There is no room for another outcome.
pub(super) struct Full;

impl Histogram {
    /// The one in memory, to which this batch's outcomes are added. `None` if it can't be one.
    pub(super) fn open() -> Option<Self> {
        let count = area::outcomes().load(Relaxed);
        if count > OUTCOMES {
            return None;
        }
        for place in &INDEX {
            place.store(0, Relaxed);
        }
        for number in 0..count {
            let (place, _) = find(key(&area::read_outcome(number)));
            set(place, number);
        }
        Some(Self { count })
    }

    /// Counts the outcome of run `run`.
    pub(super) fn record(&mut self, wanted: [u64; 4], run: u64) -> Result<(), Full> {
        let (place, found) = find(wanted);
        if let Some(number) = found {
            let outcome = area::read_outcome(number);
            let count = outcome.count.wrapping_add(1);
            area::write_outcome(number, Outcome { count, ..outcome });
            return Ok(());
        }
        if self.count == OUTCOMES {
            return Err(Full);
        }
        let [key0, key1, key2, key3] = wanted;
        let outcome = Outcome {
            key0,
            key1,
            key2,
            key3,
            count: 1,
            first: run,
            ..Outcome::default()
        };
        area::write_outcome(self.count, outcome);
        set(place, self.count);
        self.count += 1;
        area::outcomes().store(self.count, Release);
        Ok(())
    }
}

/// The place of an outcome in the index, and its number if it is there.
fn find(wanted: [u64; 4]) -> (u64, Option<u64>) {
    let mut place = hash(wanted);
    loop {
        let number = u64::from(INDEX[index(place)].load(Relaxed)).checked_sub(1);
        match number {
            Some(number) if key(&area::read_outcome(number)) != wanted => {
                place = (place + 1) % PLACES;
            }
            found => return (place, found),
        }
    }
}

fn set(place: u64, number: u64) {
    #[expect(clippy::cast_possible_truncation, reason = "less than `OUTCOMES`")]
    let number = number as u16;
    INDEX[index(place)].store(number + 1, Relaxed);
}

fn key(outcome: &Outcome) -> [u64; 4] {
    [outcome.key0, outcome.key1, outcome.key2, outcome.key3]
}

fn hash(key: [u64; 4]) -> u64 {
    let mix =
        |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key.into_iter().fold(0, mix) >> (64 - PLACES.ilog2())
}
