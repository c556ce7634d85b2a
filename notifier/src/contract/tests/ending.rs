//! The end of an address space against what is still under way.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;

/// Long enough for what does not wait, short enough for a test.
const A_WHILE: Duration = Duration::from_millis(50);

/// Says that it is being released, and then waits.
struct Slow(Mutex<(Sender<()>, Receiver<()>)>);

impl Subscriber for Slow {
    type Family = OwnPageTables;

    fn release(&self) {
        let channels = lock(&self.0);
        channels.0.send(()).unwrap();
        channels.1.recv().unwrap();
    }
}

impl RangeSubscriber for Slow {
    fn invalidate_range_start(&self, _: &RangeEvent) {}
    fn invalidate_range_end(&self, _: &RangeEvent) {}
}

/// The pages are freed when exit has returned: nobody may still be letting go of them.
#[test]
fn the_end_waits_for_a_release_that_unregistering_called() {
    let space = space();
    let ((entered, has_entered), (let_go, may_go)) = (channel(), channel());
    let slow = Arc::new(Slow(Mutex::new((entered, may_go))));
    let subscription = space.register_ranges(slow).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(subscription));
        has_entered.recv().unwrap();
        let (exited, has_exited) = channel();
        let space = &space;
        scope.spawn(move || {
            space.exit();
            exited.send(()).unwrap();
        });
        let early = has_exited.recv_timeout(A_WHILE);
        let_go.send(()).unwrap();
        assert!(early.is_err(), "ended while a release ran");
        has_exited.recv().unwrap();
    });
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
