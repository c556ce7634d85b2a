//! That what the model does not allow is told: where memory is not what the explorer thinks, and where a
//! scenario says something wrong of hardware.

use tests::host::{is_parallel, with_kvm};
use vmm::live::scenario::{Batch, Ordering, Plan, judge};

use super::{checked, judged, permitted, plan, ran, runs};
use notifier::explore::Cell;

const STORE_BUFFERING: &str = "scenario sb;
shared x: flag;
shared y: flag;
ghost r0: flag;
ghost r1: flag;
agent one { reg r: flag; x = 1; r = y; r0 = r; }
agent two { reg r: flag; y = 1; r = x; r1 = r; }
forbidden both-first finally: r0 == 0 and r1 == 0;
";

fn store_buffering(ordering: Ordering, often: u64) -> Option<(u64, u64)> {
    let mut counts = None;
    with_kvm(|kvm| {
        let checked = checked(STORE_BUFFERING);
        let cell = Cell::default();
        let plan = Plan::new(&checked, &cell, ordering).expect("a machine can run it");
        let batch = Batch {
            runs: runs(often),
            ..Batch::default()
        };
        let ran = ran(kvm, &plan, &batch);
        assert_eq!(ran.cut, None);
        let judgement = judge(&plan, &ran, Ok(&permitted(&checked, &cell, &plan)));
        let unsound = judgement.unsound().map(|one| one.seen.count).sum();
        assert_eq!(judgement.is_sound(), unsound == 0);
        let met = judgement.conditions[0].met;
        assert_eq!(judgement.conditions[0].is_violated(ran.runs), met > 0);
        counts = Some((unsound, met));
    });
    counts
}

#[test]
fn locked_stores_are_seen_in_their_order() {
    if let Some(counts) = store_buffering(Ordering::Sequential, 20_000) {
        assert_eq!(counts, (0, 0));
    }
}

/// x86 lets a load pass an earlier store; the explorer's memory does not.
#[test]
fn plain_stores_are_seen_later_and_that_is_unsound() {
    if let Some((unsound, met)) = store_buffering(Ordering::Processor, 200_000) {
        assert_eq!(unsound, met, "it is that outcome and no other");
        assert!(met > 0 || !is_parallel(), "a store buffer is seen");
    }
}

/// A store to a page, with this model.
fn store_with(entry: &str, model: &str) -> String {
    format!(
        "scenario x;
entry {{ P, W }};
live page pte;
shared pte: entry = entry {{ {entry} }};
ghost through: flag;
agent one {{
    reg ok: flag;
    live store pte -> ok {{ \"stores\" atomic {{ ok = {model}; if pte.P {{ }} }} }}
    through = ok;
}}
agent two {{ }}
required stored finally: through == 1 or through == 0;
"
    )
}

#[test]
fn a_model_that_is_right_is_sound() {
    with_kvm(|kvm| {
        for entry in ["", "P", "P, W"] {
            let checked = checked(&store_with(entry, "may-write(pte)"));
            let cell = &Cell::all(&checked)[0];
            let batch = Batch {
                runs: runs(200),
                ..Batch::default()
            };
            let (ran, judgement) = judged(kvm, (&checked, cell), &batch);
            assert_eq!(ran.cut, None);
            assert!(judgement.is_sound(), "{entry}: {judgement:#?}");
            assert_eq!(judgement.covered, 1, "{judgement:#?}");
        }
    });
}

/// One says that a store never faults, the other that it always does.
#[test]
fn a_model_that_is_wrong_is_unsound() {
    with_kvm(|kvm| {
        for (entry, model) in [("P", "1"), ("", "1"), ("P, W", "0")] {
            let checked = checked(&store_with(entry, model));
            let cell = &Cell::all(&checked)[0];
            let batch = Batch {
                runs: runs(200),
                ..Batch::default()
            };
            let (ran, judgement) = judged(kvm, (&checked, cell), &batch);
            assert_eq!(ran.cut, None);
            assert!(!judgement.is_sound(), "{entry}: {judgement:#?}");
            let wrong: u64 = judgement.unsound().map(|one| one.seen.count).sum();
            assert_eq!(wrong, batch.runs, "each run shows it");
            assert_eq!(judgement.covered, 0);
        }
    });
}

#[test]
fn what_nobody_asked_the_explorer_about_is_neither() {
    with_kvm(|kvm| {
        let checked = checked(&store_with("P", "1"));
        let plan = plan(&checked);
        let batch = Batch {
            runs: 5,
            ..Batch::default()
        };
        let ran = ran(kvm, &plan, &batch);
        let unknown = judge(&plan, &ran, Err(notifier::explore::Bound::Interrupted));
        assert!(unknown.outcomes.iter().all(|one| one.allowed.is_none()));
        assert_eq!(unknown.covered, 0);
    });
}
