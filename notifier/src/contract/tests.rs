//! The contract's promises, each with the fault that would break it.

use std::sync::{Arc, Mutex};

use super::*;
use crate::addr::{AddrRange, Gva, PageSize};
use crate::sync::lock;

/// Writes down what it is told.
#[derive(Default)]
struct Recorder(Mutex<Vec<Notice>>);

impl Recorder {
    fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut lock(&self.0))
    }
}

#[derive(Default)]
struct Ranges(Recorder);

impl Subscriber for Ranges {
    type Family = OwnPageTables;
}

impl RangeSubscriber for Ranges {
    fn invalidate_range_start(&self, event: &RangeEvent) {
        lock(&self.0.0).push(Notice::RangeStart(*event));
    }

    fn invalidate_range_end(&self, event: &RangeEvent) {
        lock(&self.0.0).push(Notice::RangeEnd(*event));
    }
}

#[derive(Default)]
struct Tlb(Recorder);

impl Subscriber for Tlb {
    type Family = SharedPageTables;
}

impl SecondaryTlbSubscriber for Tlb {
    fn invalidate_secondary_tlb(&self, range: AddrRange<Gva>) {
        lock(&self.0.0).push(Notice::SecondaryTlb(range));
    }
}

fn space() -> Arc<AddressSpace<u64>> {
    Arc::new(AddressSpace::new(0, Arc::new(())))
}

fn page() -> AddrRange<Gva> {
    AddrRange::page(Gva::new(0x1000), PageSize::K4)
}

fn unmap() -> RangeEvent {
    RangeEvent {
        event: Event::Unmap,
        range: page(),
    }
}

#[test]
fn a_start_is_delivered_at_once_and_its_end_on_drop() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let _subscription = space.subscribe_ranges(ranges.clone());
    let invalidation = space.invalidate_range(Event::Unmap, page());
    assert_eq!(ranges.0.take(), [Notice::RangeStart(unmap())]);
    drop(invalidation);
    assert_eq!(ranges.0.take(), [Notice::RangeEnd(unmap())]);
}

#[test]
fn an_end_is_sent_even_when_its_owner_panics() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let _subscription = space.subscribe_ranges(ranges.clone());
    let inner = Arc::clone(&space);
    let panicked = std::thread::spawn(move || {
        let _invalidation = inner.invalidate_range(Event::Unmap, page());
        panic!("between start and end");
    })
    .join();
    assert!(panicked.is_err());
    assert_eq!(ranges.0.take().last(), Some(&Notice::RangeEnd(unmap())));
}

#[test]
fn secondary_tlbs_hear_nothing_of_ranges_and_the_reverse() {
    let space = space();
    let (ranges, tlb) = (Arc::new(Ranges::default()), Arc::new(Tlb::default()));
    let _ranges = space.subscribe_ranges(ranges.clone());
    let _tlb = space.subscribe_secondary_tlb(tlb.clone());
    drop(space.invalidate_range(Event::Unmap, page()));
    assert_eq!(tlb.0.take(), []);
    ranges.0.take();
    space.lock_page_table().invalidate_secondary_tlbs(page());
    assert_eq!(tlb.0.take(), [Notice::SecondaryTlb(page())]);
    assert_eq!(ranges.0.take(), []);
}

#[test]
fn whoever_subscribes_inside_a_window_gets_no_end_without_a_start() {
    let (space, late) = (space(), Arc::new(Ranges::default()));
    let invalidation = space.invalidate_range(Event::Unmap, page());
    let _subscription = space.subscribe_ranges(late.clone());
    drop(invalidation);
    assert_eq!(late.0.take(), []);
}

#[test]
fn nothing_is_delivered_after_unsubscribing() {
    let space = space();
    let (ranges, tlb) = (Arc::new(Ranges::default()), Arc::new(Tlb::default()));
    drop(space.subscribe_ranges(ranges.clone()));
    drop(space.subscribe_secondary_tlb(tlb.clone()));
    drop(space.invalidate_range(Event::Unmap, page()));
    space.lock_page_table().invalidate_secondary_tlbs(page());
    assert_eq!(ranges.0.take(), []);
    assert_eq!(tlb.0.take(), []);
}

#[test]
fn unsubscribing_waits_for_a_callback_that_is_running() {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    /// Says that it was called, then stays until it is let go.
    struct Slow(Mutex<(Sender<()>, Receiver<()>)>);
    impl Subscriber for Slow {
        type Family = SharedPageTables;
    }
    impl SecondaryTlbSubscriber for Slow {
        fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>) {
            let channels = lock(&self.0);
            channels.0.send(()).unwrap();
            channels.1.recv().unwrap();
        }
    }

    let space = space();
    let (entered, has_entered) = channel();
    let (let_go, wait) = channel();
    let subscription = space.subscribe_secondary_tlb(Arc::new(Slow(Mutex::new((entered, wait)))));
    let caller = {
        let space = Arc::clone(&space);
        std::thread::spawn(move || space.lock_page_table().invalidate_secondary_tlbs(page()))
    };
    has_entered.recv().unwrap();
    let (dropped, has_dropped) = channel();
    let dropper = std::thread::spawn(move || {
        drop(subscription);
        dropped.send(()).unwrap();
    });
    let early = has_dropped.recv_timeout(Duration::from_millis(50));
    assert!(early.is_err(), "unsubscribed while the callback ran");
    let_go.send(()).unwrap();
    has_dropped.recv().unwrap();
    caller.join().unwrap();
    dropper.join().unwrap();
}

#[test]
fn what_is_sent_is_counted_where_it_is_sent() {
    let space = space();
    let open = space.invalidate_range(Event::Clear, page());
    drop(space.invalidate_range(Event::Unmap, page()));
    space.lock_page_table().invalidate_secondary_tlbs(page());
    let sent = space.notifications();
    assert_eq!(
        (sent.range_start, sent.range_end, sent.secondary_tlb),
        (2, 1, 1)
    );
    drop(open);
    assert_eq!(space.notifications().range_end, 2);
}

#[test]
fn the_page_table_is_reached_through_its_lock() {
    let space = space();
    *space.lock_page_table() += 1;
    assert_eq!(*space.lock_page_table(), 1);
}
