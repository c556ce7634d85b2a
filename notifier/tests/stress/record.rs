//! What a subscriber knows of its own life, and checks whenever it is called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use crate::check;
use crate::jitter;

/// How far an address space is in its end.
#[derive(Default)]
pub(crate) struct Ending {
    /// Somebody is about to call exit.
    pub(crate) begun: AtomicBool,
    /// It has returned.
    pub(crate) done: AtomicBool,
}

/// Whether a subscriber is called after the address space's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterExit {
    /// Never.
    Silent,
    /// It is: intervals are watched until they are removed.
    Called,
}

/// A position in one order of the whole process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) fn now() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, SeqCst))
    }
}

/// What a release calls itself.
pub(crate) const RELEASE: &str = "release";

pub(crate) struct Record {
    pub(crate) name: String,
    /// Before it was registered.
    pub(crate) made: Moment,
    after_exit: AfterExit,
    ending: Arc<Ending>,
    running: AtomicU32,
    /// Its owner is about to take it out.
    leaving: AtomicBool,
    /// Taking it out has returned.
    gone: AtomicBool,
    released: AtomicU32,
    freed: AtomicU32,
}

impl Record {
    pub(crate) fn new(kind: &str, after_exit: AfterExit, ending: &Arc<Ending>) -> Arc<Self> {
        let made = Moment::now();
        Arc::new(Self {
            name: format!("{kind} {}", made.0),
            made,
            after_exit,
            ending: Arc::clone(ending),
            running: AtomicU32::new(0),
            leaving: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            released: AtomicU32::new(0),
            freed: AtomicU32::new(0),
        })
    }

    /// A callback begins, and ends when the result is dropped.
    pub(crate) fn call(&self, what: &'static str) -> Call<'_> {
        self.running.fetch_add(1, SeqCst);
        self.check_callable(what);
        jitter::pause();
        Call { record: self, what }
    }

    fn check_callable(&self, what: &str) {
        let name = &self.name;
        let exited = self.is_silent(what) && self.ending.done.load(SeqCst);
        check!(
            !self.gone.load(SeqCst),
            "{what} of {name} runs after it was taken out"
        );
        check!(
            self.freed.load(SeqCst) == 0,
            "{what} of {name} runs after it was freed"
        );
        check!(!exited, "{what} of {name} runs after exit has returned");
    }

    /// Whether nothing of this kind may run after exit. Whoever leaves waits for its callbacks itself,
    /// but exit waits for every release: the pages are freed then.
    fn is_silent(&self, what: &str) -> bool {
        let leaves = self.leaving.load(SeqCst) && what != RELEASE;
        self.after_exit == AfterExit::Silent && !leaves
    }

    /// Its release runs.
    pub(crate) fn release(&self) {
        let before = self.released.fetch_add(1, SeqCst);
        check!(before == 0, "{} is released again", self.name);
        jitter::linger();
    }

    /// Its free runs.
    pub(crate) fn free(&self) {
        let before = self.freed.fetch_add(1, SeqCst);
        check!(before == 0, "{} is freed again", self.name);
        let running = self.running.load(SeqCst);
        check!(
            running == 0,
            "{} is freed while {running} of its callbacks run",
            self.name
        );
    }

    /// Its owner takes it out by `take_out`.
    pub(crate) fn leave(&self, take_out: impl FnOnce()) {
        self.leaving.store(true, SeqCst);
        take_out();
        self.gone.store(true, SeqCst);
        let running = self.running.load(SeqCst);
        check!(
            running == 0,
            "{} was taken out while {running} of its callbacks run",
            self.name
        );
    }

    /// One of its users gives it back, maybe the last; callbacks that run go on to their end.
    pub(crate) fn give_back(&self) {
        self.leaving.store(true, SeqCst);
    }

    /// Whether an end may be missing: whoever leaves is not told it.
    pub(crate) fn may_miss_an_end(&self) -> bool {
        self.leaving.load(SeqCst) || self.ending.begun.load(SeqCst)
    }

    /// For its owner, who has it still.
    pub(crate) fn check_released_by_exit(&self) {
        if self.ending.done.load(SeqCst) {
            self.check_released();
        }
    }

    pub(crate) fn check_released(&self) {
        let released = self.released.load(SeqCst);
        check!(released == 1, "{} was released {released} times", self.name);
    }

    pub(crate) fn check_freed(&self) {
        let freed = self.freed.load(SeqCst);
        check!(freed == 1, "{} was freed {freed} times", self.name);
    }
}

/// A callback that runs.
pub(crate) struct Call<'a> {
    record: &'a Record,
    what: &'static str,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        jitter::pause();
        self.record.check_callable(self.what);
        self.record.running.fetch_sub(1, SeqCst);
    }
}
