//! Threads of a case, none of which can keep the case waiting for ever.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::check::{Failure, Outcome, holds};
use crate::quiet;
use crate::subject::{Bounds, Event, Ranges};

/// Long enough to see that something waits.
pub(crate) const A_WHILE: Duration = Duration::from_millis(40);
/// Longer than anything takes that does not wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// Something that runs beside the case.
pub(crate) struct Task<T> {
    receiver: Receiver<thread::Result<T>>,
    early: Option<thread::Result<T>>,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(body: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        let name = thread::current().name().unwrap_or("case").to_owned();
        let run = move || {
            quiet::this_thread();
            // Nobody may be left to hear of it.
            let _unheard = sender.send(catch_unwind(AssertUnwindSafe(body)));
        };
        let started = thread::Builder::new().name(name).spawn(run);
        assert!(started.is_ok(), "the host has no thread left");
        let early = None;
        Self { receiver, early }
    }

    /// Whether it has not finished after [`A_WHILE`].
    pub(crate) fn waits(&mut self) -> bool {
        self.early = self.receiver.recv_timeout(A_WHILE).ok();
        self.early.is_none()
    }

    /// What it came to.
    pub(crate) fn finish(self, what: &str) -> Result<T, Failure> {
        let done = match self.early {
            Some(done) => Ok(done),
            None => self.receiver.recv_timeout(PATIENCE),
        };
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(
                Failure::Broken(format!("{what} did not finish within {PATIENCE:?}")),
            ),
        }
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(rule: &str, condition: impl Fn() -> bool) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        holds(Instant::now() < deadline, rule)?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A window that another thread has open.
pub(crate) struct OpenWindow {
    task: Task<Outcome>,
    close: Sender<()>,
}

impl OpenWindow {
    pub(crate) fn open<S: Ranges + ?Sized + 'static>(
        space: &Arc<S>,
        event: Event,
        bounds: Bounds,
    ) -> Result<Self, Failure> {
        let space = Arc::clone(space);
        Self::with(move |body| Ok(space.invalidate(event, bounds, body)?))
    }

    /// One that `invalidate` opens and closes around its argument.
    pub(crate) fn with(
        invalidate: impl FnOnce(&mut dyn FnMut()) -> Outcome + Send + 'static,
    ) -> Result<Self, Failure> {
        let (opened, is_open) = channel();
        let (close, closing) = channel();
        let task = Task::spawn(move || {
            invalidate(&mut || {
                // Whoever does not listen any more has failed already.
                let _unheard = opened.send(());
                let _closed = closing.recv_timeout(10 * PATIENCE);
            })
        });
        match is_open.recv_timeout(PATIENCE) {
            Ok(()) => Ok(Self { task, close }),
            Err(_) => {
                task.finish("a start")??;
                Err(Failure::Broken("a window did not open".into()))
            }
        }
    }

    pub(crate) fn close(self) -> Outcome {
        drop(self.close);
        self.task.finish("an end")?
    }
}

/// A place in a callback at which it is kept until it is let go.
#[derive(Default)]
pub(crate) struct Hold {
    state: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    entered: bool,
    let_go: bool,
}

impl Hold {
    /// Called by the callback: stays, but not for ever.
    pub(crate) fn stay(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.entered = true;
        self.changed.notify_all();
        let waited = self
            .changed
            .wait_timeout_while(state, 5 * PATIENCE, |state| !state.let_go);
        drop(waited);
    }

    pub(crate) fn wait_entered(&self, what: &str) -> Outcome {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !state.entered);
        let entered = waited.is_ok_and(|(state, _)| state.entered);
        holds(entered, &format!("{what} was not called"))
    }

    pub(crate) fn let_go(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.let_go = true;
        self.changed.notify_all();
    }
}
