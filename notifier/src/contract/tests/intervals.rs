//! Intervals: parity, deferral, two passes, and no stale result of a read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;

/// Long enough for what does not wait, short enough for a test.
const A_WHILE: Duration = Duration::from_millis(50);

/// Forgets what was read when it is told to.
struct Mirror;

impl Mirror {
    fn lock() -> Arc<UserLock<Option<u64>>> {
        Arc::new(UserLock::new(None))
    }
}

impl IntervalSubscriber for Mirror {
    type State = Option<u64>;

    fn invalidate(&self, copy: &mut Option<u64>, _: &IntervalEvent) -> FirstPass {
        *copy = None;
        FirstPass::Done
    }
}

fn insert(space: &AddressSpace<u64>, range: AddrRange<Gva>) -> Interval<Mirror> {
    let interval = space.insert_interval(range, &Mirror::lock(), Mirror);
    interval.unwrap()
}

/// Whether `body` takes longer than [`A_WHILE`]; what it returned, after `release`.
fn waits<R: Send>(body: impl FnOnce() -> R + Send, release: impl FnOnce()) -> (bool, R) {
    std::thread::scope(|scope| {
        let (done, is_done) = channel();
        let running = scope.spawn(move || {
            let result = body();
            done.send(()).unwrap();
            result
        });
        let waited = is_done.recv_timeout(A_WHILE).is_err();
        release();
        (waited, running.join().unwrap())
    })
}

#[test]
fn an_interval_that_comes_while_idle_has_an_odd_number() {
    let space = space();
    let interval = insert(&space, page());
    assert_eq!((space.interval_sequence(), interval.sequence()), (2, 1));
}

#[test]
fn an_interval_that_comes_in_a_window_is_waited_for() {
    let space = space();
    let _there = insert(&space, pages(8, 9));
    let window = space.mutate().into_window(Event::Unmap, page());
    let interval = insert(&space, page());
    assert_eq!((space.interval_sequence(), interval.sequence()), (3, 3));
    let (waited, _) = waits(|| interval.read_begin(), || drop(window));
    assert!(waited);
    assert_eq!(space.interval_sequence(), 4);
}

#[test]
fn an_interval_that_comes_while_others_are_invalidated_is_deferred() {
    let space = space();
    let _there = insert(&space, page());
    let window = space.mutate().into_window(Event::Unmap, page());
    let late = Mirror::lock();
    *late.lock() = Some(1);
    let _late = space.insert_interval(page(), &late, Mirror).unwrap();
    let inside = space.mutate().into_window(Event::Unmap, page());
    assert_eq!(*late.lock(), Some(1), "told before it was in the tree");
    drop((inside, window));
    invalidate(&space, page());
    assert_eq!(*late.lock(), None);
}

#[test]
fn removing_waits_for_what_is_open_and_told() {
    let space = space();
    let told = insert(&space, page());
    let not_told = insert(&space, pages(8, 9));
    let window = space.mutate().into_window(Event::Unmap, pages(100, 101));
    let (waited, ()) = waits(|| drop(not_told), || ());
    assert!(!waited, "nothing is being invalidated");
    drop(window);
    let window = space.mutate().into_window(Event::Unmap, page());
    let (waited, ()) = waits(|| drop(told), || drop(window));
    assert!(waited);
}

#[test]
fn removing_what_is_still_deferred_does_not_wait() {
    let space = space();
    let _there = insert(&space, page());
    let window = space.mutate().into_window(Event::Unmap, page());
    let late = insert(&space, page());
    let (waited, ()) = waits(|| drop(late), || drop(window));
    assert!(!waited);
}

#[test]
fn a_read_that_was_overtaken_has_to_be_repeated() {
    let space = space();
    let interval = insert(&space, page());
    let begun = interval.read_begin();
    assert!(!interval.check_retry(begun));
    invalidate(&space, pages(8, 9));
    assert!(!interval.retry(&interval.lock(), begun));
    invalidate(&space, page());
    assert!(interval.check_retry(begun));
    assert!(interval.retry(&interval.lock(), begun));
    let again = interval.read_begin();
    assert!(!interval.retry(&interval.lock(), again));
}

#[test]
#[should_panic(expected = "not the one that this interval's invalidation takes")]
fn a_read_is_not_checked_under_another_lock() {
    let space = space();
    let interval = insert(&space, page());
    let begun = interval.read_begin();
    let other = Mirror::lock();
    interval.retry(&other.lock(), begun);
}

