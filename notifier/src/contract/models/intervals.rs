//! The interval side: a read that is used is not stale, nobody waits for ever, nothing runs after a
//! removal.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use loom::thread;

use super::super::context::SpaceId;
use super::super::interval::Intervals;
use super::super::interval::watcher::{Watch, Watcher};
use super::super::{
    Blocking, Event, FirstPass, IntervalEvent, IntervalSubscriber, RangeEvent, UserLock,
};
use crate::addr::{AddrRange, Gva, PageSize};

fn page(n: u64) -> AddrRange<Gva> {
    AddrRange::page(Gva::new(n << 12), PageSize::K4)
}

fn event(n: u64) -> RangeEvent {
    RangeEvent {
        event: Event::Clear,
        range: page(n),
        blocking: Blocking::Allowed,
    }
}

/// A copy of the entry, which invalidation takes away.
struct Copy {
    removed: AtomicBool,
}

impl IntervalSubscriber for Copy {
    type State = Option<u64>;

    fn invalidate(&self, copy: &mut Option<u64>, _: &IntervalEvent) -> FirstPass {
        assert!(!self.removed.load(Relaxed), "told after it was removed");
        *copy = None;
        FirstPass::Done
    }
}

fn watcher() -> Arc<Watcher<Copy>> {
    let removed = AtomicBool::new(false);
    Arc::new(Watcher::new(
        Copy { removed },
        Arc::new(UserLock::new(None)),
    ))
}

fn intervals() -> Arc<Intervals> {
    Arc::new(Intervals::new(SpaceId(0)))
}

/// Changes the entry as the primary MMU does.
fn change(intervals: &Intervals, entry: &AtomicU64, value: u64) {
    intervals.start(&event(0)).unwrap();
    entry.store(value, SeqCst);
    intervals.end();
}

/// Reads the entry as a driver does, once; what is installed must be good then and there.
fn read(intervals: &Intervals, watcher: &Watcher<Copy>, entry: &AtomicU64) {
    let begun = intervals.read_begin(watcher);
    let read = entry.load(SeqCst);
    let mut copy = watcher.lock.lock();
    if watcher.number() == begun {
        *copy = Some(read);
    }
}

#[test]
fn what_is_installed_is_not_stale_once_the_change_has_ended() {
    loom::model(|| {
        let (intervals, watcher) = (intervals(), watcher());
        let entry = Arc::new(AtomicU64::new(1));
        intervals.insert(page(0), watcher.clone());
        let changing = {
            let (intervals, entry) = (Arc::clone(&intervals), Arc::clone(&entry));
            thread::spawn(move || change(&intervals, &entry, 2))
        };
        read(&intervals, &watcher, &entry);
        changing.join().unwrap();
        let copy = *watcher.lock.lock();
        assert!(copy.is_none_or(|copy| copy == 2), "stale: {copy:?}");
    });
}

/// Two wait for one invalidation; loom tells if one is forgotten.
#[test]
fn everybody_who_waits_goes_on() {
    loom::model(|| {
        let (intervals, watcher) = (intervals(), watcher());
        intervals.insert(page(0), watcher.clone());
        intervals.start(&event(0)).unwrap();
        let readers = [(); 2].map(|()| {
            let (intervals, watcher) = (Arc::clone(&intervals), watcher.clone());
            thread::spawn(move || intervals.read_begin(&*watcher))
        });
        intervals.end();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), watcher.number());
        }
    });
}

#[test]
fn an_interval_that_comes_in_the_middle_misses_nothing() {
    loom::model(|| {
        let (intervals, watcher) = (intervals(), watcher());
        let entry = Arc::new(AtomicU64::new(1));
        let changing = {
            let (intervals, entry) = (Arc::clone(&intervals), Arc::clone(&entry));
            thread::spawn(move || change(&intervals, &entry, 2))
        };
        intervals.insert(page(0), watcher.clone());
        read(&intervals, &watcher, &entry);
        changing.join().unwrap();
        let copy = *watcher.lock.lock();
        assert!(copy.is_none_or(|copy| copy == 2), "stale: {copy:?}");
    });
}

#[test]
fn nothing_runs_after_a_removal_and_it_is_not_waited_for_in_vain() {
    loom::model(|| {
        let (intervals, watcher) = (intervals(), watcher());
        let id = intervals.insert(page(0), watcher.clone());
        let changing = {
            let intervals = Arc::clone(&intervals);
            thread::spawn(move || {
                intervals.start(&event(0)).unwrap();
                intervals.end();
            })
        };
        intervals.remove(id);
        watcher.subscriber.removed.store(true, Relaxed);
        changing.join().unwrap();
        intervals.start(&event(0)).unwrap();
        intervals.end();
        assert_eq!(intervals.number() % 2, 0);
    });
}

#[test]
fn two_invalidations_at_once_end_even() {
    loom::model(|| {
        let (intervals, watcher) = (intervals(), watcher());
        intervals.insert(page(0), watcher.clone());
        let other = {
            let intervals = Arc::clone(&intervals);
            thread::spawn(move || {
                intervals.start(&event(0)).unwrap();
                intervals.end();
            })
        };
        intervals.start(&event(0)).unwrap();
        intervals.end();
        other.join().unwrap();
        assert_eq!(intervals.number() % 2, 0);
        assert_eq!(watcher.number() % 2, 1);
    });
}
