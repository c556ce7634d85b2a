//! What the guest wrote between two scans, found all at once.

use std::sync::Arc;

use notifier::contract::{OwnPageTables, RangeEvent, RangeSubscriber, Subscriber};
use notifier::paging::{ChangeKind, Format, SystemMemory};

use super::*;
use crate::tracker::scan::fixture::{FORMAT, FRAME, Fixture, LOOSE, fixture, large, mapped, table};

/// What a device sets in an entry; it could be any bit.
const MARK: u64 = 1 << 9;

impl Fixture {
    /// The guest writes all this, and then comes a scan.
    fn write(&self, entries: &[(Gpa, u64)]) -> Result<(), MirrorError> {
        for (slot, entry) in entries {
            self.ram.publish(*slot, *entry).unwrap();
        }
        let pool = self.ram.layout().page_tables();
        let pages = (pool.start().raw()..=pool.last().raw()).step_by(4096);
        let found = pages.flat_map(|page| self.copy.changed(Gpa::new(page)).unwrap());
        Changes::new(&self.copy, &self.mirror, found.collect()).apply()
    }
}

/// What stood in its page before was never a translation.
#[test]
fn a_table_that_was_filled_and_then_linked_comes_whole() {
    let fixture = fixture();
    let fresh = Gpa::new(LOOSE);
    fixture.write(&[(fresh, mapped(4))]).unwrap();
    let (second, place) = (Gpa::new(LOOSE + 8), Gpa::new(fixture.parents[1].raw() + 8));
    let written = [
        (fresh, mapped(5)),
        (second, mapped(6)),
        (place, table(fresh)),
    ];
    fixture.write(&written).unwrap();
    fixture.verify();
    assert_eq!(fixture.kinds(), [(ChangeKind::Map, 2)]);
}

/// What was written to its page later was never a translation: not a remap.
#[test]
fn a_table_that_was_unlinked_and_then_written_over_goes_whole() {
    let fixture = fixture();
    let [slot, _] = fixture.slots;
    fixture
        .write(&[(fixture.parents[0], 0), (slot, mapped(9))])
        .unwrap();
    fixture.verify();
    assert_eq!(fixture.kinds(), [(ChangeKind::Unmap, 1)]);
}

/// The lower table was written over when it was out already.
#[test]
fn what_is_unlinked_above_is_not_looked_at_below() {
    let fixture = fixture();
    let written = [(fixture.above, 0), (fixture.parents[0], large())];
    fixture.write(&written).unwrap();
    fixture.verify();
    assert_eq!(fixture.kinds(), [(ChangeKind::Unmap, 2)]);
}

/// The new place has the lower address and so would come first.
#[test]
fn a_table_that_moves_leaves_its_old_place_first() {
    let fixture = fixture();
    let [first, second] = fixture.parents;
    let moved = table(fixture.slots[1]);
    fixture.write(&[(second, 0), (first, moved)]).unwrap();
    fixture.verify();
    assert_eq!(
        fixture.kinds(),
        [(ChangeKind::Unmap, 1), (ChangeKind::Remap, 1)]
    );
}

/// One of the two led nowhere in between, and nobody can say which.
#[test]
fn tables_that_change_places_were_unlinked_in_between() {
    let fixture = fixture();
    let [first, second] = fixture.slots.map(table);
    let [one, other] = fixture.parents;
    fixture.write(&[(one, second), (other, first)]).unwrap();
    fixture.verify();
    assert_eq!(
        fixture.kinds(),
        [(ChangeKind::Map, 2), (ChangeKind::Unmap, 2)]
    );
}

/// A page that was a last table becomes one above another.
#[test]
fn a_table_can_come_back_at_another_level() {
    let fixture = fixture();
    let [first, second] = fixture.slots;
    let upper = fixture.mirror.page_table().root();
    let free = Gpa::new(upper.raw() + 8 * 300);
    let middle = Gpa::new(LOOSE);
    let written = [
        (fixture.parents[0], 0),
        (first, table(second)),
        (fixture.parents[1], 0),
        (middle, table(first)),
        (free, table(middle)),
    ];
    fixture.write(&written).unwrap();
    fixture.verify();
}

#[test]
fn what_is_no_tree_is_refused() {
    let fixture = fixture();
    let twice = table(fixture.slots[0]);
    let refused = fixture.write(&[(fixture.parents[1], twice)]);
    let shared = TreeError::Shared(page(fixture.slots[0]));
    assert_eq!(refused, Err(MirrorError::Tree(shared)));

    let fixture = self::fixture();
    let outside = FORMAT.encode_table(Gpa::new(FRAME));
    let refused = fixture.write(&[(fixture.parents[1], outside)]);
    let outside = matches!(
        refused,
        Err(MirrorError::Tree(TreeError::OutsideRegion { .. }))
    );
    assert!(outside, "{refused:?}");
}

/// Every entry of every page of the pool is written at once, most of them nonsense.
#[test]
fn a_pool_full_of_nonsense_takes_a_bounded_time() {
    let fixture = fixture();
    let pool = fixture.ram.layout().page_tables();
    let slots = (pool.start().raw()..pool.last().raw()).step_by(8);
    let tables = slots.clone().step_by(512);
    let to_tables = tables
        .map(|table| FORMAT.encode_table(Gpa::new(table)))
        .cycle();
    let written: Vec<_> = slots.map(Gpa::new).zip(to_tables).collect();
    let began = std::time::Instant::now();
    assert!(fixture.write(&written).is_err());
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

/// A mark that the guest's change was faster than is not the guest's loss.
#[test]
fn a_mark_that_came_too_late_is_known_before_the_change() {
    let fixture = fixture();
    let [slot, _] = fixture.slots;
    let marked = mapped(0) | MARK;
    fixture.ram.publish(slot, 0).unwrap();
    fixture
        .copy
        .compare_exchange(slot, mapped(0), marked)
        .unwrap();
    fixture.write(&[]).unwrap();
    fixture.verify();
    let kinds = [(ChangeKind::Unmap, 1), (ChangeKind::Software, 1)];
    assert_eq!(fixture.kinds(), kinds);
}

/// The device writes on behalf of the old entry just when the mirror tells of its end.
struct MarksAtStart {
    copy: Arc<ShadowCopy>,
    slot: Gpa,
}

impl Subscriber for MarksAtStart {
    type Family = OwnPageTables;
}

impl RangeSubscriber for MarksAtStart {
    fn invalidate_range_start(&self, _: &RangeEvent) {
        let marked = mapped(0) | MARK;
        let done = self.copy.compare_exchange(self.slot, mapped(0), marked);
        assert!([Ok(mapped(0)), Ok(marked)].contains(&done));
    }

    fn invalidate_range_end(&self, _: &RangeEvent) {}
}

#[test]
fn a_mark_in_the_middle_of_a_change_is_known_before_it() {
    let fixture = fixture();
    let [slot, _] = fixture.slots;
    let copy = Arc::clone(&fixture.copy);
    let marks = Arc::new(MarksAtStart { copy, slot });
    let _subscription = fixture.mirror.space().register_ranges(marks).unwrap();
    fixture.write(&[(slot, 0)]).unwrap();
    fixture.verify();
    let kinds = [(ChangeKind::Unmap, 1), (ChangeKind::Software, 1)];
    assert_eq!(fixture.kinds(), kinds);
}
