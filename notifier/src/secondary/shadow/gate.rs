//! Whether an entry may be made: KVM's bookkeeping of invalidations.

use crate::addr::{AddrRange, Gva};

/// What is being invalidated, and how often something was (Linux: the `mmu_invalidate_*` and
/// `mn_active_invalidate_count` fields of `struct kvm`).
///
/// Its holder's lock is the `mmu_lock`. A fault takes a [`Sample`], looks at the primary page table
/// without the lock, takes the lock, and asks [`must_retry`](Self::must_retry).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// Notifications that have started and not ended, whatever they are about.
    active: u64,
    /// Those of them that are about something mapped.
    in_progress: u64,
    /// What these are about, in one range.
    merged: Option<AddrRange<Gva>>,
    /// How many of these have ended.
    sequence: u64,
}

/// The state of a gate at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(u64);

/// Whether an invalidation is about anything that can be mapped, which has to be the same at its
/// start and at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relevance {
    /// A memory slot overlaps it.
    Mapped,
    /// None does.
    Elsewhere,
}

/// An end came without its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an invalidation ended that had not started")]
pub struct Unbalanced;

impl Gate {
    /// An invalidation starts.
    ///
    /// Ranges are merged, and stay so until none is in progress: when one ends, nobody knows what
    /// of the merged range was its own. So an entry may be refused for longer than it has to be,
    /// never for less long.
    pub fn start(&mut self, range: AddrRange<Gva>, relevance: Relevance) {
        self.active += 1;
        if relevance == Relevance::Mapped {
            self.in_progress += 1;
            let merged = self.merged.map_or(range, |other| other.hull(range));
            self.merged = Some(merged);
        }
    }

    /// An invalidation ends.
    ///
    /// The sequence moves first (KVM: before `mmu_invalidate_in_progress` goes down, with a barrier
    /// between them), so that no fault sees neither.
    ///
    /// # Errors
    /// [`Unbalanced`] if there is none to end; then nothing changes.
    pub fn end(&mut self, relevance: Relevance) -> Result<(), Unbalanced> {
        let active = self.active.checked_sub(1).ok_or(Unbalanced)?;
        if relevance == Relevance::Mapped {
            self.in_progress = self.in_progress.checked_sub(1).ok_or(Unbalanced)?;
            self.sequence += 1;
            if self.in_progress == 0 {
                self.merged = None;
            }
        }
        self.active = active;
        Ok(())
    }

    /// To be taken before the primary page table is looked at.
    pub fn sample(&self) -> Sample {
        Sample(self.sequence)
    }

    /// Whether what was found at `address` since `sample` may be out of date (KVM:
    /// `mmu_invalidate_retry_gfn`): it is being invalidated, or something was since.
    pub fn must_retry(&self, sample: Sample, address: Gva) -> bool {
        let hit = |range: AddrRange<Gva>| range.contains(address);
        self.merged.is_some_and(hit) || self.sequence != sample.0
    }

    /// Whether no notification is between its start and its end, so that memory slots may change
    /// places: an end must meet the slots that its start met.
    pub fn is_idle(&self) -> bool {
        self.active == 0
    }

    /// Forgets notifications whose ends never come, since their subscriber was unregistered in
    /// between (KVM: `kvm_destroy_vm`). Returns how many there were.
    pub fn heal(&mut self) -> u64 {
        self.in_progress = 0;
        self.merged = None;
        std::mem::take(&mut self.active)
    }
}

#[cfg(test)]
mod tests {
    use super::Relevance::{Elsewhere, Mapped};
    use super::*;
    use crate::test_space::{page, range};

    fn at(n: u64) -> Gva {
        page(n).to_gva()
    }

    /// Case 39.
    #[test]
    fn an_address_is_refused_while_it_is_invalidated_and_its_neighbour_is_not() {
        let mut gate = Gate::default();
        gate.start(range(1), Mapped);
        let sample = gate.sample();
        assert!(gate.must_retry(sample, at(1)));
        assert!(!gate.must_retry(sample, at(0)) && !gate.must_retry(sample, at(2)));
    }

    /// Case 40: over before the lock is taken, and so nothing is in progress any more.
    #[test]
    fn an_invalidation_since_the_sample_refuses_every_address() {
        let mut gate = Gate::default();
        let before = gate.sample();
        gate.start(range(1), Mapped);
        gate.end(Mapped).unwrap();
        assert!(gate.must_retry(before, at(1)) && gate.must_retry(before, at(5)));
        assert!(!gate.must_retry(gate.sample(), at(1)));
    }

    /// Case 41.
    #[test]
    fn ranges_are_merged_until_the_last_has_ended() {
        let mut gate = Gate::default();
        gate.start(range(1), Mapped);
        gate.start(range(5), Mapped);
        gate.end(Mapped).unwrap();
        let sample = gate.sample();
        for n in 1..=5 {
            assert!(gate.must_retry(sample, at(n)), "{n}");
        }
        assert!(!gate.must_retry(sample, at(6)));
        gate.end(Mapped).unwrap();
        gate.start(range(5), Mapped);
        assert!(
            !gate.must_retry(gate.sample(), at(1)),
            "forgotten at nought"
        );
    }

    #[test]
    fn what_is_mapped_nowhere_keeps_slots_in_place_and_refuses_nothing() {
        let mut gate = Gate::default();
        let before = gate.sample();
        gate.start(range(1), Elsewhere);
        assert!(!gate.is_idle());
        assert!(!gate.must_retry(before, at(1)));
        gate.end(Elsewhere).unwrap();
        assert!(gate.is_idle());
        assert!(!gate.must_retry(before, at(1)));
    }

    /// Cases 42 and 43.
    #[test]
    fn counts_balance_and_an_end_too_much_is_an_error() {
        let mut gate = Gate::default();
        for n in 0..3 {
            gate.start(range(n), Mapped);
        }
        for _ in 0..3 {
            gate.end(Mapped).unwrap();
        }
        let balanced = gate;
        assert_eq!(gate.end(Mapped), Err(Unbalanced));
        assert_eq!(gate.end(Elsewhere), Err(Unbalanced));
        gate.start(range(0), Elsewhere);
        assert_eq!(gate.end(Mapped), Err(Unbalanced));
        gate.end(Elsewhere).unwrap();
        assert_eq!(gate, balanced);
    }

    #[test]
    fn a_dangling_start_is_forgotten_on_demand() {
        let mut gate = Gate::default();
        gate.start(range(0), Mapped);
        gate.start(range(1), Elsewhere);
        assert_eq!(gate.heal(), 2);
        assert!(gate.is_idle());
        assert!(!gate.must_retry(gate.sample(), at(0)));
    }
}
