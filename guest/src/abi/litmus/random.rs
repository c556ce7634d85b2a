//! What is random in a run. It depends on the seed and the run's number only, and on the vCPU where
//! each has its own, so that a run can be made again and the machine can tell how it began.

use super::{Control, MOST_ALIGNMENT};
use crate::abi::pattern;

/// A sequence of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    /// What all vCPUs have in common in run `run`.
    pub const fn of_run(seed: u64, run: u64) -> Self {
        Self {
            seed: pattern::word(seed, run),
            drawn: 0,
        }
    }

    /// What vCPU `vcpu` has for itself in run `run`.
    pub const fn of_vcpu(seed: u64, run: u64, vcpu: u64) -> Self {
        Self {
            seed: pattern::word(pattern::word(seed, run), !vcpu),
            drawn: 0,
        }
    }

    /// The next number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        let word = pattern::word(self.seed, self.drawn);
        self.drawn = self.drawn.wrapping_add(1);
        // The upper half of the product is as evenly spread as a remainder would be, without division.
        let product = u128::from(word) * u128::from(limit);
        (product >> 64) as u64
    }
}

/// How a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Which initial state.
    pub initial_state: u64,
    /// Words are `8 << alignment` bytes apart.
    pub alignment: u64,
}

impl Control {
    /// How run `run` of this batch begins.
    pub fn beginning(&self, run: u64) -> Beginning {
        let mut random = Random::of_run(self.seed, run);
        let initial_state = random.below(self.initial_states);
        let alignment = if self.alignment <= MOST_ALIGNMENT {
            self.alignment
        } else {
            random.below(MOST_ALIGNMENT + 1)
        };
        Beginning {
            initial_state,
            alignment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_run_and_vcpu_give_the_same_numbers() {
        let numbers = |mut random: Random| [(); 8].map(|()| random.below(1 << 32));
        assert_eq!(
            numbers(Random::of_vcpu(1, 2, 3)),
            numbers(Random::of_vcpu(1, 2, 3))
        );
        let others = [
            Random::of_vcpu(0, 2, 3),
            Random::of_vcpu(1, 3, 3),
            Random::of_vcpu(1, 2, 4),
            Random::of_run(1, 2),
        ];
        for other in others {
            assert_ne!(numbers(other), numbers(Random::of_vcpu(1, 2, 3)));
        }
    }

    #[test]
    fn numbers_are_below_their_limit_and_all_of_them_come() {
        let mut random = Random::of_run(7, 0);
        assert_eq!(random.below(0), 0);
        for limit in 1..20 {
            let mut seen = [false; 20];
            for _ in 0..1000 {
                seen[usize::try_from(random.below(limit)).unwrap()] = true;
            }
            let all = (0..20).map(|number| number < limit);
            assert!(seen.iter().copied().eq(all), "{limit}");
        }
    }

    #[test]
    fn runs_begin_in_every_state_and_at_every_alignment() {
        let control = Control {
            initial_states: 3,
            alignment: u64::MAX,
            ..Control::default()
        };
        let mut seen: Vec<_> = (0..1000)
            .map(|run| control.beginning(run))
            .map(|begins| (begins.initial_state, begins.alignment))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 15);
        let fixed = Control {
            alignment: 2,
            ..control
        };
        assert!((0..100).all(|run| fixed.beginning(run).alignment == 2));
    }
}
