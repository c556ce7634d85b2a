//! Batches that do not come to their end: what is told, and what is still there. That a vCPU is lost
//! is not among them: a scenario's code runs in the payload that comes with the machine, in which
//! nothing that a scenario says can make a vCPU triple-fault.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use notifier::explore::{Bound, Cell};
use tests::host::with_kvm;
use vmm::live::scenario::{Batch, Cut, judge};

use super::{checked, judged, plan, ran};

const PING_PONG: &str = "scenario pingpong;
shared x: flag;
shared y: flag;
agent one { x = 1; await y; }
agent two { await x; y = 1; }
required both finally: x and y;
";

/// `two` waits for what nobody does.
const STUCK: &str = "scenario stuck;
shared x: flag;
shared never: flag;
agent one { \"sets x\" x = 1; }
agent two { \"waits for the postman\" await never; x = 0; }
allowed delivered ever: never;
";

#[test]
fn a_run_that_never_ends_is_told_with_everybodys_step() {
    with_kvm(|kvm| {
        let checked = checked(STUCK);
        let patience = Duration::from_secs(1);
        let batch = Batch {
            patience,
            ..Batch::default()
        };
        let began = Instant::now();
        let (ran, judgement) = judged(kvm, (&checked, &Cell::all(&checked)[0]), &batch);
        assert!(began.elapsed() >= patience);
        assert!(began.elapsed() < patience + Duration::from_secs(20));
        assert_eq!(ran.runs, 0);
        let Some(Cut::Hangs { run: 0, at }) = &ran.cut else {
            panic!("{:?}", ran.cut);
        };
        assert_eq!(at[1], ("two".into(), "waits for the postman".into()));
        assert_eq!(at[0].0, "one");
        assert_eq!(judgement.hang_is_allowed, Some(true), "a deadlock");
        assert!(judgement.is_sound());
    });
}

/// By the scenario's model a load always comes to its end with 1; the page is not there.
#[test]
fn a_run_that_never_ends_and_should_is_unsound() {
    with_kvm(|kvm| {
        let checked = checked(
            "scenario x;
entry { P };
live page pte;
shared pte: entry;
agent one {
    reg ok: flag;
    loop {
        live load pte -> ok { \"loads\" atomic { ok = 1; if pte.P { } } }
        if ok { break; }
    }
}
allowed never ever: pte.P;
",
        );
        let batch = Batch {
            patience: Duration::from_secs(1),
            ..Batch::default()
        };
        let (ran, judgement) = judged(kvm, (&checked, &Cell::all(&checked)[0]), &batch);
        assert!(ran.hangs(), "{:?}", ran.cut);
        assert_eq!(judgement.hang_is_allowed, Some(false));
        assert!(!judgement.is_sound());
    });
}

#[test]
fn an_interrupted_batch_has_what_was_seen() {
    with_kvm(|kvm| {
        let plan = plan(&checked(PING_PONG));
        let interrupted = AtomicBool::new(false);
        let batch = Batch {
            runs: 1_000_000_000,
            limit: Duration::from_secs(120),
            ..Batch::default()
        };
        let began = Instant::now();
        let ran = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(700));
                interrupted.store(true, Ordering::Relaxed);
            });
            batch.run(kvm, &plan, &interrupted).unwrap()
        });
        assert!(began.elapsed() < Duration::from_secs(30));
        assert_eq!(ran.cut, Some(Cut::Interrupted));
        assert!(ran.runs > 0 && ran.runs < batch.runs, "{}", ran.runs);
        let judgement = judge(&plan, &ran, Err(Bound::Interrupted));
        let counted: u64 = judgement.outcomes.iter().map(|one| one.seen.count).sum();
        assert_eq!(counted, ran.runs, "each run is in the histogram");
    });
}

/// Before it began, too.
#[test]
fn an_interruption_before_the_first_run_ends_it() {
    with_kvm(|kvm| {
        let plan = plan(&checked(PING_PONG));
        let batch = Batch {
            runs: 1_000_000_000,
            ..Batch::default()
        };
        let ran = batch.run(kvm, &plan, &AtomicBool::new(true)).unwrap();
        assert_eq!(ran.cut, Some(Cut::Interrupted));
        assert!(ran.elapsed < Duration::from_secs(20));
    });
}

#[test]
fn a_limit_ends_a_batch_with_what_was_seen() {
    with_kvm(|kvm| {
        let plan = plan(&checked(PING_PONG));
        let batch = Batch {
            runs: 1_000_000_000,
            limit: Duration::from_secs(1),
            ..Batch::default()
        };
        let ran = ran(kvm, &plan, &batch);
        assert!(matches!(ran.cut, Some(Cut::Limit(_))), "{:?}", ran.cut);
        assert!(ran.runs > 0 && ran.runs < batch.runs);
        assert!(ran.elapsed < Duration::from_secs(20));
    });
}
