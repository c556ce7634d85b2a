//! Whether taking a page's permission to write leaves a dirty, read-only entry behind that nobody
//! wrote: the question of the discussions about shadow stacks (2018, 2021).
//!
//! One vCPU stores to a page while another takes W away, and notes with the same instruction whether
//! D was set by then. D that was set before is the mark of a store that came first; it is legitimate
//! there, and only what the software does with it can be wrong. D that appears *after* W was gone
//! was set by whoever walks the tables, for a store that it then refused.

use std::fmt;

use guest::abi::probe::{self, Race};
use kvm_ioctls::Kvm;
use notifier::addr::Permissions;

use super::{Bench, Budget};
use crate::machine::{MachineError, Stopped};

/// How the permission is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One locked instruction clears W: Linux up to 6.5.
    Locked,
    /// A compare-and-exchange loop clears W and moves D into a bit of software's: Linux from 6.6 on.
    CompareExchange,
    /// A load and a store: wrong, since a dirty bit that is set between the two is lost.
    Plain,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Locked, Self::CompareExchange, Self::Plain];

    fn number(self) -> u64 {
        match self {
            Self::Locked => probe::LOCKED,
            Self::CompareExchange => probe::COMPARE_EXCHANGE,
            Self::Plain => probe::PLAIN,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locked => "locked",
            Self::CompareExchange => "cmpxchg",
            Self::Plain => "plain",
        })
    }
}

/// Whether the storing vCPU invalidates once the permission is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// It does not.
    No,
    /// It does, before it stores again.
    Yes,
}

impl Flush {
    /// Both.
    pub const ALL: [Self; 2] = [Self::No, Self::Yes];
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::No => "no",
            Self::Yes => "yes",
        })
    }
}

/// What one way did, with or without the flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The way.
    pub way: Way,
    /// The flush.
    pub flush: Flush,
    /// What was counted.
    pub counts: Race,
    /// Why it did not try as often as it was to.
    pub stopped: Option<Stopped>,
}

/// What all of it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No entry became dirty after it had lost W.
    NeverSeen,
    /// One did.
    Seen,
    /// Nothing was tried, or what was counted can't be.
    NoVerdict,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverSeen => "never-seen",
            Self::Seen => "seen",
            Self::NoVerdict => "no-verdict",
        })
    }
}

/// Every way, without and with the flush.
///
/// # Errors
/// [`MachineError`] if the host runs no such machine.
pub fn run(kvm: &Kvm, budget: Budget) -> Result<Vec<Line>, MachineError> {
    let ways = Way::ALL.into_iter();
    let ways = ways.flat_map(|way| Flush::ALL.map(|flush| (way, flush)));
    let lines = (1..=Way::ALL.len() * Flush::ALL.len()).rev().zip(ways);
    lines
        .map(|(left, (way, flush))| line(kvm, budget, left, (way, flush)))
        .collect()
}

fn line(
    kvm: &Kvm,
    budget: Budget,
    left: usize,
    (way, flush): (Way, Flush),
) -> Result<Line, MachineError> {
    let bench = Bench::new(kvm, 2, budget.share(left))?;
    let entry = bench.entry(0, Permissions::READ_WRITE)? & !probe::DIRTY;
    let wanted = Race {
        slot: bench.slot.raw(),
        page: guest::abi::layout::WINDOW,
        entry,
        way: way.number(),
        flush: match flush {
            Flush::No => probe::FLUSH_NOT,
            Flush::Yes => probe::FLUSH_USER,
        },
        seed: budget.seed,
        ..Race::default()
    };
    let kinds = [probe::TAKE_WRITE, probe::STORE_TO_PAGES];
    let batch = (&kinds[..], budget.rounds());
    let (words, stopped) = bench.run(kvm, wanted.to_bytes(), batch)?;
    Ok(Line {
        way,
        flush,
        counts: Race::from_bytes(&words),
        stopped,
    })
}

/// The verdict on these lines.
pub fn verdict(lines: &[Line]) -> Verdict {
    let sum = |count: fn(&Race) -> u64| lines.iter().map(|line| count(&line.counts)).sum::<u64>();
    if sum(|counts| counts.dirty_after) != 0 {
        return Verdict::Seen;
    }
    let tried_all = lines.iter().all(|line| line.counts.tries != 0);
    // Where no store ever lost the race, and none ever won it, there was none.
    let raced = sum(|counts| counts.stored) != 0 && sum(|counts| counts.refused) != 0;
    if tried_all && raced && sum(|counts| counts.strange) == 0 {
        Verdict::NeverSeen
    } else {
        Verdict::NoVerdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(counts: Race) -> Line {
        Line {
            way: Way::Locked,
            flush: Flush::No,
            counts,
            stopped: None,
        }
    }

    const RACED: Race = Race {
        slot: 0,
        page: 0,
        entry: 0,
        way: 0,
        flush: 0,
        seed: 0,
        tries: 64,
        stored: 30,
        refused: 34,
        dirty_before: 31,
        dirty_after: 0,
        left_dirty: 31,
        lost_dirty: 0,
        late: 30,
        strange: 0,
    };

    #[test]
    fn a_dirty_bit_that_was_there_before_is_no_race() {
        assert_eq!(verdict(&[line(RACED)]), Verdict::NeverSeen);
    }

    #[test]
    fn one_that_came_afterwards_is() {
        let after = Race {
            dirty_after: 1,
            left_dirty: 32,
            ..RACED
        };
        assert_eq!(verdict(&[line(RACED), line(after)]), Verdict::Seen);
    }

    #[test]
    fn where_nothing_was_tried_or_nothing_met_there_is_no_verdict() {
        let none = Race::default();
        let alone = Race {
            stored: 64,
            refused: 0,
            ..RACED
        };
        let strange = Race {
            strange: 1,
            ..RACED
        };
        for lines in [
            &[line(RACED), line(none)][..],
            &[line(alone)],
            &[line(strange)],
        ] {
            assert_eq!(verdict(lines), Verdict::NoVerdict);
        }
    }
}
