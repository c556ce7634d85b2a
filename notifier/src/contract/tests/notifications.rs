//! Who is told what, and when.

use super::*;

#[test]
fn a_start_is_delivered_at_once_and_its_end_on_drop() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let _subscription = space.register_ranges(ranges.clone()).unwrap();
    let window = space.mutate().into_window(Event::Unmap, page());
    assert_eq!(ranges.0.take(), [Notice::RangeStart(unmap(page()))]);
    drop(window);
    assert_eq!(ranges.0.take(), [Notice::RangeEnd(unmap(page()))]);
}

#[test]
fn windows_nest_and_each_has_its_end() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let _subscription = space.register_ranges(ranges.clone()).unwrap();
    let mut mutation = space.mutate();
    let mut outer = mutation.start(Event::Unmap, pages(0, 9));
    drop(outer.nest(Event::Unmap, pages(3, 4)));
    drop(outer);
    let (outer, inner) = (unmap(pages(0, 9)), unmap(pages(3, 4)));
    let expected = [
        Notice::RangeStart(outer),
        Notice::RangeStart(inner),
        Notice::RangeEnd(inner),
        Notice::RangeEnd(outer),
    ];
    assert_eq!(ranges.0.take(), expected);
}

#[test]
fn an_end_is_sent_even_when_its_owner_panics() {
    let (space, ranges) = (space(), Arc::new(Ranges::default()));
    let _subscription = space.register_ranges(ranges.clone()).unwrap();
    let inner = Arc::clone(&space);
    let panicked = std::thread::spawn(move || {
        let _window = inner.mutate().into_window(Event::Unmap, page());
        panic!("between start and end");
    })
    .join();
    assert!(panicked.is_err());
    let end = Notice::RangeEnd(unmap(page()));
    assert_eq!(ranges.0.take().last(), Some(&end));
}

/// Panics when it is told a start.
struct Broken;

impl Subscriber for Broken {
    type Family = OwnPageTables;
}

impl RangeSubscriber for Broken {
    fn invalidate_range_start(&self, _: &RangeEvent) {
        panic!("in a start");
    }

    fn invalidate_range_end(&self, _: &RangeEvent) {}
}

/// Who was told the start before it is told the end, who was not is told neither.
#[test]
fn a_start_that_panics_leaves_nobody_without_an_end() {
    let space = space();
    let (before, after) = (Arc::new(Ranges::default()), Arc::new(Ranges::default()));
    let _before = space.register_ranges(before.clone()).unwrap();
    let _broken = space.register_ranges(Arc::new(Broken)).unwrap();
    let _after = space.register_ranges(after.clone()).unwrap();
    let inner = Arc::clone(&space);
    let panicked = std::thread::spawn(move || invalidate(&inner, page())).join();
    assert!(panicked.is_err());
    let (start, end) = (
        Notice::RangeStart(unmap(page())),
        Notice::RangeEnd(unmap(page())),
    );
    assert_eq!(before.0.take(), [start, end]);
    assert_eq!(after.0.take(), []);
}

#[test]
fn secondary_tlbs_hear_nothing_of_ranges_and_the_reverse() {
    let space = space();
    let (ranges, tlb) = (Arc::new(Ranges::default()), Arc::new(Tlb::default()));
    let _ranges = space.register_ranges(ranges.clone()).unwrap();
    let _tlb = space.register_secondary_tlb(tlb.clone()).unwrap();
    invalidate(&space, page());
    assert_eq!(tlb.0.take(), []);
    ranges.0.take();
    space.lock_page_table().invalidate_secondary_tlbs(page());
    assert_eq!(tlb.0.take(), [Notice::SecondaryTlb(page())]);
    assert_eq!(ranges.0.take(), []);
}

#[test]
fn secondary_tlbs_are_told_without_the_lock_too() {
    let (space, tlb) = (space(), Arc::new(Tlb::default()));
    let _tlb = space.register_secondary_tlb(tlb.clone()).unwrap();
    space.invalidate_unlocked(AddrRange::all());
    assert_eq!(tlb.0.take(), [Notice::SecondaryTlb(AddrRange::all())]);
}

#[test]
fn what_is_sent_is_counted_where_it_is_sent() {
    let space = Arc::new(AddressSpace::observed(0_u64, Arc::new(())));
    let open = space.mutate().into_window(Event::Clear, page());
    invalidate(&space, page());
    space.lock_page_table().invalidate_secondary_tlbs(page());
    let sent = space.notifications().unwrap();
    assert_eq!(
        (sent.range_start, sent.range_end, sent.secondary_tlb),
        (2, 1, 1)
    );
    drop(open);
    assert_eq!(space.notifications().unwrap().range_end, 2);
}

#[test]
fn what_nobody_observes_is_not_counted() {
    assert_eq!(space().notifications(), None);
}

#[test]
fn the_page_table_is_reached_through_its_lock() {
    let space = space();
    *space.lock_page_table() += 1;
    let mut mutation = space.mutate();
    *mutation.lock_page_table() += 1;
    let mut window = mutation.start(Event::Clear, page());
    *window.lock_page_table() += 1;
    drop(window);
    assert_eq!(*space.lock_page_table(), 3);
}
