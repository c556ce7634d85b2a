//! Models of their own, written by hand and searched without the engine, to compare with.

use std::collections::BTreeSet;

use notifier::explore::Cell;

use crate::{report, scenario};

/// `write-protect` for `cmpxchg` on `dirty-non-atomic`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    w: bool,
    d: bool,
    /// W and D of what CPU0's TLB holds.
    tlb: Option<(bool, bool)>,
    /// 0 before its store, 1 after it looked, 2 after it set D, 3 done.
    cpu0: u8,
    /// 0 before its read, 1 after it, 2 when the exchange is done (and the operation returns), 3 done.
    cpu1: u8,
    /// D as CPU1 read it.
    read: bool,
    late_store: bool,
}

impl State {
    fn is_shadow_stack(&self) -> bool {
        !self.w && self.d
    }

    fn cpu0(mut self) -> Option<Self> {
        match self.cpu0 {
            0 if self.tlb == Some((true, true)) => {
                self.late_store = self.cpu1 == 3;
                self.cpu0 = 3;
            }
            0 => {
                self.cpu0 = if self.tlb.map_or(self.w, |(w, _)| w) {
                    1
                } else {
                    3
                }
            }
            1 => (self.d, self.cpu0) = (true, 2),
            2 => {
                self.tlb = Some((self.w, true));
                self.late_store = self.w && self.cpu1 == 3;
                self.cpu0 = 3;
            }
            _ => return None,
        }
        Some(self)
    }

    /// The operation returns with the last step, in which nobody else sees anything.
    fn cpu1(mut self) -> Option<Self> {
        match self.cpu1 {
            0 => (self.read, self.cpu1) = (self.d, 1),
            1 if self.w && self.d == self.read => (self.w, self.d, self.cpu1) = (false, false, 3),
            1 => self.cpu1 = 0,
            _ => return None,
        }
        Some(self)
    }
}

fn initial() -> BTreeSet<State> {
    let state = |d, tlb| State {
        w: true,
        d,
        tlb,
        ..State::default()
    };
    let clean = [state(false, None), state(false, Some((true, false)))];
    let dirty = [state(true, None), state(true, Some((true, true)))];
    clean.into_iter().chain(dirty).collect()
}

/// In how few steps a state that shows something is reached: all sets of states of so many steps,
/// one after the other, nothing remembered.
fn fewest(shows: impl Fn(&State) -> bool) -> Option<usize> {
    let mut states = initial();
    (0..20).find(|_| {
        let found = states.iter().any(&shows);
        states = states
            .iter()
            .flat_map(|state| [state.cpu0(), state.cpu1()])
            .flatten()
            .collect();
        found
    })
}

#[test]
fn a_model_written_by_hand_needs_as_many_steps() {
    let cell = Cell {
        os: Some("cmpxchg".into()),
        hardware: Some("dirty-non-atomic".into()),
    };
    let report = report(&scenario("write-protect"), &cell);
    let steps = |name: &str| {
        let property = report
            .properties
            .iter()
            .find(|one| one.property == name)
            .unwrap();
        property.trace.as_ref().map(|trace| trace.steps.len())
    };
    let done = |state: &State| state.cpu0 == 3 && state.cpu1 == 3;
    assert_eq!(
        steps("no-transient-shadow-stack"),
        fewest(State::is_shadow_stack)
    );
    assert_eq!(
        steps("no-final-shadow-stack"),
        fewest(|state| done(state) && state.is_shadow_stack())
    );
    assert_eq!(
        steps("no-store-after-return"),
        fewest(|state| state.late_store)
    );
    assert_eq!(steps("no-lost-dirty"), None);
}
