//! That a recorder's word can be relied on.

use super::*;
use crate::contract::{AddressSpace, Event};
use crate::test_space::range;

fn shared_log() -> (Arc<Log>, RangeRecorder, TlbRecorder) {
    let log = Arc::new(Log::default());
    let ranges = RangeRecorder::new(log.clone(), Age::Old);
    let tlb = TlbRecorder::new(log.clone(), Age::Young);
    (log, ranges, tlb)
}

/// Case 27: the sub-range that changed, inside of the pair that surrounds it.
#[test]
fn recorders_of_both_families_share_one_order() {
    let (log, ranges, tlb) = shared_log();
    let space = Arc::new(AddressSpace::new(()));
    let _ranges = space.register_ranges(Arc::new(ranges)).unwrap();
    let _tlb = space.register_secondary_tlb(Arc::new(tlb)).unwrap();
    let both = range(0).hull(range(1));
    let mut window = space.mutate().into_window(Event::Clear, both);
    window.lock_page_table().invalidate_secondary_tlbs(range(1));
    drop(window);
    let [
        Told::RangeStart(start),
        Told::SecondaryTlb(middle),
        Told::RangeEnd(end),
    ] = log.told()[..]
    else {
        panic!("{:?}", log.told());
    };
    assert_eq!((start.range, middle, end.range), (both, range(1), both));
}

#[test]
fn a_call_carries_the_thread_that_made_it() {
    let (log, _, tlb) = shared_log();
    tlb.invalidate_secondary_tlb(range(0));
    let other = std::thread::spawn(move || {
        tlb.invalidate_secondary_tlb(range(1));
        std::thread::current().id()
    });
    let other = other.join().unwrap();
    let threads: Vec<_> = log.take().iter().map(|call| call.thread).collect();
    assert_eq!(threads, [std::thread::current().id(), other]);
    assert_eq!(log.calls(), []);
}

#[test]
fn the_age_is_what_the_test_says() {
    let (log, old, young) = shared_log();
    assert!(!old.test_young(range(0)));
    assert!(young.clear_young(range(0)));
    assert!(young.clear_flush_young(range(0)));
    young.release();
    let asked = [
        Told::TestYoung(range(0)),
        Told::ClearYoung(range(0)),
        Told::ClearFlushYoung(range(0)),
        Told::Release,
    ];
    assert_eq!(log.told(), asked);
}
