//! mprotect of all pages, again and again.

use super::{Rounds, given, words_twice};
use crate::primary::course::Course;
use crate::primary::space::Primary;
use crate::primary::{Ended, PrimaryError};

/// Takes all pages at once and waits until vCPUs and device have had each of them back.
pub(in crate::primary) fn mprotect(
    primary: &Primary,
    course: &Course<'_>,
    rounds: &mut Rounds,
) -> Result<Ended, PrimaryError> {
    let pages = primary.frames().all();
    while rounds.made < course.config().tries {
        let mut changed = 0;
        primary.take(pages.clone(), || {
            for page in pages.clone() {
                let (before, after) = words_twice(primary, page)?;
                changed += u64::from(before != after);
            }
            Ok(())
        })?;
        rounds.changed += changed;
        rounds.made += 1;
        if let Some(ended) = given(primary, &pages, course) {
            return Ok(ended);
        }
    }
    Ok(Ended::Complete)
}
