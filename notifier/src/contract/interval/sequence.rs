//! The sequence number of the interval side: pure rules, no lock.
//!
//! Linux: `struct mmu_notifier_subscriptions`, `mm/mmu_notifier.c`. Even means idle: the set of
//! intervals may change. Odd means that an interval is being invalidated: it may not.
//!
//! ```text
//!            start that overlaps an interval, or an insertion while a start is open
//!   even n  -------------------------------------------------------------------->  odd n+1
//!           <--------------------------------------------------------------------
//!            the last open start ends: to n+2; what was deferred is done now
//! ```
//! An interval's own number is always odd. It equals the number here exactly while a read of the
//! interval would have to wait.

/// How many invalidations are open, and the number that goes with it.
#[derive(Debug)]
pub(super) struct Sequence {
    number: u64,
    open: u64,
}

/// What the end of an invalidation changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing for anybody who waits.
    Otherwise,
    /// The number is even again: deferred changes are due, and whoever waits may go on.
    Idle,
}

/// When a change of the set of intervals may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At once.
    Now,
    /// When the number is even again.
    AtIdle,
}

impl Sequence {
    /// 2, so that the number before it, which the first intervals get, is odd.
    pub(super) fn new() -> Self {
        Self { number: 2, open: 0 }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn is_odd(&self) -> bool {
        self.number & 1 == 1
    }

    /// An invalidation starts. `overlaps`: whether it concerns an interval; if none, the set of
    /// intervals may go on changing.
    pub(super) fn start(&mut self, overlaps: Overlap) {
        self.open += 1;
        if overlaps == Overlap::Some {
            self.number |= 1;
        }
    }

    /// An invalidation ends.
    pub(super) fn end(&mut self) -> Ended {
        self.open -= 1;
        if self.open > 0 || !self.is_odd() {
            return Ended::Otherwise;
        }
        self.number += 1;
        Ended::Idle
    }

    /// An interval comes: when, and with which number of its own.
    pub(super) fn insert(&mut self) -> (When, u64) {
        if self.open == 0 {
            // As after an invalidation long ago: no wait, and no number that will soon be current.
            return (When::Now, self.number - 1);
        }
        let when = self.when();
        // It may overlap what is open, of which it was not told: it has to be waited for.
        self.number |= 1;
        (when, self.number)
    }

    /// When an interval may go.
    pub(super) fn when(&self) -> When {
        if self.is_odd() {
            When::AtIdle
        } else {
            When::Now
        }
    }
}

/// Whether an invalidation concerns an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// At least one.
    Some,
    /// None.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_even_when_idle_and_odd_while_an_interval_is_invalidated() {
        let mut sequence = Sequence::new();
        assert_eq!(sequence.number(), 2);
        sequence.start(Overlap::Some);
        assert_eq!(sequence.number(), 3);
        assert_eq!(sequence.end(), Ended::Idle);
        assert_eq!(sequence.number(), 4);
    }

    #[test]
    fn parallel_and_nested_starts_share_one_odd_number() {
        let mut sequence = Sequence::new();
        sequence.start(Overlap::Some);
        sequence.start(Overlap::Some);
        assert_eq!(sequence.number(), 3);
        assert_eq!(sequence.end(), Ended::Otherwise);
        assert_eq!(sequence.number(), 3);
        assert_eq!(sequence.end(), Ended::Idle);
        assert_eq!(sequence.number(), 4);
    }

    #[test]
    fn a_start_that_concerns_nobody_changes_nothing() {
        let mut sequence = Sequence::new();
        sequence.start(Overlap::None);
        assert_eq!((sequence.number(), sequence.when()), (2, When::Now));
        assert_eq!(sequence.end(), Ended::Otherwise);
        assert_eq!(sequence.number(), 2);
    }

    #[test]
    fn an_interval_that_comes_while_idle_has_the_odd_number_before() {
        let mut sequence = Sequence::new();
        assert_eq!(sequence.insert(), (When::Now, 1));
        assert_eq!(sequence.number(), 2);
    }

    #[test]
    fn an_interval_that_comes_while_a_start_is_open_makes_it_odd() {
        let mut sequence = Sequence::new();
        sequence.start(Overlap::None);
        assert_eq!(sequence.insert(), (When::Now, 3));
        assert_eq!(sequence.number(), 3);
        assert_eq!(sequence.end(), Ended::Idle);
    }

    #[test]
    fn an_interval_that_comes_while_odd_is_deferred() {
        let mut sequence = Sequence::new();
        sequence.start(Overlap::Some);
        assert_eq!(sequence.insert(), (When::AtIdle, 3));
        assert_eq!(sequence.when(), When::AtIdle);
        assert_eq!(sequence.end(), Ended::Idle);
        assert_eq!(sequence.when(), When::Now);
    }
}
