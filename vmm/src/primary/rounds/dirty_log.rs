//! A copy that is kept up by the dirty log.

use std::time::{Duration, Instant};

use super::Rounds;
use crate::primary::copy::Copy;
use crate::primary::course::Course;
use crate::primary::dirty_log::DirtyLog;
use crate::primary::space::Primary;
use crate::primary::{Ended, PrimaryError};

/// How long a round waits for the device. It takes microseconds, if it gets a processor.
const DEVICE: Duration = Duration::from_millis(50);

/// Takes the log and copies what it names, again and again.
pub(in crate::primary) fn dirty_log(
    primary: &Primary,
    (log, copy): (&DirtyLog, &mut Copy),
    course: &Course<'_>,
    rounds: &mut Rounds,
) -> Result<Ended, PrimaryError> {
    while rounds.made < course.config().tries {
        if let Some(ended) = course.ends() {
            return Ok(ended);
        }
        wait_for_device(log, course);
        copy.update(primary, log)?;
        rounds.made += 1;
    }
    Ok(Ended::Complete)
}

/// Until the device has something in its log, which the vCPUs always have. One that gave up, or that
/// goes on by an old entry, has nothing any more.
fn wait_for_device(log: &DirtyLog, course: &Course<'_>) {
    let until = Instant::now() + DEVICE;
    while !log.has_device() && Instant::now() < until && course.ends().is_none() {
        std::thread::yield_now();
    }
}
