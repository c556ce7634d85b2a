//! Which pages a device used.

use super::*;

/// A page was used or not, and how often that was asked.
struct Aged {
    young: Mutex<bool>,
    asked: Mutex<u32>,
}

impl Aged {
    fn new(young: bool) -> Arc<Self> {
        Arc::new(Self {
            young: Mutex::new(young),
            asked: Mutex::new(0),
        })
    }

    fn ask(&self) {
        *lock(&self.asked) += 1;
    }
}

impl Subscriber for Aged {
    type Family = OwnPageTables;

    fn clear_flush_young(&self, _: AddrRange<Gva>) -> bool {
        self.ask();
        std::mem::replace(&mut lock(&self.young), false)
    }

    fn clear_young(&self, range: AddrRange<Gva>) -> bool {
        self.clear_flush_young(range)
    }

    fn test_young(&self, _: AddrRange<Gva>) -> bool {
        self.ask();
        *lock(&self.young)
    }
}

impl RangeSubscriber for Aged {
    fn invalidate_range_start(&self, _: &RangeEvent) {}
    fn invalidate_range_end(&self, _: &RangeEvent) {}
}

#[test]
fn clearing_asks_everybody_and_one_yes_is_enough() {
    let space = space();
    let aged = [true, false, true].map(Aged::new);
    let _subscriptions = aged
        .clone()
        .map(|aged| space.register_ranges(aged).unwrap());
    assert!(space.lock_page_table().clear_flush_young(page()));
    assert_eq!(aged.each_ref().map(|aged| *lock(&aged.asked)), [1; 3]);
    assert!(!space.lock_page_table().clear_young(page()));
    assert_eq!(aged.each_ref().map(|aged| *lock(&aged.asked)), [2; 3]);
}

#[test]
fn testing_stops_at_the_first_yes_and_clears_nothing() {
    let space = space();
    let aged = [false, true, true].map(Aged::new);
    let _subscriptions = aged
        .clone()
        .map(|aged| space.register_ranges(aged).unwrap());
    for _ in 0..2 {
        assert!(space.lock_page_table().test_young(page()));
    }
    assert_eq!(aged.each_ref().map(|aged| *lock(&aged.asked)), [2, 2, 0]);
}

#[test]
fn nobody_has_used_what_nobody_follows() {
    let space = space();
    let guard = space.lock_page_table();
    assert!(!guard.clear_flush_young(page()) && !guard.clear_young(page()));
    assert!(!guard.test_young(page()));
}
