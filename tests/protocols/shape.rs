//! What a trace is like: steps that somebody can follow without knowing the tool.

use notifier::explore::{Cell, NAMES, Verdict};

use crate::{report, reports, scenario};

/// Everything that does not hold has a trace; each of its steps says who does what, and a livelock's
/// ends in something that repeats.
#[test]
fn what_does_not_hold_is_told_step_by_step() {
    for name in NAMES {
        for report in reports(name) {
            for property in &report.properties {
                let what = format!("{name} {:?} {}", report.cell, property.property);
                let Some(trace) = &property.trace else {
                    assert_eq!(property.verdict, Verdict::Holds, "{what}");
                    continue;
                };
                let told = trace
                    .steps
                    .iter()
                    .all(|step| !step.agent.is_empty() && !step.words.is_empty());
                assert!(told && !trace.steps.is_empty(), "{what}: {trace:#?}");
                assert_eq!(
                    trace.again.is_some(),
                    property.verdict == Verdict::Livelock,
                    "{what}"
                );
            }
        }
    }
}

/// The flagship's: the entry is writable, and the device goes round with what it cached.
#[test]
fn the_livelock_of_the_flagship_goes_round_through_a_fault() {
    let cell = Cell {
        os: Some("none".into()),
        hardware: Some("smmu".into()),
    };
    let report = report(&scenario("upgrade"), &cell);
    let trace = report.properties[0].trace.clone().unwrap();
    let circle = &trace.steps[trace.again.unwrap()..];
    assert!(
        circle.iter().all(|step| step.agent == "device"),
        "{circle:#?}"
    );
    assert!(
        circle.iter().any(|step| step.words == "I/O page fault"),
        "{circle:#?}"
    );
    let end = &trace.steps.last().unwrap().after;
    let value = |name: &str| {
        end.iter()
            .find(|(one, _)| one == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        (value("pte"), value("iotlb")),
        (Some("P1 W1"), Some("P1 W0"))
    );
    let before = trace.steps[trace.again.unwrap() - 1].after.clone();
    assert_eq!(*end, before, "the same again");
}
