//! Every case passes where it should, and can fail.

mod pages;
mod running;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::faulty::Fault;
use crate::model::Model;
use crate::subject::Implementation;
use crate::{Builtin, Case, LIMIT, Verdict, cases, run};

/// Cases, two at a time: most of them wait most of the time.
fn each(cases: &[&'static Case], verify: impl Fn(&'static Case) -> Option<String> + Sync) {
    let problems: Vec<_> = std::thread::scope(|scope| {
        let verify = &verify;
        let halves = [0, 1].map(|half| {
            let mine = cases.iter().skip(half).step_by(2);
            scope.spawn(move || mine.filter_map(|case| verify(case)).collect::<Vec<_>>())
        });
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap())
            .collect()
    });
    assert!(
        problems.is_empty(),
        "{}\n{}",
        problems.len(),
        problems.join("\n")
    );
}

fn passes(implementation: Arc<dyn Implementation>) {
    each(&cases(None), |case| {
        let finding = run(case, &implementation, LIMIT);
        (finding.verdict != Verdict::Passed).then(|| format!("{case:?}: {:?}", finding.verdict))
    });
}

#[test]
fn the_built_in_implementation_passes_every_case() {
    passes(Arc::new(Builtin));
}

#[test]
fn the_model_passes_every_case() {
    passes(Arc::new(Model::correct()));
}

fn verdict(case: &'static Case, fault: Fault) -> Verdict {
    let twin: Arc<dyn Implementation> = Arc::new(Model::with(fault));
    run(case, &twin, LIMIT).verdict
}

#[test]
fn every_case_fails_on_its_twin() {
    each(&cases(None), |case| match verdict(case, case.twin) {
        Verdict::Failed(_) => None,
        other => Some(format!("{case:?} on {:?}: {other:?}", case.twin)),
    });
}

/// A twin that refused everything would show nothing.
#[test]
fn every_twin_passes_another_case_of_its_section() {
    let all = cases(None);
    each(&all, |case| {
        let others = all
            .iter()
            .filter(|other| other.section == case.section && other.twin != case.twin);
        let passed = others
            .copied()
            .any(|other| verdict(other, case.twin) == Verdict::Passed);
        (!passed).then(|| format!("{:?} passes nothing", case.twin))
    });
}

/// An implementation of nothing.
struct Nothing;

impl Implementation for Nothing {}

#[test]
fn what_is_not_offered_is_said_to_be() {
    let nothing: Arc<dyn Implementation> = Arc::new(Nothing);
    for case in cases(None) {
        assert_eq!(
            run(case, &nothing, LIMIT).verdict,
            Verdict::NotOffered,
            "{case:?}"
        );
    }
}

#[test]
fn names_are_unique_and_in_kebab_case() {
    let all = cases(None);
    let names: BTreeSet<_> = all.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), all.len());
    let fits = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    assert!(names.iter().all(fits));
}

#[test]
fn filters_select_by_section_and_name() {
    assert!(cases(Some("aging")).len() > 5);
    assert_eq!(cases(Some("lifetime/put-never-releases")).len(), 1);
    assert!(cases(Some("no such case")).is_empty());
}
