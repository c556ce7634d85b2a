//! Callbacks that panic: the others are called all the same.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The first panic of several calls, kept until all are made.
///
/// Nothing of ours is left half-changed by a callback (see [`sync`](crate::sync)), and whatever is
/// of the subscriber's it knows of: so unwinding may go on later.
#[must_use = "what was caught has to go on"]
#[derive(Default)]
pub(super) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    /// Makes a call; `None` if it panicked.
    pub(super) fn catch<R>(&mut self, call: impl FnOnce() -> R) -> Option<R> {
        let caught = catch_unwind(AssertUnwindSafe(call));
        caught.map_err(|panic| self.0.get_or_insert(panic)).ok()
    }

    /// Makes a call for each, also after one that panicked.
    pub(super) fn catch_each<T>(&mut self, mut items: impl Iterator<Item = T>, call: impl Fn(T)) {
        while self.catch(|| items.by_ref().for_each(&call)).is_none() {}
    }

    /// Goes on with the first panic, if there was one; not while this thread unwinds already.
    pub(super) fn resume(self) {
        if let Some(panic) = self.0.filter(|_| !std::thread::panicking()) {
            resume_unwind(panic);
        }
    }
}
