//! Invalidations that must not sleep.

use super::*;

/// Follows when it may sleep, refuses otherwise.
#[derive(Default)]
struct Sleeper(Mutex<Vec<Blocking>>);

impl Subscriber for Sleeper {
    type Family = OwnPageTables;
}

impl RefusingSubscriber for Sleeper {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        lock(&self.0).push(event.blocking);
    }

    fn try_invalidate_range_start(&self, event: &RangeEvent) -> Result<(), Again> {
        lock(&self.0).push(event.blocking);
        Err(Again)
    }
}

/// One that refuses between two that do not.
struct Three {
    space: Arc<AddressSpace<u64>>,
    before: Arc<Ranges>,
    sleeper: Arc<Sleeper>,
    after: Arc<Ranges>,
    _subscriptions: [Subscription; 3],
}

fn three() -> Three {
    let space = space();
    let (before, after) = (Arc::new(Ranges::default()), Arc::new(Ranges::default()));
    let sleeper = Arc::new(Sleeper::default());
    let subscriptions = [
        space.register_ranges(before.clone()).unwrap(),
        space.register_refusing(sleeper.clone()).unwrap(),
        space.register_ranges(after.clone()).unwrap(),
    ];
    Three {
        space,
        before,
        sleeper,
        after,
        _subscriptions: subscriptions,
    }
}

#[test]
fn after_a_refusal_all_have_started_and_all_who_can_have_ended() {
    let three = three();
    let refused = three.space.mutate().try_start(Event::Clear, page()).err();
    assert_eq!(refused, Some(Again));
    let event = RangeEvent {
        event: Event::Clear,
        range: page(),
        blocking: Blocking::Forbidden,
    };
    let both = [Notice::RangeStart(event), Notice::RangeEnd(event)];
    assert_eq!(three.before.0.take(), both);
    assert_eq!(three.after.0.take(), both);
    assert_eq!(*lock(&three.sleeper.0), [Blocking::Forbidden]);
}

#[test]
fn nobody_refuses_who_may_sleep() {
    let three = three();
    invalidate(&three.space, page());
    assert_eq!(*lock(&three.sleeper.0), [Blocking::Allowed]);
    assert_eq!(three.after.0.take().len(), 2);
}

#[test]
fn the_end_of_what_must_not_sleep_must_not_sleep_either() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let _subscription = space.register_ranges(ranges.clone()).unwrap();
    let mut mutation = space.mutate();
    drop(mutation.try_start(Event::Clear, page()).unwrap());
    let blocking = ranges.0.take().into_iter().map(|notice| match notice {
        Notice::RangeStart(event) | Notice::RangeEnd(event) => event.blocking,
        Notice::SecondaryTlb(_) => Blocking::Allowed,
    });
    assert!(blocking.eq([Blocking::Forbidden; 2]));
}

/// Erases nothing, but takes part.
struct Interested;

impl IntervalSubscriber for Interested {
    type State = u64;

    fn invalidate(&self, told: &mut u64, _: &IntervalEvent) -> FirstPass {
        *told += 1;
        FirstPass::Done
    }
}

/// Where Linux leaves the interval side open for ever: an interval accepts, a range subscriber then
/// refuses.
#[test]
fn a_refusal_of_the_other_side_ends_the_interval_side_too() {
    let three = three();
    let told = Arc::new(UserLock::new(0));
    let interval = three
        .space
        .insert_interval(page(), &told, Interested)
        .unwrap();
    let refused = three
        .space
        .mutate()
        .try_start(Event::Clear, page())
        .is_err();
    assert!(refused);
    assert_eq!(*told.lock(), 1);
    assert_eq!(three.space.interval_sequence() % 2, 0);
    let begun = interval.read_begin();
    assert!(!interval.retry(&interval.lock(), begun));
}

/// A lock that somebody holds can't be waited for.
#[test]
fn an_interval_whose_lock_is_held_refuses_and_stops_the_rest() {
    let three = three();
    let (held, other) = (Arc::new(UserLock::new(0)), Arc::new(UserLock::new(0)));
    let _first = three
        .space
        .insert_interval(pages(1, 1), &held, Interested)
        .unwrap();
    let _second = three
        .space
        .insert_interval(pages(1, 2), &other, Interested)
        .unwrap();
    let guard = held.lock();
    let refused = three
        .space
        .mutate()
        .try_start(Event::Clear, page())
        .is_err();
    drop(guard);
    assert!(refused);
    assert_eq!((*held.lock(), *other.lock()), (0, 0));
    assert_eq!(three.before.0.take(), []);
    assert_eq!(three.space.interval_sequence() % 2, 0);
}
