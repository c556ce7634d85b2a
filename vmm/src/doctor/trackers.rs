//! Which trackers work, by trying each on a machine that is thrown away.

use kvm_ioctls::Kvm;

use super::{Area, Finding, State};
use crate::tracker::{self, TrackerKind};

/// One for each tracker.
pub(super) fn findings(kvm: &Kvm) -> Vec<Finding> {
    let pages = tracker::dirty_pages(kvm);
    let all = TrackerKind::ALL.into_iter().map(|kind| match kind {
        TrackerKind::Scan(_) => TrackerKind::Scan(pages),
        other => other,
    });
    all.map(|kind| {
        finding(
            kind,
            tracker::works(kvm, kind).map_err(|error| error.to_string()),
        )
    })
    .collect()
}

fn finding(kind: TrackerKind, works: Result<bool, String>) -> Finding {
    let remedy = "use another tracker: `--tracker auto` finds one that works";
    let (state, what, remedy) = match works {
        Ok(true) => (State::Ok, tried(kind), None),
        Ok(false) => (
            State::Missing,
            "does not work here: a guest was tried with it".into(),
            Some(remedy.into()),
        ),
        Err(error) => (State::Unknown, error, Some(remedy.into())),
    };
    Finding {
        area: Area::Tracker,
        name: kind.to_string(),
        state,
        what,
        measured: None,
        remedy,
    }
}

fn tried(kind: TrackerKind) -> String {
    match kind {
        TrackerKind::Scan(pages) => format!("works: tried, by {pages}"),
        TrackerKind::Trap | TrackerKind::Announce => "works: tried".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::scan::DirtyPages;

    #[test]
    fn a_tracker_that_does_not_work_comes_with_what_to_do() {
        let found = [Ok(true), Ok(false), Err("no memory".into())];
        let found = found.map(|works| finding(TrackerKind::Trap, works));
        let states = found.each_ref().map(|finding| finding.state);
        assert_eq!(states, [State::Ok, State::Missing, State::Unknown]);
        let remedies = found.each_ref().map(|finding| finding.remedy.is_some());
        assert_eq!(remedies, [false, true, true]);
        assert_eq!(found[2].what, "no memory");
    }

    #[test]
    fn scanning_says_by_what() {
        let found = [DirtyPages::Ring, DirtyPages::Log]
            .map(|pages| finding(TrackerKind::Scan(pages), Ok(true)).what);
        let by = ["the dirty ring", "the dirty log"].map(|by| format!("works: tried, by {by}"));
        assert_eq!(found, by);
    }
}
