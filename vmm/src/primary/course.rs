//! How far a run is, for whoever takes part in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Ended, PrimaryConfig, PrimaryError};
use crate::lock::lock;

/// Between two tries of somebody whom nobody answers.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// What went wrong beside the guest, the first of it.
#[derive(Default)]
pub(super) struct Failures(Mutex<Option<PrimaryError>>);

impl Failures {
    /// Something went wrong.
    pub(super) fn add(&self, error: PrimaryError) {
        lock(&self.0).get_or_insert(error);
    }

    fn any(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// What it was.
    pub(super) fn take(&self) -> Option<PrimaryError> {
        lock(&self.0).take()
    }
}

/// How far a run is, for whoever takes part.
pub(super) struct Course<'a> {
    config: PrimaryConfig,
    interrupted: &'a AtomicBool,
    deadline: Instant,
    over: AtomicBool,
    failures: Arc<Failures>,
}

impl<'a> Course<'a> {
    /// One that begins now.
    pub(super) fn new(
        config: &PrimaryConfig,
        interrupted: &'a AtomicBool,
        failures: &Arc<Failures>,
    ) -> Self {
        Self {
            config: *config,
            interrupted,
            deadline: Instant::now() + config.limit,
            over: AtomicBool::new(false),
            failures: Arc::clone(failures),
        }
    }

    /// It is over when this is dropped, whatever happens until then.
    pub(super) fn over_on_drop(&self) -> impl Drop {
        Over(&self.over)
    }

    /// Something went wrong, and the host is to stop.
    pub(super) fn failed(&self, error: PrimaryError) {
        self.failures.add(error);
    }

    /// What it is to be.
    pub(super) fn config(&self) -> &PrimaryConfig {
        &self.config
    }

    /// Whether no vCPU runs any more.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Why the host is to stop now, if it is.
    pub(super) fn ends(&self) -> Option<Ended> {
        if self.interrupted.load(Ordering::Relaxed) {
            Some(Ended::Interrupted)
        } else if Instant::now() >= self.deadline {
            Some(Ended::Limit)
        } else if self.is_over() || self.failures.any() {
            Some(Ended::Stopped("before the host was done".into()))
        } else {
            None
        }
    }
}

/// Whatever happens, who takes part hears that it is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
