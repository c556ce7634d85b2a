//! What the host does while vCPUs and device count.

mod dirty_log;
mod mprotect;
mod uffd_wp;

use std::time::Instant;

use super::course::Course;
use super::frames::Words;
use super::space::Primary;
use super::{Ended, PrimaryError};

pub(super) use dirty_log::dirty_log;
pub(super) use mprotect::mprotect;
pub(super) use uffd_wp::{answer, uffd_wp};

/// What the host saw of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rounds {
    /// How often it took something.
    pub(super) made: u64,
    /// Pages whose words changed while they were taken.
    pub(super) changed: u64,
    /// Pages that were replaced.
    pub(super) replaced: u64,
    /// Pages whose place somebody used while it was empty.
    pub(super) intruded: u64,
}

/// How long a page that was taken is looked at for changes. Longer than a store takes to get from a
/// processor to memory.
const LOOK: std::time::Duration = std::time::Duration::from_micros(2);

/// Waits until nothing of these pages is taken, or until the run ends.
fn given(primary: &Primary, pages: &std::ops::Range<u64>, course: &Course<'_>) -> Option<Ended> {
    while !primary.has_given(pages) {
        if let Some(ended) = course.ends() {
            return Some(ended);
        }
        std::thread::yield_now();
    }
    course.ends()
}

/// The words of a page, and the same again after a look.
fn words_twice(primary: &Primary, page: u64) -> Result<(Words, Words), PrimaryError> {
    let before = primary.frames().words(page)?;
    let until = Instant::now() + LOOK;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    Ok((before, primary.frames().words(page)?))
}
