//! What a run makes of a case that does not just return.

use std::sync::Arc;
use std::time::Duration;

use crate::check::Outcome;
use crate::faulty::{Fault, RangeFault};
use crate::model::Model;
use crate::subject::Implementation;
use crate::{Case, LIMIT, Section, Verdict, run};

const fn case(check: fn(&dyn Implementation) -> Outcome) -> Case {
    Case {
        section: Section::Ranges,
        name: "made-up",
        rule: "",
        source: "",
        twin: Fault::Ranges(RangeFault::NoEnd),
        check,
    }
}

fn hangs(_: &dyn Implementation) -> Outcome {
    loop {
        std::thread::park();
    }
}

fn panics(_: &dyn Implementation) -> Outcome {
    panic!("in the middle");
}

fn names_its_thread(_: &dyn Implementation) -> Outcome {
    let name = std::thread::current().name().map(str::to_owned);
    crate::check::equal("the thread", name.as_deref(), Some("made-up"))
}

static HANGS: Case = case(hangs);
static PANICS: Case = case(panics);
static NAMES: Case = case(names_its_thread);

fn verdict(case: &'static Case, limit: Duration) -> Verdict {
    let model: Arc<dyn Implementation> = Arc::new(Model::correct());
    run(case, &model, limit).verdict
}

#[test]
fn a_case_that_hangs_has_failed_when_its_time_is_over() {
    let verdict = verdict(&HANGS, Duration::from_millis(500));
    assert_eq!(
        verdict,
        Verdict::Failed("it did not finish within 0.5 s".into())
    );
}

#[test]
fn a_case_that_panics_has_failed_with_its_words() {
    let verdict = verdict(&PANICS, LIMIT);
    assert_eq!(
        verdict,
        Verdict::Failed("it panicked: in the middle".into())
    );
}

#[test]
fn a_case_runs_in_a_thread_of_its_name() {
    assert_eq!(verdict(&NAMES, LIMIT), Verdict::Passed);
}
