//! Coming and going.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;

/// Long enough for what does not wait, short enough for a test.
const A_WHILE: Duration = Duration::from_millis(50);

#[test]
fn registering_waits_for_mutations_under_way_and_misses_them() {
    let (space, late) = (space(), Arc::new(Ranges::default()));
    let window = space.mutate().into_window(Event::Unmap, page());
    std::thread::scope(|scope| {
        let (registered, is_registered) = channel();
        let (space, late) = (&space, late.clone());
        let registering = scope.spawn(move || {
            let subscription = space.register_ranges(late).unwrap();
            registered.send(()).unwrap();
            subscription
        });
        let early = is_registered.recv_timeout(A_WHILE);
        assert!(early.is_err(), "registered inside a window");
        drop(window);
        is_registered.recv().unwrap();
        invalidate(space, page());
        drop(registering.join().unwrap());
    });
    let (start, end) = (
        Notice::RangeStart(unmap(page())),
        Notice::RangeEnd(unmap(page())),
    );
    assert_eq!(late.0.take(), [start, end]);
}

/// New mutations neither wait for a registration nor delay it.
#[test]
fn registering_does_not_wait_for_mutations_that_begin_later() {
    let space = space();
    let old = space.mutate();
    std::thread::scope(|scope| {
        let (registered, is_registered) = channel();
        let spaced = &space;
        scope.spawn(move || {
            let subscription = spaced.register_ranges(Arc::new(Ranges::default()));
            registered.send(subscription.unwrap()).unwrap();
        });
        let early = is_registered.recv_timeout(A_WHILE);
        assert!(early.is_err(), "registered inside a mutation");
        let young = space.mutate();
        drop(old);
        let subscription = is_registered.recv_timeout(Duration::from_secs(10));
        drop(young);
        assert!(subscription.is_ok(), "waited for a younger mutation");
    });
}

#[test]
fn nothing_is_delivered_after_unregistering() {
    let space = space();
    let (ranges, tlb) = (Arc::new(Ranges::default()), Arc::new(Tlb::default()));
    drop(space.register_ranges(ranges.clone()).unwrap());
    drop(space.register_secondary_tlb(tlb.clone()).unwrap());
    invalidate(&space, page());
    space.lock_page_table().invalidate_secondary_tlbs(page());
    assert_eq!(ranges.0.take(), []);
    assert_eq!(tlb.0.take(), []);
}

#[test]
fn who_unregisters_inside_a_window_gets_no_end() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let subscription = space.register_ranges(ranges.clone()).unwrap();
    let window = space.mutate().into_window(Event::Unmap, page());
    drop(subscription);
    drop(window);
    assert_eq!(ranges.0.take(), [Notice::RangeStart(unmap(page()))]);
}

/// Says that it was called, then stays until it is let go.
struct Slow {
    channels: Mutex<(Sender<()>, Receiver<()>)>,
    freed: AtomicU32,
}

impl Slow {
    fn new() -> (Self, Receiver<()>, Sender<()>) {
        let (entered, has_entered) = channel();
        let (let_go, wait) = channel();
        let channels = Mutex::new((entered, wait));
        let freed = AtomicU32::new(0);
        (Self { channels, freed }, has_entered, let_go)
    }
}

impl Subscriber for Slow {
    type Family = SharedPageTables;

    fn release(&self) {
        assert_eq!(self.freed.load(Ordering::SeqCst), 0);
    }
}

impl SecondaryTlbSubscriber for Slow {
    fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>) {
        let channels = lock(&self.channels);
        channels.0.send(()).unwrap();
        channels.1.recv().unwrap();
        assert_eq!(self.freed.load(Ordering::SeqCst), 0, "freed while it ran");
    }
}

impl Singleton for Slow {
    fn member(self: Arc<Self>) -> Member {
        Member::SecondaryTlb(self)
    }

    fn free(&self) {
        self.freed.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn unregistering_waits_for_a_callback_that_is_running() {
    let space = space();
    let (slow, has_entered, let_go) = Slow::new();
    let subscription = space.register_secondary_tlb(Arc::new(slow)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| space.lock_page_table().invalidate_secondary_tlbs(page()));
        has_entered.recv().unwrap();
        let (dropped, has_dropped) = channel();
        scope.spawn(move || {
            drop(subscription);
            dropped.send(()).unwrap();
        });
        let early = has_dropped.recv_timeout(A_WHILE);
        assert!(early.is_err(), "unregistered while the callback ran");
        let_go.send(()).unwrap();
        has_dropped.recv().unwrap();
    });
}

#[test]
fn giving_back_does_not_wait_and_frees_once_when_the_last_callback_has_left() {
    let space = space();
    let (slow, has_entered, let_go) = Slow::new();
    let shared = space.get(|| Ok::<_, ()>(slow)).unwrap();
    let second = space.get::<Slow, ()>(|| Err(())).unwrap();
    assert!(std::ptr::eq(&*shared, &*second));
    let subscriber = shared.subscriber();
    drop(second);
    std::thread::scope(|scope| {
        scope.spawn(|| space.lock_page_table().invalidate_secondary_tlbs(page()));
        has_entered.recv().unwrap();
        drop(shared);
        assert_eq!(subscriber.freed.load(Ordering::SeqCst), 0);
        let_go.send(()).unwrap();
    });
    assert_eq!(subscriber.freed.load(Ordering::SeqCst), 1);
}

/// Counts its releases and frees, and can hold its own kind.
#[derive(Default)]
struct Counted {
    released: AtomicU32,
    freed: Arc<AtomicU32>,
    held: Mutex<Vec<Shared<Counted>>>,
}

