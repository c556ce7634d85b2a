//! The end of an address space against what is still under way.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;

/// Long enough for what does not wait, short enough for a test.
const A_WHILE: Duration = Duration::from_millis(50);

/// Says that it is being released, and then waits.
struct Slow {
    channels: Mutex<(Sender<()>, Receiver<()>)>,
    told: Recorder,
}

impl Slow {
    fn new() -> (Arc<Self>, Receiver<()>, Sender<()>) {
        let ((entered, has_entered), (let_go, may_go)) = (channel(), channel());
        let slow = Self {
            channels: Mutex::new((entered, may_go)),
            told: Recorder::default(),
        };
        (Arc::new(slow), has_entered, let_go)
    }
}

impl Subscriber for Slow {
    type Family = OwnPageTables;

    fn release(&self) {
        let channels = lock(&self.channels);
        channels.0.send(()).unwrap();
        channels.1.recv().unwrap();
    }
}

impl RangeSubscriber for Slow {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        self.told.note(Notice::RangeStart(*event));
    }

    fn invalidate_range_end(&self, _: &RangeEvent) {}
}

/// While `released` has the subscriber released on another thread, slowly, `other` comes: it must
/// wait, and a change meanwhile must be told.
fn check_meeting(
    space: &Arc<AddressSpace<u64>>,
    (slow, has_entered, let_go): (Arc<Slow>, Receiver<()>, Sender<()>),
    released: impl FnOnce() + Send,
    other: impl FnOnce() + Send,
) {
    std::thread::scope(|scope| {
        scope.spawn(released);
        has_entered.recv().unwrap();
        let (done, is_done) = channel();
        scope.spawn(move || {
            other();
            done.send(()).unwrap();
        });
        let early = is_done.recv_timeout(A_WHILE);
        invalidate(space, page());
        let_go.send(()).unwrap();
        assert!(early.is_err(), "did not wait for the release");
        is_done.recv().unwrap();
    });
    let start = Notice::RangeStart(unmap(page()));
    assert_eq!(slow.told.take(), [start], "changed under the release");
}

/// The pages are freed when exit has returned: nobody may still be letting go of them.
#[test]
fn the_end_waits_for_a_release_that_unregistering_called() {
    let (space, slow) = (space(), Slow::new());
    let subscription = space.register_ranges(slow.0.clone()).unwrap();
    check_meeting(&space, slow, || drop(subscription), || space.exit());
}

/// Until its release has ended it has what it made, and must hear of changes.
#[test]
fn unregistering_waits_for_a_release_that_the_end_called() {
    let (space, slow) = (space(), Slow::new());
    let subscription = space.register_ranges(slow.0.clone()).unwrap();
    check_meeting(&space, slow, || space.exit(), || drop(subscription));
}

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<IntervalEvent>>>);

impl IntervalSubscriber for Told {
    type State = ();

    fn invalidate(&self, (): &mut (), event: &IntervalEvent) -> FirstPass {
        lock(&self.0).push(*event);
        FirstPass::Done
    }
}

/// It would read when the window is closed, and nobody would take away what it made.
#[test]
fn an_interval_that_is_not_yet_inserted_hears_of_the_end() {
    let (space, user) = (space(), Arc::new(UserLock::new(())));
    let insert = |told: &Told| space.insert_interval(page(), &user, told.clone());
    let (early, late) = (Told::default(), Told::default());
    let _early = insert(&early).unwrap();
    let window = space.mutate().into_window(Event::Clear, page());
    // The number is odd now: it is deferred until the window ends.
    let interval = insert(&late).unwrap();
    space.exit();
    assert_eq!(*lock(&late.0), [IntervalEvent::Release]);
    drop(window);
    assert_eq!(space.interval_sequence(), 4);
    drop(interval);
    invalidate(&space, page());
    assert_eq!(*lock(&late.0), [IntervalEvent::Release]);
}
