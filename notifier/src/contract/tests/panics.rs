//! Callbacks that panic, and detectors that do, leave nobody worse off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Counts what it is told, and panics.
#[derive(Default)]
struct Broken {
    released: AtomicU32,
}

impl Subscriber for Broken {
    type Family = OwnPageTables;

    fn release(&self) {
        self.released.fetch_add(1, Ordering::SeqCst);
        panic!("in a release");
    }
}

impl RangeSubscriber for Broken {
    fn invalidate_range_start(&self, _: &RangeEvent) {}

    fn invalidate_range_end(&self, _: &RangeEvent) {
        panic!("in an end");
    }
}

struct BrokenTlb;

impl Subscriber for BrokenTlb {
    type Family = SharedPageTables;
}

impl SecondaryTlbSubscriber for BrokenTlb {
    fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>) {
        panic!("in an invalidation");
    }
}

fn panics(body: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

#[test]
fn an_end_that_panics_keeps_nobody_from_his() {
    let (space, after) = (space(), Arc::new(Ranges::default()));
    let broken = space.register_ranges(Arc::new(Broken::default())).unwrap();
    let _after = space.register_ranges(after.clone()).unwrap();
    assert!(panics(|| invalidate(&space, page())));
    assert_eq!(after.0.take().len(), 2);
    assert!(panics(|| drop(broken)));
}

#[test]
fn a_secondary_tlb_that_panics_keeps_nobody_from_being_told() {
    let (space, after) = (space(), Arc::new(Tlb::default()));
    let _broken = space.register_secondary_tlb(Arc::new(BrokenTlb)).unwrap();
    let _after = space.register_secondary_tlb(after.clone()).unwrap();
    assert!(panics(|| space.invalidate_unlocked(page())));
    assert_eq!(after.0.take(), [Notice::SecondaryTlb(page())]);
}

#[test]
fn a_release_that_panics_is_the_last_that_is_told() {
    let (space, broken) = (space(), Arc::new(Broken::default()));
    let subscription = space.register_ranges(broken).unwrap();
    assert!(panics(|| drop(subscription)));
    invalidate(&space, page());
}

#[test]
fn a_release_that_panics_keeps_nobody_from_his() {
    let (space, other) = (space(), Arc::new(Broken::default()));
    let first = space.register_ranges(Arc::new(Broken::default())).unwrap();
    let second = space.register_ranges(other.clone()).unwrap();
    assert!(panics(|| space.exit()));
    assert_eq!(other.released.load(Ordering::SeqCst), 1);
    invalidate(&space, page());
    drop((first, second));
}

/// The window is closed under a lock that forbids it: that is complained of, but the end is told.
#[test]
fn a_complaint_loses_no_end() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let _subscription = space.register_ranges(ranges.clone()).unwrap();
    let window = space.mutate().into_window(Event::Unmap, page());
    let table = space.lock_page_table();
    assert!(panics(|| drop(window)));
    drop(table);
    assert_eq!(ranges.0.take().len(), 2);
}

/// Leaves a second pass, or panics in the first.
struct TwoPass(Arc<AtomicU32>, bool);

impl IntervalSubscriber for TwoPass {
    type State = ();

    fn invalidate(&self, (): &mut (), _: &IntervalEvent) -> FirstPass {
        assert!(!self.1, "in a first pass");
        let second = Arc::clone(&self.0);
        FirstPass::Finish(Box::new(move || {
            second.fetch_add(1, Ordering::SeqCst);
        }))
    }
}

#[test]
fn a_first_pass_that_panics_leaves_no_second_pass_undone() {
    let (space, seconds) = (space(), Arc::new(AtomicU32::new(0)));
    let lock = Arc::new(UserLock::new(()));
    let pass = |broken| TwoPass(Arc::clone(&seconds), broken);
    let _whole = space.insert_interval(page(), &lock, pass(false)).unwrap();
    let _broken = space.insert_interval(page(), &lock, pass(true)).unwrap();
    assert!(panics(|| invalidate(&space, page())));
    assert_eq!(seconds.load(Ordering::SeqCst), 1);
}
