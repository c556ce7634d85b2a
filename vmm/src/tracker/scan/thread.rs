//! The thread that scans: every so often, and when it is asked to.
//!
//! The event loop must not scan itself. An invalidation waits for accesses that a device holds open,
//! and only the event loop lets those go. So it asks, and goes on when it hears that it is done.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::Scan;
use crate::lock::lock;

/// Time between two scans that nobody asks for.
const INTERVAL: Duration = Duration::from_millis(1);

/// A scan that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Scans on a thread of its own while the machine runs, and for whoever can wait on his own.
pub(crate) struct Scanner {
    scan: Scan,
    asked: Mutex<Asked>,
    wake: Condvar,
    /// Rings when a scan is done that was asked for.
    bell: EventFd,
}

#[derive(Default)]
struct Asked {
    last: u64,
    done: u64,
    over: bool,
}

/// The thread. Dropping it ends it, once the scan that it is at is done.
pub(crate) struct Scanning {
    scanner: Arc<Scanner>,
    thread: Option<JoinHandle<()>>,
}

impl Scanner {
    /// A scanner whose thread does not run yet.
    ///
    /// # Errors
    /// If the host gives no event descriptor.
    pub(crate) fn new(scan: Scan) -> io::Result<Self> {
        Ok(Self {
            scan,
            asked: Mutex::default(),
            wake: Condvar::new(),
            bell: EventFd::new(EFD_NONBLOCK)?,
        })
    }

    /// What it does.
    pub(crate) fn scan(&self) -> &Scan {
        &self.scan
    }

    /// What rings when [`is_done`](Self::is_done) has something new to say.
    pub(crate) fn bell(&self) -> &EventFd {
        &self.bell
    }

    /// Asks for a scan that begins after this call.
    pub(crate) fn ask(&self) -> Ticket {
        let mut asked = lock(&self.asked);
        asked.last += 1;
        self.wake.notify_one();
        Ticket(asked.last)
    }

    /// Whether it is done.
    pub(crate) fn is_done(&self, ticket: Ticket) -> bool {
        Ticket(lock(&self.asked).done) >= ticket
    }

    /// Starts the thread. `failed` is called on it, once, if what the guest has written can't be
    /// followed.
    ///
    /// # Errors
    /// If the host gives no thread.
    pub(crate) fn start(
        self: &Arc<Self>,
        failed: impl FnOnce() + Send + 'static,
    ) -> io::Result<Scanning> {
        let scanner = Arc::clone(self);
        let body = Builder::new().name("scan".into());
        let thread = body.spawn(move || {
            scanner.work();
            if scanner.scan.failure().is_some() {
                failed();
            }
        })?;
        Ok(Scanning {
            scanner: Arc::clone(self),
            thread: Some(thread),
        })
    }

    /// Until it is over, or something can't be followed.
    fn work(&self) {
        while let Some(last) = self.next() {
            if self.scan.now().is_err() {
                return;
            }
            self.done(last);
        }
    }

    /// Waits for somebody to ask or for the time to pass. The last who has asked; `None` if it is
    /// over.
    fn next(&self) -> Option<u64> {
        let idle = |asked: &mut Asked| !asked.over && asked.last == asked.done;
        let waited = self
            .wake
            .wait_timeout_while(lock(&self.asked), INTERVAL, idle);
        let (asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!asked.over).then_some(asked.last)
    }

    fn done(&self, last: u64) {
        let mut asked = lock(&self.asked);
        let news = asked.done < last;
        asked.done = last;
        drop(asked);
        if news && let Err(error) = self.bell.write(1) {
            log::debug!("the scanner's bell is ringing already: {error}");
        }
    }
}

impl Drop for Scanning {
    fn drop(&mut self) {
        lock(&self.scanner.asked).over = true;
        self.scanner.wake.notify_one();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            log::error!("the scanning thread panicked");
        }
    }
}
