//! What a thread must not do just now, and the place that forbids it.
//!
//! Much of the contract's context rules is a matter of types: a guard borrows what may not be used
//! while it lives. What crosses a call into somebody else's code can't be, so every thread keeps a
//! list of what it is in the middle of. Linux has `might_sleep` and lockdep for that.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

type Place = &'static Location<'static>;

/// What a thread is in the middle of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// It holds this space's page-table lock.
    PageTableLock(SpaceId),
    /// It runs a callback of a subscriber of this space, which may sleep.
    Callback(SpaceId),
    /// It runs one which may not.
    AtomicCallback(SpaceId),
    /// It holds the lock that an interval's invalidation takes.
    UserLock(LockId),
    /// It has a mutation of this space.
    Mutation(SpaceId),
}

/// Which address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpaceId(pub(super) usize);

/// Which user lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LockId(pub(super) usize);

impl Context {
    fn forbids_sleep(self) -> bool {
        matches!(self, Self::PageTableLock(_) | Self::AtomicCallback(_))
    }

    fn is_user_lock(self) -> bool {
        matches!(self, Self::UserLock(_))
    }

    fn is_callback_of(self, space: SpaceId) -> bool {
        self == Self::Callback(space) || self == Self::AtomicCallback(space)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PageTableLock(_) => "holds the page-table lock, taken",
            Self::Callback(_) => "runs a subscriber's callback, called",
            Self::AtomicCallback(_) => "runs a subscriber's callback that must not sleep, called",
            Self::UserLock(_) => "holds the lock that the interval's invalidation takes, locked",
            Self::Mutation(_) => "has a mutation of the address space, begun",
        })
    }
}

thread_local! {
    static STACK: RefCell<Vec<(Context, Place)>> = const { RefCell::new(Vec::new()) };
    /// How many on the stack forbid sleeping.
    static ATOMIC: Cell<u32> = const { Cell::new(0) };
    /// How many user locks it holds.
    static USER_LOCKS: Cell<u32> = const { Cell::new(0) };
    static MOVABLE: Arc<Movable> = Arc::default();
}

/// The contexts of a thread that may end on another one.
#[derive(Default)]
struct Movable(Mutex<Vec<(Context, Place)>>);

/// A context of the thread that made it, until it is dropped there.
pub(super) struct Inside {
    context: Context,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Inside {
    #[track_caller]
    pub(super) fn new(context: Context) -> Self {
        let place = Location::caller();
        // At a thread's very end the list may be gone: then there is nothing left to refuse.
        let _ended = STACK.try_with(|stack| stack.borrow_mut().push((context, place)));
        ATOMIC.set(ATOMIC.get() + u32::from(context.forbids_sleep()));
        USER_LOCKS.set(USER_LOCKS.get() + u32::from(context.is_user_lock()));
        Self {
            context,
            _not_send: std::marker::PhantomData,
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        ATOMIC.set(ATOMIC.get() - u32::from(self.context.forbids_sleep()));
        USER_LOCKS.set(USER_LOCKS.get() - u32::from(self.context.is_user_lock()));
        let _ended = STACK.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            // Nearly always the last; locks may be released in another order.
            let at = stack
                .iter()
                .rposition(|(context, _)| *context == self.context);
            at.map(|at| stack.remove(at));
        });
    }
}

/// A context of the thread that made it, until it is dropped, wherever that is.
pub(super) struct MovableInside {
    thread: Arc<Movable>,
    entry: (Context, Place),
}

impl MovableInside {
    #[track_caller]
    pub(super) fn new(context: Context) -> Self {
        let thread = MOVABLE.try_with(Arc::clone).unwrap_or_default();
        let entry = (context, Location::caller());
        lock(&thread.0).push(entry);
        Self { thread, entry }
    }
}

impl Drop for MovableInside {
    fn drop(&mut self) {
        let mut entries = lock(&self.thread.0);
        let at = entries.iter().rposition(|entry| *entry == self.entry);
        at.map(|at| entries.swap_remove(at));
    }
}

/// States that the caller may sleep; for subscribers and whoever else is called by this crate.
///
/// # Panics
/// If the thread holds a page-table lock, or runs a callback that must not sleep. The message names
/// this place and that one.
#[track_caller]
#[inline]
pub fn might_sleep() {
    if ATOMIC.get() > 0 {
        refuse("what may sleep is called", Context::forbids_sleep);
    }
}

/// For what waits until callbacks and mutations of `space` have ended.
#[track_caller]
pub(super) fn might_wait_for(space: SpaceId) {
    might_wait_for_callbacks(space);
    no_user_lock();
    refuse("what waits for mutations is called", |context| {
        context == Context::Mutation(space)
    });
}

/// For what waits until callbacks of `space` have ended.
#[track_caller]
pub(super) fn might_wait_for_callbacks(space: SpaceId) {
    might_sleep();
    not_in_callback(space);
}

/// For what must not be called by a callback of `space`.
#[track_caller]
pub(super) fn not_in_callback(space: SpaceId) {
    refuse("what no callback may call is called", |context| {
        context.is_callback_of(space)
    });
}

/// For taking the page-table lock of `space`.
#[track_caller]
pub(super) fn not_page_table_locked(space: SpaceId) {
    refuse("the page-table lock is taken", |context| {
        context == Context::PageTableLock(space) || context == Context::AtomicCallback(space)
    });
}

/// For what waits until invalidations have ended or begins one, which takes user locks: this
/// interval's or, in a circle through another thread, any other's.
#[track_caller]
#[inline]
pub(super) fn no_user_lock() {
    if USER_LOCKS.get() > 0 {
        refuse("what waits for user locks is called", |context| {
            matches!(context, Context::UserLock(_))
        });
    }
}

/// For locking a user lock.
#[track_caller]
pub(super) fn not_user_locked(lock: LockId) {
    refuse("an interval's user lock is locked", |context| {
        context == Context::UserLock(lock)
    });
}

/// Panics if the thread is in a context that is `forbidden`.
#[track_caller]
#[inline(never)]
fn refuse(what: &str, forbidden: impl Fn(Context) -> bool) {
    // Under loom all threads are one; while unwinding, a second panic would abort.
    if cfg!(loom) || std::thread::panicking() {
        return;
    }
    if let Some((context, place)) = find(forbidden) {
        let here = Location::caller();
        panic!("{what} at {here} by a thread that {context} at {place}");
    }
}

fn find(forbidden: impl Fn(Context) -> bool) -> Option<(Context, Place)> {
    let newest = |entries: &[(Context, Place)]| {
        let mut newest_first = entries.iter().rev();
        newest_first
            .find(|(context, _)| forbidden(*context))
            .copied()
    };
    let on_stack = STACK.try_with(|stack| newest(&stack.borrow()));
    on_stack.ok().flatten().or_else(|| {
        let moved = MOVABLE.try_with(|thread| newest(&lock(&thread.0)));
        moved.ok().flatten()
    })
}
