//! Several threads at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Long enough that without the sequence check it fails every time.
const LONG: Duration = Duration::from_millis(400);

/// An entry all of whose words say the same number.
fn whole(number: u64) -> (Leaf, Step) {
    let leaf = Leaf {
        software: u16::try_from(number & 0xffff).unwrap(),
        ..leaf(PageSize::K4, number << 12)
    };
    (leaf, Step(number))
}

fn is_whole(entry: &Cached) -> bool {
    let number = entry.filled.0;
    let (leaf, _) = whole(number);
    entry.leaf == leaf && entry.page == page((number % PAGES) << 12, PageSize::K4)
}

/// More than a set has ways: they replace each other all the time.
const PAGES: u64 = 8;

#[test]
fn a_reader_sees_entries_whole_or_not_at_all() {
    let tlb = Tlb::new(WAYS);
    let space = tlb.space(key(1));
    let stop = AtomicBool::new(false);
    let torn = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let found = |number| tlb.lookup(&space, None, Iova::new(number << 12));
            let mut numbers = (0..PAGES).cycle();
            while !stop.load(Ordering::Relaxed) {
                let entry = numbers.next().and_then(found);
                if entry.is_some_and(|entry| !is_whole(&entry)) {
                    return entry;
                }
            }
            None
        });
        let end = Instant::now() + LONG;
        let numbers = (0..).take_while(|_| !reader.is_finished() && Instant::now() < end);
        for number in numbers {
            let (leaf, filled) = whole(number);
            let ticket = tlb.fill_began(&space);
            let page = page((number % PAGES) << 12, PageSize::K4);
            assert_eq!(
                tlb.insert(&space, ticket, page, leaf, filled),
                Inserted::Kept
            );
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert_eq!(torn, None);
}

/// What an invalidation that has returned covered is seen by nobody: the writer changes the number
/// of the page, invalidates, and says so; the reader never finds an older one afterwards, though it
/// is the reader that fills.
#[test]
fn nothing_older_than_a_completed_invalidation_is_found() {
    let tlb = Tlb::new(WAYS);
    let space = tlb.space(key(1));
    let [table, complete] = [0, 0].map(std::sync::atomic::AtomicU64::new);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let least = complete.load(Ordering::Acquire);
                if let Some(found) = tlb.lookup(&space, None, Iova::new(0)) {
                    assert!(found.filled.0 >= least, "{} of {least}", found.filled);
                    continue;
                }
                let ticket = tlb.fill_began(&space);
                let (leaf, filled) = whole(table.load(Ordering::Acquire));
                let inserted = tlb.insert(&space, ticket, page(0, PageSize::K4), leaf, filled);
                assert_ne!(inserted, Inserted::Unfit);
            }
        });
        let end = Instant::now() + LONG;
        for number in (1..).take_while(|_| !reader.is_finished() && Instant::now() < end) {
            table.store(number, Ordering::Release);
            if number & 1 == 0 {
                invalidate(&tlb, &space, page(0, PageSize::K4));
            } else {
                tlb.invalidate_space(&space, None);
            }
            complete.store(number, Ordering::Release);
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}
