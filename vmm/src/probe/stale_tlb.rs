//! Whether a translation is used after its entry has changed, without and with the invalidation.

use std::fmt;

use guest::abi::layout::WINDOW;
use guest::abi::probe::{self, Stale};
use kvm_ioctls::Kvm;
use notifier::addr::{Gpa, Permissions};

use super::{Bench, Budget};
use crate::machine::{MachineError, Stopped};

/// How an entry changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// To another frame; a load tells which one it came from.
    Remap,
    /// From read-write to read-only; a store is refused or not.
    Downgrade,
    /// To nothing; a load faults or does not.
    Unmap,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Remap => "remap",
            Self::Downgrade => "downgrade",
            Self::Unmap => "unmap",
        })
    }
}

/// Who changes the entry, and who invalidates before the next use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// One vCPU, which does not invalidate.
    OwnNone,
    /// One vCPU, which does: INVLPG.
    OwnFlush,
    /// Another vCPU changes it, and nobody invalidates.
    OtherNone,
    /// Another vCPU changes it and invalidates on its own side alone (CR3 written).
    OtherFlushesItself,
    /// Another vCPU changes it, and the vCPU that uses it invalidates (CR3 written): a shoot-down.
    OtherShootsDown,
}

impl Setup {
    /// Whether a stale use is forbidden.
    pub fn forbids(self) -> bool {
        matches!(self, Self::OwnFlush | Self::OtherShootsDown)
    }

    /// Who changes the entry.
    pub fn changer(self) -> &'static str {
        match self {
            Self::OwnNone | Self::OwnFlush => "the same vCPU",
            _ => "another vCPU",
        }
    }

    /// Who invalidates.
    pub fn flush(self) -> &'static str {
        match self {
            Self::OwnNone | Self::OtherNone => "nobody",
            Self::OwnFlush | Self::OtherShootsDown => "the user",
            Self::OtherFlushesItself => "the changer",
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::OwnNone | Self::OtherNone => probe::FLUSH_NOT,
            Self::OwnFlush | Self::OtherShootsDown => probe::FLUSH_USER,
            Self::OtherFlushesItself => probe::FLUSH_CHANGER,
        }
    }

    fn kinds(self) -> &'static [u64] {
        match self {
            Self::OwnNone | Self::OwnFlush => &[probe::CHANGE_AND_USE],
            _ => &[probe::USE_PAGES, probe::CHANGE_PAGES],
        }
    }
}

/// What is tried, in order.
pub const CASES: [(Change, Setup); 9] = [
    (Change::Remap, Setup::OwnNone),
    (Change::Downgrade, Setup::OwnNone),
    (Change::Unmap, Setup::OwnNone),
    (Change::Remap, Setup::OwnFlush),
    (Change::Downgrade, Setup::OwnFlush),
    (Change::Unmap, Setup::OwnFlush),
    (Change::Remap, Setup::OtherNone),
    (Change::Remap, Setup::OtherFlushesItself),
    (Change::Remap, Setup::OtherShootsDown),
];

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How the entry changed.
    pub change: Change,
    /// Who did what.
    pub setup: Setup,
    /// What was counted.
    pub counts: Stale,
    /// Why it did not try as often as it was to.
    pub stopped: Option<Stopped>,
}

/// What all of it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A missing invalidation shows here, and with it nothing stale was used.
    Observable,
    /// Nothing stale was used even without: no scenario can show a missing one here.
    NotObservable,
    /// Something stale was used in spite of the invalidation.
    Broken,
    /// Nothing was tried, or what was seen is neither.
    NoVerdict,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observable => "observable",
            Self::NotObservable => "not-observable",
            Self::Broken => "stale-despite-flush",
            Self::NoVerdict => "no-verdict",
        })
    }
}

/// Every case.
///
/// # Errors
/// [`MachineError`] if the host runs no such machine.
pub fn run(kvm: &Kvm, budget: Budget) -> Result<Vec<Line>, MachineError> {
    let cases = (1..=CASES.len()).rev().zip(CASES);
    cases
        .map(|(left, case)| line(kvm, budget, left, case))
        .collect()
}

fn line(
    kvm: &Kvm,
    budget: Budget,
    left: usize,
    (change, setup): (Change, Setup),
) -> Result<Line, MachineError> {
    let kinds = setup.kinds();
    let bench = Bench::new(kvm, kinds.len() as u64, budget.share(left))?;
    let old = bench.entry(0, Permissions::READ_WRITE)?;
    let (number, new) = match change {
        Change::Remap => (probe::REMAP, bench.entry(1, Permissions::READ_WRITE)?),
        Change::Downgrade => (probe::DOWNGRADE, old & !probe::WRITABLE),
        Change::Unmap => (probe::UNMAP, 0),
    };
    for (frame, word) in [(0, probe::OLD_WORD), (1, probe::NEW_WORD)] {
        let at = guest::abi::layout::FRAMES + frame * guest::abi::layout::PAGE;
        bench.ram.write(Gpa::new(at), &word.to_le_bytes())?;
    }
    let wanted = Stale {
        slot: bench.slot.raw(),
        page: WINDOW,
        old,
        new,
        change: number,
        flush: setup.number(),
        ..Stale::default()
    };
    let batch = (kinds, budget.rounds());
    let (words, stopped) = bench.run(kvm, wanted.to_bytes(), batch)?;
    Ok(Line {
        change,
        setup,
        counts: Stale::from_bytes(&words),
        stopped,
    })
}

/// The verdict on these lines.
pub fn verdict(lines: &[Line]) -> Verdict {
    let stale = |forbidden: bool| {
        let lines = lines
            .iter()
            .filter(|line| line.setup.forbids() == forbidden);
        lines.map(|line| line.counts.stale).sum::<u64>()
    };
    if stale(true) != 0 {
        return Verdict::Broken;
    }
    let counts = || lines.iter().map(|line| line.counts);
    if counts().any(|counts| counts.tries == 0 || counts.strange != 0) {
        return Verdict::NoVerdict;
    }
    match stale(false) {
        0 => Verdict::NotObservable,
        _ => Verdict::Observable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every case tried 64 times, `stale` of them stale where that is not forbidden.
    fn lines(stale: u64) -> Vec<Line> {
        let line = |(change, setup): (Change, Setup)| {
            let stale = if setup.forbids() { 0 } else { stale };
            let counts = Stale {
                tries: 64,
                stale,
                fresh: 64 - stale,
                ..Stale::default()
            };
            Line {
                change,
                setup,
                counts,
                stopped: None,
            }
        };
        CASES.map(line).into()
    }

    #[test]
    fn what_is_stale_without_the_flush_makes_it_observable() {
        assert_eq!(verdict(&lines(3)), Verdict::Observable);
        assert_eq!(verdict(&lines(0)), Verdict::NotObservable);
    }

    #[test]
    fn one_stale_use_in_spite_of_the_flush_is_broken() {
        for number in [3, 8] {
            let mut lines = lines(3);
            lines[number].counts.stale = 1;
            assert_eq!(verdict(&lines), Verdict::Broken, "{:?}", CASES[number]);
        }
    }

    #[test]
    fn a_case_that_was_not_tried_or_is_strange_leaves_no_verdict() {
        let mut untried = lines(3);
        untried[8].counts = Stale::default();
        let mut strange = lines(3);
        strange[0].counts.strange = 1;
        for lines in [untried, strange] {
            assert_eq!(verdict(&lines), Verdict::NoVerdict);
        }
    }
}
