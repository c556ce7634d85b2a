//! The engine itself: deterministic, exact, the same without its reductions, honest at its limits.

use std::ops::ControlFlow;

use notifier::explore::{Bound, Cell, Ends, Limits, NAMES, Reductions, Until, Verdict, explore};
use notifier::scenario::{check, parse};

use crate::{report, report_with, reports, reports_anew, scenario};

#[test]
fn the_same_input_gives_the_same_output() {
    for name in NAMES {
        let (one, other) = (reports(name), reports_anew(name));
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{name}");
    }
}

/// Registers that are cleared when nobody reads them any more, and places in a program that are one,
/// change neither verdicts nor traces: in every cell.
#[test]
fn reductions_change_no_verdict() {
    for name in NAMES {
        let checked = scenario(name);
        for with in reports(name) {
            let without = report_with(&checked, &with.cell, Reductions::Off);
            assert!(with.states <= without.states);
            assert_eq!(with.ends, without.ends, "{name} {:?}", with.cell);
            for (one, other) in with.properties.iter().zip(&without.properties) {
                let told = |one: &notifier::explore::PropertyReport| {
                    // A circle closes later where registers that nobody reads tell states apart.
                    let trace = one.trace.as_ref().filter(|trace| trace.again.is_none());
                    let length = trace.map(|trace| trace.steps.len());
                    (one.verdict, length, one.most.clone())
                };
                let place = format!("{name} {:?} {}", with.cell, one.property);
                assert_eq!(told(one), told(other), "{place}");
            }
        }
    }
}

/// No agent of any scenario can wait for ever, and all can come to their end.
#[test]
fn every_scenario_comes_to_its_end() {
    for name in NAMES {
        for report in reports(name) {
            let place = format!("{name} {:?}", report.cell);
            assert!(report.stuck.is_none(), "{place}");
            assert_ne!(report.ends, Some(Ends::Never), "{place}");
            assert_ne!(report.ends, Some(Ends::Sometimes), "{place}");
        }
    }
}

#[test]
fn a_search_that_hits_a_limit_decides_only_what_it_has_seen() {
    let checked = scenario("uffd-wp");
    let holds = Cell {
        os: Some("pending-check-in-fault".into()),
        hardware: Some("clears-w".into()),
    };
    let few = Limits {
        states: 1000,
        ..Limits::default()
    };
    let small = Limits {
        memory: 1 << 18,
        ..Limits::default()
    };
    for limits in [few, small] {
        let mut watch = |_| ControlFlow::Continue(());
        let report = explore(&checked, &holds, &limits, Reductions::On, &mut watch).unwrap();
        assert_eq!(report.properties[0].verdict, Verdict::Undecided);
        assert!(report.states <= limits.states && report.bytes <= limits.memory);
        assert!(matches!(
            report.cut,
            Some(Bound::States(_) | Bound::Memory(_))
        ));
    }
    let upgrade = scenario("upgrade");
    let cell = Cell {
        os: Some("none".into()),
        hardware: Some("smmu".into()),
    };
    let limits = Limits {
        states: 5,
        ..Limits::default()
    };
    let report = explore(&upgrade, &cell, &limits, Reductions::On, &mut |_| {
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().properties[0].verdict, Verdict::Undecided);
}

/// Who asks only whether all is well is answered with the first thing that is not.
#[test]
fn a_search_can_end_at_what_is_broken() {
    let checked = scenario("uffd-wp");
    let explored = |os: &str, until| {
        let cell = Cell {
            os: Some(os.into()),
            hardware: Some("clears-w".into()),
        };
        let limits = Limits {
            until,
            ..Limits::default()
        };
        let mut watch = |_| ControlFlow::Continue(());
        explore(&checked, &cell, &limits, Reductions::On, &mut watch).unwrap()
    };
    let whole = explored("none", Until::Decided);
    let broken = explored("none", Until::Broken);
    assert!(broken.states * 10 < whole.states, "{broken:?}");
    assert_eq!((whole.cut, broken.cut), (None, Some(Bound::Broken)));
    assert_eq!(broken.properties[0], whole.properties[0]);
    assert_eq!(broken.properties[1].verdict, Verdict::Undecided);
    let well = explored("mmap-write-lock", Until::Broken);
    assert_eq!(well, explored("mmap-write-lock", Until::Decided));
}

/// Somebody who waits for ever ends it, too; that an allowed condition is met does not, and a livelock
/// is known at the end only.
#[test]
fn what_is_broken_may_be_a_wait_or_a_livelock() {
    let until_broken = |body: &str| {
        let text = format!("scenario s; shared n: 0..9; shared l: lock; {body}");
        let checked = parse(&text).and_then(check).unwrap();
        let limits = Limits {
            until: Until::Broken,
            ..Limits::default()
        };
        let mut watch = |_| ControlFlow::Continue(());
        let cell = Cell::default();
        explore(&checked, &cell, &limits, Reductions::On, &mut watch).unwrap()
    };
    let steps = "n = 1; n = 2; n = 3; n = 4; n = 5;";
    let waits = format!(
        "agent a {{ lock l; }} agent b {{ lock l; }} agent c {{ choose {{ lock l; unlock l; {steps} }} or {{ }} }} \
         required q always: n < 9;"
    );
    let waits = until_broken(&waits);
    assert_eq!(waits.cut, Some(Bound::Broken));
    assert!(waits.stuck.is_some());
    let allowed =
        format!("agent a {{ {steps} }} allowed p ever: n == 1; required q always: n < 9;");
    assert!(until_broken(&allowed).holds());
    let livelock = "agent a { loop { n = 1; n = 2; if n == 9 { break; } } } progress p: n == 9;";
    let livelock = until_broken(livelock);
    assert_eq!(livelock.properties[0].verdict, Verdict::Livelock);
    assert_eq!((livelock.cut, &livelock.properties[0].trace), (None, &None));
}

#[test]
fn whoever_watches_can_stop_it() {
    let checked = scenario("uffd-wp");
    let cell = Cell {
        os: Some("table-generation".into()),
        hardware: Some("clears-w".into()),
    };
    let mut watch = |_| ControlFlow::Break(());
    let report = explore(
        &checked,
        &cell,
        &Limits::default(),
        Reductions::On,
        &mut watch,
    )
    .unwrap();
    assert_eq!(report.cut, Some(Bound::Interrupted));
    assert_eq!(report.properties[0].verdict, Verdict::Undecided);
}

#[test]
fn a_state_of_the_uffd_wp_model_takes_at_most_24_bytes() {
    let checked = scenario("uffd-wp");
    let cell = Cell {
        os: Some("pending-check-in-fault".into()),
        hardware: Some("clears-w".into()),
    };
    let report = report(&checked, &cell);
    assert!(report.states > 500_000);
    assert!(
        report.bytes <= 24 * report.states,
        "{} bytes for {}",
        report.bytes,
        report.states
    );
}
