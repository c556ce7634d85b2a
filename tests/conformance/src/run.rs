//! Running cases.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::cases::all;
use crate::check::Failure;
use crate::quiet;
use crate::subject::Implementation;

/// What a case takes at most, unless somebody says otherwise.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rule holds.
    Passed,
    /// It does not, for this reason.
    Failed(String),
    /// The implementation has nothing to which the rule applies.
    NotOffered,
}

/// A case that was run.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The case.
    pub case: &'static Case,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub elapsed: Duration,
}

/// The cases whose section or name contains `filter`, or all; by section.
pub fn cases(filter: Option<&str>) -> Vec<&'static Case> {
    let wanted = |case: &&Case| {
        let name = format!("{case:?}");
        filter.is_none_or(|filter| name.contains(filter))
    };
    let mut selected: Vec<_> = all().filter(wanted).collect();
    selected.sort_by_key(|case| case.section);
    selected
}

/// Runs a case in a thread of its own, which has the case's name. One that panics has failed; one
/// that has not finished after `limit` too, and its thread is left behind.
pub fn run(
    case: &'static Case,
    implementation: &Arc<dyn Implementation>,
    limit: Duration,
) -> Finding {
    let began = Instant::now();
    let verdict = verdict(case, Arc::clone(implementation), limit);
    let elapsed = began.elapsed();
    Finding {
        case,
        verdict,
        elapsed,
    }
}

fn verdict(
    case: &'static Case,
    implementation: Arc<dyn Implementation>,
    limit: Duration,
) -> Verdict {
    let (sender, receiver) = channel();
    let body = move || {
        quiet::this_thread();
        let check = || (case.check)(&*implementation);
        // Whoever waited may have lost patience.
        let _unheard = sender.send(catch_unwind(AssertUnwindSafe(check)));
    };
    let named = thread::Builder::new().name(case.name.into());
    if let Err(error) = named.spawn(body) {
        return Verdict::Failed(format!("no thread could be started: {error}"));
    }
    match receiver.recv_timeout(limit) {
        Ok(Ok(Ok(()))) => Verdict::Passed,
        Ok(Ok(Err(Failure::NotOffered))) => Verdict::NotOffered,
        Ok(Ok(Err(Failure::Broken(reason)))) => Verdict::Failed(reason),
        Ok(Err(panic)) => Verdict::Failed(format!("it panicked: {}", words(&*panic))),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Verdict::Failed(
            format!("it did not finish within {} s", limit.as_secs_f32()),
        ),
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let fixed = panic.downcast_ref::<&str>().copied();
    fixed
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}
