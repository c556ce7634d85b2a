//! The way into a subscriber's callbacks, which can be shut.

use crate::sync::model::{AtomicU64, Condvar, Mutex, Ordering, lock, wait_while};

const SHUT: u64 = 1 << 63;

/// Lets callbacks in until it is shut, and knows when the last one has left.
///
/// ```text
/// open, n inside --enter--> open, n+1 inside        shut, n inside --leave--> shut, n-1 inside
///       |                                                  |
///       +--shut--> shut, n inside                          +--n = 0--> empty, exactly once
/// ```
/// It takes the place of Linux's SRCU: not "every reader there was has gone", but "nobody is inside
/// this one subscriber". So unregistering one subscriber does not wait for a slow other one.
pub(super) struct Gate {
    /// [`SHUT`], and how many are inside.
    state: AtomicU64,
    /// Whether whoever emptied it has finished with that.
    empty: Mutex<bool>,
    emptied: Condvar,
}

/// What entering or shutting has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The gate is open, or somebody is still inside, or it was shut and empty before.
    Otherwise,
    /// The gate is shut and nobody is inside any more: said once in the life of a gate.
    Empty,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            empty: Mutex::new(false),
            emptied: Condvar::new(),
        }
    }

    /// Whether the caller is inside now; if so it must leave.
    pub(super) fn enter(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & SHUT == 0 {
            // Relaxed: who enters learns nothing from the gate but that it is open.
            let entered = self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match entered {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Whoever entered goes. If this says [`Left::Empty`], the caller calls
    /// [`tell_empty`](Self::tell_empty) when it has done what is to be done then.
    pub(super) fn leave(&self) -> Left {
        // Release: what was done inside is seen by who finds the gate empty. Acquire: and by us.
        match self.state.fetch_sub(1, Ordering::AcqRel) - 1 {
            SHUT => Left::Empty,
            _ => Left::Otherwise,
        }
    }

    /// Lets nobody in from now on. As for [`leave`](Self::leave) if it says [`Left::Empty`].
    pub(super) fn shut(&self) -> Left {
        match self.state.fetch_or(SHUT, Ordering::AcqRel) {
            0 => Left::Empty,
            _ => Left::Otherwise,
        }
    }

    /// Lets those go on who wait for the gate to be empty.
    pub(super) fn tell_empty(&self) {
        *lock(&self.empty) = true;
        self.emptied.notify_all();
    }

    /// Waits until the gate, which somebody shuts, is empty.
    pub(super) fn wait_empty(&self) {
        drop(wait_while(&self.emptied, lock(&self.empty), |empty| {
            !*empty
        }));
    }
}
