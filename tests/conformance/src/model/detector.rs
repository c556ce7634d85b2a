//! What a thread is in the middle of.

use std::cell::RefCell;

use crate::subject::Refused;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// It holds the page-table lock of this space.
    Lock(usize),
    /// It has a window of this space.
    Window(usize),
    /// It runs a callback of this space that may sleep.
    Callback(usize),
    /// It runs one that may not.
    Atomic(usize, Kind),
    /// It holds the user lock of this interval.
    UserLock(usize),
}

/// Which callback must not sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SecondaryTlb,
    Nonblocking,
    Aging,
    Free,
}

impl Inside {
    pub(super) fn is_callback_of(self, space: usize) -> bool {
        matches!(self, Self::Callback(id) | Self::Atomic(id, _) if id == space)
    }
}

thread_local! {
    static STACK: RefCell<Vec<Inside>> = const { RefCell::new(Vec::new()) };
}

/// Until it is dropped.
pub(super) struct Entered(());

impl Entered {
    pub(super) fn new(inside: Inside) -> Self {
        STACK.with_borrow_mut(|stack| stack.push(inside));
        Self(())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        STACK.with_borrow_mut(Vec::pop);
    }
}

pub(super) fn is_inside(which: impl Fn(Inside) -> bool) -> bool {
    STACK.with_borrow(|stack| stack.iter().any(|inside| which(*inside)))
}

/// The outermost window of this thread: what its task works on.
pub(super) fn current_space() -> Option<usize> {
    STACK.with_borrow(|stack| {
        stack.iter().find_map(|inside| match inside {
            Inside::Window(id) => Some(*id),
            _ => None,
        })
    })
}

/// # Errors
/// [`Refused::Violation`] if the thread is in such a context.
pub(super) fn refuse(what: &str, which: impl Fn(Inside) -> bool) -> Result<(), Refused> {
    if is_inside(which) {
        return Err(Refused::Violation(what.into()));
    }
    Ok(())
}