impl Subscriber for Counted {
    type Family = OwnPageTables;

    fn release(&self) {
        self.released.fetch_add(1, Ordering::SeqCst);
        let held = std::mem::take(&mut *lock(&self.held));
        drop(held);
    }
}

impl RangeSubscriber for Counted {
    fn invalidate_range_start(&self, _: &RangeEvent) {}
    fn invalidate_range_end(&self, _: &RangeEvent) {}
}

impl Singleton for Counted {
    fn member(self: Arc<Self>) -> Member {
        Member::Range(self)
    }

    fn free(&self) {
        self.freed.fetch_add(1, Ordering::SeqCst);
    }
}

fn count(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::SeqCst)
}

#[test]
fn giving_back_does_not_release() {
    let space = space();
    let shared = space.get(|| Ok::<_, ()>(Counted::default())).unwrap();
    let subscriber = shared.subscriber();
    drop(shared);
    assert_eq!(
        (count(&subscriber.released), count(&subscriber.freed)),
        (0, 1)
    );
}

#[test]
fn it_may_be_given_back_in_its_own_release() {
    let space = space();
    let shared = space.get(|| Ok::<_, ()>(Counted::default())).unwrap();
    let subscriber = shared.subscriber();
    lock(&subscriber.held).push(shared);
    space.exit();
    assert_eq!(
        (count(&subscriber.released), count(&subscriber.freed)),
        (1, 1)
    );
}

#[test]
#[should_panic(expected = "runs a subscriber's callback")]
fn one_is_not_made_while_one_is_made() {
    let space = space();
    let _shared = space.get::<Counted, ()>(|| {
        let _inner = space.get(|| Ok::<_, ()>(Counted::default()));
        Ok(Counted::default())
    });
}

#[test]
fn what_is_shared_can_t_be_had_after_the_end_even_if_there_is_one() {
    let space = space();
    let _shared = space.get(|| Ok::<_, ()>(Counted::default())).unwrap();
    space.exit();
    let late = space.get(|| Ok::<_, ()>(Counted::default()));
    assert_eq!(late.err(), Some(GetError::Register(RegisterError::Exited)));
}

#[test]
fn who_still_holds_it_at_the_end_keeps_it_from_being_freed() {
    let space = space();
    let shared = space.get(|| Ok::<_, ()>(Counted::default())).unwrap();
    let subscriber = shared.subscriber();
    space.exit();
    assert_eq!(
        (count(&subscriber.released), count(&subscriber.freed)),
        (1, 0)
    );
    drop(shared);
    assert_eq!(count(&subscriber.freed), 1);
}

#[test]
fn dropping_an_address_space_ends_it() {
    let (space, counted) = (space(), Arc::new(Counted::default()));
    let _subscription = space.register_ranges(counted.clone()).unwrap();
    drop(space);
    assert_eq!(count(&counted.released), 1);
}

#[test]
fn what_could_not_be_made_leaves_nothing() {
    let space = space();
    let failed = space.get::<Counted, _>(|| Err("no memory"));
    assert_eq!(failed.err(), Some(GetError::Alloc("no memory")));
    let _shared = space.get(|| Ok::<_, ()>(Counted::default())).unwrap();
}

#[test]
fn no_more_users_than_can_be_counted() {
    let space = space();
    let mut users: Vec<_> = (0..MAX_USERS)
        .map(|_| space.get(|| Ok::<_, ()>(Counted::default())).unwrap())
        .collect();
    let one_more = space.get(|| Ok::<_, ()>(Counted::default()));
    assert_eq!(one_more.err(), Some(GetError::TooManyUsers));
    users.pop();
    assert!(space.get(|| Ok::<_, ()>(Counted::default())).is_ok());
}

#[test]
fn release_is_called_once_whether_the_space_or_the_subscription_ends_first() {
    for exit_first in [true, false] {
        let (space, counted) = (space(), Arc::new(Counted::default()));
        let subscription = space.register_ranges(counted.clone()).unwrap();
        if exit_first {
            space.exit();
        }
        drop(subscription);
        space.exit();
        assert_eq!(count(&counted.released), 1, "exit first: {exit_first}");
    }
}

#[test]
fn nobody_is_told_anything_after_the_end() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let _subscription = space.register_ranges(ranges.clone()).unwrap();
    space.exit();
    invalidate(&space, page());
    assert_eq!(ranges.0.take(), []);
}

#[test]
fn nobody_joins_after_the_end() {
    let space = space();
    space.exit();
    let late = space.register_ranges(Arc::new(Ranges::default()));
    assert_eq!(late.err(), Some(RegisterError::Exited));
    let shared = space.get(|| Ok::<_, ()>(Counted::default()));
    assert_eq!(
        shared.err(),
        Some(GetError::Register(RegisterError::Exited))
    );
}

/// A callback that runs keeps the end of the address space waiting.
#[test]
fn the_end_waits_for_callbacks() {
    let space = space();
    let (slow, has_entered, let_go) = Slow::new();
    let _subscription = space.register_secondary_tlb(Arc::new(slow)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| space.invalidate_unlocked(page()));
        has_entered.recv().unwrap();
        let (ended, has_ended) = channel();
        let space = &space;
        scope.spawn(move || {
            space.exit();
            ended.send(()).unwrap();
        });
        assert!(has_ended.recv_timeout(A_WHILE).is_err());
        let_go.send(()).unwrap();
        has_ended.recv().unwrap();
    });
}
