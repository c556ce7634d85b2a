//! A subscriber of the model.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::subject::Callbacks;

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Seat {
    pub(super) callbacks: Callbacks,
    state: Mutex<SeatState>,
    idle: Condvar,
}

#[derive(Default)]
struct SeatState {
    inside: u32,
    /// No callback begins any more.
    gone: bool,
    released: bool,
    /// Freed when nobody is inside.
    owes_free: bool,
}

impl Seat {
    pub(super) fn new(callbacks: Callbacks) -> Self {
        Self {
            callbacks,
            state: Mutex::default(),
            idle: Condvar::new(),
        }
    }

    /// Calls the subscriber unless it is gone; what it says, and whether it is to be freed now.
    pub(super) fn call<R>(&self, body: impl FnOnce(&Callbacks) -> R) -> (Option<R>, bool) {
        let mut state = lock(&self.state);
        if state.gone {
            return (None, false);
        }
        state.inside += 1;
        drop(state);
        let inside = Leave(self);
        let result = body(&self.callbacks);
        drop(inside);
        (Some(result), self.take_free())
    }

    pub(super) fn is_gone(&self) -> bool {
        lock(&self.state).gone
    }

    pub(super) fn go(&self) {
        lock(&self.state).gone = true;
    }

    /// Says once that it has not been released yet.
    pub(super) fn take_release(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).released, true)
    }

    pub(super) fn wait_idle(&self) {
        let state = lock(&self.state);
        drop(self.idle.wait_while(state, |state| state.inside > 0));
    }

    /// From now on it is to be freed when nobody is inside.
    pub(super) fn owe_free(&self) {
        lock(&self.state).owes_free = true;
    }

    /// Says once that it is to be freed.
    pub(super) fn take_free(&self) -> bool {
        let mut state = lock(&self.state);
        let now = state.owes_free && state.inside == 0;
        state.owes_free &= !now;
        now
    }
}

struct Leave<'a>(&'a Seat);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).inside -= 1;
        self.0.idle.notify_all();
    }
}
