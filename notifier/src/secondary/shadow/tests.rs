//! KVM's rules, on a whole shadow MMU.

use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;
use crate::addr::Permissions;
use crate::contract::Event;
use crate::paging::{FlatMemory, TableMemoryMut};
use crate::secondary::observer;
use crate::test_space::{Telling, TestSpace, frame, leaf, page, range};

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;

fn kind<T: std::fmt::Debug>(result: Result<T, Fault>) -> FaultKind {
    result.unwrap_err().kind
}

/// Case 46: what a KVM-like MMU does not need.
#[test]
fn an_upgrade_that_nobody_tells_of_zaps_nothing_and_loses_nothing() {
    let space = TestSpace::new(&[RO]);
    space.shadow_dma(0, Access::Read).unwrap();
    space.set(0, Some(leaf(0, RW)), Telling::SecondaryTlb);
    assert_eq!(space.shadow_dma(0, Access::Write), Ok(frame(0)));
    assert_eq!(space.shadow.counts().zapped, 0);
    assert_eq!(space.space.notifications().unwrap().range_start, 0);
}

/// Makes an invalidation begin and end while the shadow looks at the primary page table, the one
/// place where it holds no lock.
struct InvalidatesDuringWalk {
    inner: FlatMemory,
    shadow: Mutex<Option<std::sync::Weak<Shadow>>>,
}

impl TableMemory for InvalidatesDuringWalk {
    fn read_entry(&self, slot: Gpa) -> Result<u64, crate::paging::NoMemory> {
        let shadow = lock(&self.shadow).take();
        if let Some(shadow) = shadow.and_then(|shadow| shadow.upgrade()) {
            shadow.start(range(9));
            shadow.end(range(9));
        }
        self.inner.read_entry(slot)
    }
}

/// Case 40, with the walk in between.
#[test]
fn an_invalidation_during_the_walk_makes_it_try_again() {
    let space = TestSpace::bare(&[RO]);
    let inner = FlatMemory::new(0x2_0000);
    for at in (0..0x8000).step_by(8).map(Gpa::new) {
        let entry = space.memory.read_entry(at).unwrap();
        inner.write_entry(at, entry).unwrap();
    }
    let tables = Arc::new(InvalidatesDuringWalk {
        inner,
        shadow: Mutex::default(),
    });
    let observer: Arc<dyn observer::Observer> = Arc::new(());
    let shadow = Shadow::new(tables.clone(), space.format.clone(), space.root, observer);
    let shadow = Arc::new(shadow);
    *lock(&tables.shadow) = Some(Arc::downgrade(&shadow));
    let access = || shadow.access(page(0), Access::Read, |target| target);
    assert_eq!(kind(access()), FaultKind::Invalidating);
    assert_eq!(shadow.counts().filled, 0);
    assert_eq!(access(), Ok(frame(0)));
}

/// Case 43.
#[test]
fn an_end_without_a_start_is_counted_and_harmless() {
    let space = TestSpace::new(&[RO]);
    space.shadow.end(range(0));
    assert_eq!(space.shadow.counts().unbalanced_ends, 1);
    let window = space.space.mutate().into_window(Event::Clear, range(0));
    assert_eq!(
        kind(space.shadow_dma(0, Access::Read)),
        FaultKind::Invalidating
    );
    drop(window);
    assert_eq!(space.shadow_dma(0, Access::Read), Ok(frame(0)));
}

#[test]
fn what_no_slot_maps_is_refused() {
    let space = TestSpace::new(&[RO, RO]);
    space.shadow.set_slots(vec![range(0)]);
    space.shadow_dma(0, Access::Read).unwrap();
    assert_eq!(
        kind(space.shadow_dma(1, Access::Read)),
        FaultKind::Translation
    );
}

#[test]
fn an_invalidation_outside_of_every_slot_refuses_nothing() {
    let space = TestSpace::new(&[RO, RO]);
    space.shadow.set_slots(vec![range(0)]);
    let both_sides = range(1).hull(range(4));
    let window = space.space.mutate().into_window(Event::Clear, both_sides);
    assert_eq!(space.shadow_dma(0, Access::Read), Ok(frame(0)));
    drop(window);
    assert_eq!(space.shadow.counts().unbalanced_ends, 0);
}