#[test]
#[should_panic(expected = "holds the lock that the interval's invalidation takes")]
fn a_read_is_not_begun_under_the_lock() {
    let space = space();
    let interval = insert(&space, page());
    let _guard = interval.lock();
    let _begun = interval.read_begin();
}

#[test]
#[should_panic(expected = "holds the lock that the interval's invalidation takes")]
fn an_invalidation_is_not_begun_under_the_lock() {
    let space = space();
    let interval = insert(&space, page());
    let _guard = interval.lock();
    invalidate(&space, page());
}

/// Panics when it is told something.
struct Broken;

impl IntervalSubscriber for Broken {
    type State = ();

    fn invalidate(&self, (): &mut (), _: &IntervalEvent) -> FirstPass {
        panic!("in an invalidation");
    }
}

#[test]
fn an_invalidation_that_panics_is_over() {
    let space = space();
    let user = Arc::new(UserLock::new(()));
    let interval = space.insert_interval(page(), &user, Broken).unwrap();
    let inner = Arc::clone(&space);
    let panicked = std::thread::spawn(move || invalidate(&inner, page())).join();
    assert!(panicked.is_err());
    assert_eq!(space.interval_sequence() % 2, 0);
    let begun = interval.read_begin();
    assert!(!interval.retry(&interval.lock(), begun));
}

/// Writes down when each of its passes runs.
struct TwoPass(Arc<Mutex<Vec<(&'static str, u8)>>>, u8);

impl IntervalSubscriber for TwoPass {
    type State = ();

    fn invalidate(&self, (): &mut (), _: &IntervalEvent) -> FirstPass {
        lock(&self.0).push(("first", self.1));
        let (log, name) = (Arc::clone(&self.0), self.1);
        FirstPass::Finish(Box::new(move || lock(&log).push(("second", name))))
    }
}

#[test]
fn all_first_passes_run_before_any_second_and_both_in_order() {
    let (space, log) = (space(), Arc::default());
    let user = Arc::new(UserLock::new(()));
    let _intervals: Vec<_> = [1, 2, 3]
        .map(|name| TwoPass(Arc::clone(&log), name))
        .into_iter()
        .map(|subscriber| space.insert_interval(page(), &user, subscriber).unwrap())
        .collect();
    invalidate(&space, page());
    let passes = |pass| [1, 2, 3].map(|name| (pass, name));
    assert_eq!(*lock(&log), [passes("first"), passes("second")].concat());
}

/// Writes down what it is told.
struct Told(Arc<Mutex<Vec<IntervalEvent>>>);

impl IntervalSubscriber for Told {
    type State = ();

    fn invalidate(&self, (): &mut (), event: &IntervalEvent) -> FirstPass {
        lock(&self.0).push(*event);
        FirstPass::Done
    }
}

#[test]
fn the_end_of_the_address_space_concerns_every_interval() {
    let (space, log) = (space(), Arc::default());
    let told = Told(Arc::clone(&log));
    let user = Arc::new(UserLock::new(()));
    let _interval = space.insert_interval(page(), &user, told).unwrap();
    space.exit();
    assert_eq!(*lock(&log), [IntervalEvent::Release]);
    invalidate(&space, page());
    assert_eq!(lock(&log).len(), 1, "told after the end");
    let late = space.insert_interval(page(), &user, Told(log));
    assert_eq!(late.err(), Some(RegisterError::Exited));
}

/// The protocol as a driver uses it, against a page table that changes all the time.
#[test]
fn what_a_read_installs_is_never_stale() {
    let space = space();
    let copy = Mirror::lock();
    let interval = space.insert_interval(page(), &copy, Mirror).unwrap();
    let entry = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for value in 1..=20_000 {
                let window = space.mutate().into_window(Event::Clear, page());
                assert_eq!(*copy.lock(), None, "made in the window");
                entry.store(value, Ordering::SeqCst);
                drop(window);
            }
        });
        for _ in 0..20_000 {
            let begun = interval.read_begin();
            let read = entry.load(Ordering::SeqCst);
            let mut copy = interval.lock();
            if !interval.retry(&copy, begun) {
                *copy = Some(read);
            }
        }
    });
    let copy = *copy.lock();
    assert!(copy.is_none_or(|copy| copy == entry.load(Ordering::SeqCst)));
}
