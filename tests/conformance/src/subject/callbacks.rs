//! What a subscriber registers: a set of callbacks, any of which may be missing.

use super::{Bounds, Change};

/// A callback without a result.
pub type Tell<A> = Box<dyn Fn(A) + Send + Sync>;
/// A callback that answers.
pub type Ask<A, R> = Box<dyn Fn(A) -> R + Send + Sync>;
/// A callback that is just called.
pub type Call = Box<dyn Fn() + Send + Sync>;

/// A subscriber could not follow without sleeping (Linux: `-EAGAIN`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again;

/// The callbacks of one subscriber (Linux: `struct mmu_notifier_ops`). Nothing keeps a case from
/// filling in what must not go together: an implementation refuses such a set when it is registered,
/// with [`Refused::ByType`](super::Refused::ByType) if its types have no place for it.
#[derive(Default)]
pub struct Callbacks {
    /// Before entries change.
    pub range_start: Option<Start>,
    /// After they did.
    pub range_end: Option<Tell<Change>>,
    /// Entries changed; never sleeps.
    pub secondary_tlb: Option<Tell<Bounds>>,
    /// Was it used? Forget it, and notice the next use.
    pub clear_flush_young: Option<Ask<Bounds, bool>>,
    /// As before, but the next use may go unnoticed.
    pub clear_young: Option<Ask<Bounds, bool>>,
    /// Was it used? Forget nothing.
    pub test_young: Option<Ask<Bounds, bool>>,
    /// The address space ends, or the subscriber is unregistered.
    pub release: Option<Call>,
    /// No callback runs or will run; for those that are shared only.
    pub free: Option<Call>,
}

/// A range start.
pub struct Start {
    /// When it may return an error.
    pub refuses: Refuses,
    /// The callback.
    pub call: Ask<Change, Result<(), Again>>,
}

/// When a range start may return an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuses {
    /// Never.
    Never,
    /// When it may not sleep, as the contract allows.
    WhenMustNotSleep,
    /// Also when it may sleep, which violates the contract.
    Always,
}

impl Start {
    /// One that never refuses.
    pub fn infallible(call: impl Fn(Change) + Send + Sync + 'static) -> Self {
        Self {
            refuses: Refuses::Never,
            call: Box::new(move |change| {
                call(change);
                Ok(())
            }),
        }
    }
}

impl Callbacks {
    /// Whether it has callbacks of those who have page tables of their own.
    pub fn has_ranges(&self) -> bool {
        self.range_start.is_some() || self.range_end.is_some()
    }

    /// Whether it is of both families.
    pub fn is_of_both_families(&self) -> bool {
        self.has_ranges() && self.secondary_tlb.is_some()
    }

    /// Whether its start may be refused although it has an end.
    pub fn refuses_and_has_end(&self) -> bool {
        let refuses = |start: &Start| start.refuses != Refuses::Never;
        self.range_start.as_ref().is_some_and(refuses) && self.range_end.is_some()
    }
}

/// What an interval's owner registers.
pub struct IntervalCallbacks {
    /// Entries of the interval are about to change. The implementation calls it with the interval's
    /// user lock held and its sequence number set before, which is what a driver of Linux does itself
    /// in this callback.
    pub invalidate: Ask<Change, Answer>,
}

/// What an interval's callback says.
pub enum Answer {
    /// The invalidation is complete.
    Done,
    /// This completes it, after everybody's first pass (Linux 7.1: `invalidate_finish`).
    Finish(Box<dyn FnOnce() + Send>),
    /// It would have had to sleep, and may not (Linux: `false`).
    Refuse,
}