#[test]
fn a_slot_that_goes_takes_its_entries_along() {
    let space = TestSpace::new(&[RO, RO]);
    for n in 0..2 {
        space.shadow_dma(n, Access::Read).unwrap();
    }
    space.shadow.set_slots(vec![range(1)]);
    assert_eq!(
        kind(space.shadow_dma(0, Access::Read)),
        FaultKind::Translation
    );
    space.shadow_dma(1, Access::Read).unwrap();
    assert_eq!(space.shadow.counts().filled, 2);
}

/// Swaps slots on a thread of its own; says so when it is done.
fn swap_slots(shadow: &Arc<Shadow>) -> std::sync::mpsc::Receiver<()> {
    let (done, is_done) = channel();
    let shadow = shadow.clone();
    std::thread::spawn(move || {
        shadow.set_slots(vec![range(1)]);
        done.send(()).unwrap();
    });
    is_done
}

#[test]
fn slots_change_only_when_no_invalidation_is_active() {
    let space = TestSpace::new(&[RO, RO]);
    let window = space.space.mutate().into_window(Event::Clear, range(0));
    let swapped = swap_slots(&space.shadow);
    let early = swapped.recv_timeout(Duration::from_millis(50));
    assert!(early.is_err(), "swapped inside of an invalidation");
    drop(window);
    swapped.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(space.shadow.counts().unbalanced_ends, 0);
}

/// Case 56: the end never comes, and nobody waits for it for ever.
#[test]
fn unregistering_inside_of_a_window_heals_the_count() {
    let mut space = TestSpace::bare(&[RO, RO]);
    space.follow_ranges(space.shadow.clone());
    let window = space.space.mutate().into_window(Event::Clear, range(0));
    let shadow = space.shadow.clone();
    let swapped = swap_slots(&shadow);
    space.unfollow();
    drop(window);
    let early = swapped.recv_timeout(Duration::from_millis(50));
    assert!(early.is_err(), "the end was delivered");
    assert_eq!(shadow.unregistered(), 1);
    swapped.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(shadow.unregistered(), 0);
}

#[test]
fn after_a_release_nothing_is_left_and_nothing_is_made() {
    let space = TestSpace::new(&[RO]);
    space.shadow_dma(0, Access::Read).unwrap();
    for _ in 0..2 {
        space.shadow.release();
        assert_eq!(
            kind(space.shadow_dma(0, Access::Read)),
            FaultKind::Translation
        );
    }
    assert_eq!(space.shadow.counts().zapped, 1);
}

#[test]
fn young_is_what_was_used_since_it_was_cleared() {
    let space = TestSpace::new(&[RO, RO, RO]);
    let shadow = &space.shadow;
    let all = range(0).hull(range(2));
    assert!(!shadow.test_young(all));
    for n in [0, 2] {
        space.shadow_dma(n, Access::Read).unwrap();
    }
    assert!(shadow.test_young(all) && shadow.test_young(all));
    assert!(!shadow.test_young(range(1)));
    assert!(shadow.clear_young(range(0)));
    assert!(!shadow.test_young(range(0)) && shadow.test_young(range(2)));
    space.shadow_dma(0, Access::Read).unwrap();
    assert!(shadow.clear_flush_young(all), "the first and the last");
    assert!(!shadow.test_young(all));
    space.shadow_dma(0, Access::Read).unwrap();
    assert!(shadow.test_young(range(0)), "seen again without a refill");
    assert_eq!(shadow.counts().filled, 2);
}

#[test]
fn an_access_that_is_refused_leaves_nothing_young() {
    let space = TestSpace::new(&[RO]);
    assert_eq!(
        kind(space.shadow_dma(0, Access::Write)),
        FaultKind::Permission
    );
    assert!(!space.shadow.test_young(range(0)));
}
