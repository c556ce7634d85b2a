//! userfaultfd's write protection of one page after the other.

use super::{Rounds, given, words_twice};
use crate::primary::course::Course;
use crate::primary::space::Primary;
use crate::primary::userfault::{Replaced, Userfault};
use crate::primary::{Ended, PrimaryError};

/// Every so many times the page is replaced by one with the same contents while it is taken.
const REPLACE: u64 = 4;
/// Milliseconds between two looks at whether the run is over.
const WAIT: i32 = 10;

/// Protects one page after the other, each once it has been given back.
pub(in crate::primary) fn uffd_wp(
    primary: &Primary,
    userfault: &Userfault,
    course: &Course<'_>,
    rounds: &mut Rounds,
) -> Result<Ended, PrimaryError> {
    let count = primary.frames().count();
    while rounds.made < course.config().tries {
        let page = rounds.made % count;
        if let Some(ended) = given(primary, &(page..page + 1), course) {
            return Ok(ended);
        }
        let mut seen = Rounds::default();
        primary.take(page..page + 1, || {
            let (before, mut after) = words_twice(primary, page)?;
            if (rounds.made / count).is_multiple_of(REPLACE) {
                let replaced = userfault.replace(page)?;
                seen.replaced += 1;
                seen.intruded += u64::from(replaced == Replaced::Taken);
                after = primary.frames().words(page)?;
            }
            seen.changed += u64::from(before != after);
            Ok(())
        })?;
        rounds.changed += seen.changed;
        rounds.replaced += seen.replaced;
        rounds.intruded += seen.intruded;
        rounds.made += 1;
    }
    Ok(Ended::Complete)
}

/// The monitor: answers every fault until the run is over.
pub(in crate::primary) fn answer(
    primary: &Primary,
    userfault: &Userfault,
    course: &Course<'_>,
) -> Result<(), PrimaryError> {
    let epoll = userfault.epoll()?;
    while !course.is_over() {
        for page in userfault.faults(&epoll, WAIT)? {
            primary.answer_vcpu(page)?;
        }
    }
    Ok(())
}
