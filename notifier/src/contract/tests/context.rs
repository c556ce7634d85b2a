//! What a thread is stopped from doing, and that it is told both places.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// What `body` panics with.
fn complaint(body: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(body)).expect_err("nobody complained");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

/// Both places are in this file.
fn names_both_places(complaint: &str) -> bool {
    complaint.matches(file!()).count() == 2
}

#[test]
fn what_may_sleep_is_refused_under_the_page_table_lock() {
    let space = space();
    let _guard = space.lock_page_table();
    let complaint = complaint(might_sleep);
    assert!(
        complaint.contains("holds the page-table lock"),
        "{complaint}"
    );
}

#[test]
fn a_window_of_another_mutation_is_refused_under_the_page_table_lock() {
    let space = space();
    let complaint = complaint(|| {
        let _guard = space.lock_page_table();
        let _window = space.mutate().into_window(Event::Unmap, page());
    });
    assert!(names_both_places(&complaint), "{complaint}");
}

#[test]
fn the_page_table_lock_is_not_taken_twice() {
    let space = space();
    let complaint = complaint(|| {
        let _first = space.lock_page_table();
        let _second = space.lock_page_table();
    });
    assert!(names_both_places(&complaint), "{complaint}");
}

#[test]
fn the_page_table_locks_of_two_address_spaces_are_two() {
    let (first, second) = (space(), space());
    let _first = first.lock_page_table();
    let _second = second.lock_page_table();
}

#[test]
fn nobody_registers_inside_his_own_mutation() {
    let space = space();
    let complaint = complaint(|| {
        let _mutation = space.mutate();
        let _refused = space.register_ranges(Arc::new(Ranges::default()));
    });
    assert!(names_both_places(&complaint), "{complaint}");
    let _fine = space.register_ranges(Arc::new(Ranges::default())).unwrap();
}

/// Does something in its callback.
struct Doing<F>(F);

impl<F: Send + Sync> Subscriber for Doing<F> {
    type Family = SharedPageTables;
}

impl<F: Fn() + Send + Sync> SecondaryTlbSubscriber for Doing<F> {
    fn invalidate_secondary_tlb(&self, _: AddrRange<Gva>) {
        (self.0)();
    }
}

/// What an address space complains of when a secondary TLB does this in its callback.
fn complaint_of(doing: impl Fn(&Arc<AddressSpace<u64>>) + Send + Sync + 'static) -> String {
    let space = space();
    let inner = Arc::downgrade(&space);
    let callback = move || doing(&inner.upgrade().unwrap());
    let _subscription = space
        .register_secondary_tlb(Arc::new(Doing(callback)))
        .unwrap();
    complaint(|| space.lock_page_table().invalidate_secondary_tlbs(page()))
}

#[test]
fn a_secondary_tlb_must_not_sleep() {
    let complaint = complaint_of(|_| might_sleep());
    assert!(complaint.contains("must not sleep"), "{complaint}");
    assert!(names_both_places(&complaint), "{complaint}");
}

#[test]
fn a_secondary_tlb_must_not_take_the_page_table_lock() {
    let complaint = complaint_of(|space| drop(space.lock_page_table()));
    assert!(names_both_places(&complaint), "{complaint}");
}

#[test]
fn nor_where_no_lock_is_held() {
    let space = space();
    let inner = Arc::downgrade(&space);
    let callback = move || drop(inner.upgrade().unwrap().lock_page_table());
    let subscriber = Arc::new(Doing(callback));
    let _subscription = space.register_secondary_tlb(subscriber).unwrap();
    let complaint = complaint(|| space.invalidate_unlocked(page()));
    assert!(names_both_places(&complaint), "{complaint}");
}

/// Two threads with two intervals' locks could wait for each other; one is enough to complain.
#[test]
fn a_read_is_not_begun_under_any_user_lock() {
    struct Nothing;
    impl IntervalSubscriber for Nothing {
        type State = ();
        fn invalidate(&self, (): &mut (), _: &IntervalEvent) -> FirstPass {
            FirstPass::Done
        }
    }
    let (space, other) = (space(), Arc::new(UserLock::new(())));
    let own = Arc::new(UserLock::new(()));
    let interval = space.insert_interval(page(), &own, Nothing).unwrap();
    let complaint = complaint(|| {
        let _guard = other.lock();
        let _begun = interval.read_begin();
    });
    assert!(names_both_places(&complaint), "{complaint}");
}

#[test]
fn a_callback_must_not_begin_a_mutation() {
    let complaint = complaint_of(|space| drop(space.mutate()));
    assert!(names_both_places(&complaint), "{complaint}");
}

#[test]
fn a_callback_must_not_register() {
    let complaint = complaint_of(|space| {
        let _refused = space.register_ranges(Arc::new(Ranges::default()));
    });
    assert!(names_both_places(&complaint), "{complaint}");
}

#[test]
fn what_was_refused_is_forgotten() {
    let space = space();
    complaint(|| {
        let _guard = space.lock_page_table();
        might_sleep();
    });
    might_sleep();
    invalidate(&space, page());
}
