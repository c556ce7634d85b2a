//! Page-table writes of every width, place and meaning.

use notifier::addr::{PageSize, Permissions};
use notifier::oracle::Fact;
use notifier::paging::ChangeKind;
use notifier::paging::x86_64::Entry;
use tests::lab::{Ran, on_each_write, on_every_tracker};
use tests::{op, page};

/// The two entries that the writes of these tests fall on: bits that mean nothing, since neither is
/// present.
const BEFORE: [u64; 2] = [0x1111_1111_1111_1110, 0x2222_2222_2222_2220];
/// What is written: no byte of it is present, as lowest of an entry, or is one of those before.
const WRITTEN: u64 = 0x8070_6050_4030_2010 | 0x0a0a_0a0a_0a0a_0a0a & !0x0101_0101_0101_0101;

/// What the two entries are after the `width` low bytes of `WRITTEN` are stored `offset` bytes on.
fn stored(offset: usize, width: usize) -> [u64; 2] {
    let mut bytes = BEFORE.map(u64::to_le_bytes);
    let places = bytes.as_flattened_mut();
    places[offset..offset + width].copy_from_slice(&WRITTEN.to_le_bytes()[..width]);
    bytes.map(u64::from_le_bytes)
}

/// What has changed about the first page, in order.
fn kinds(ran: &Ran) -> Vec<ChangeKind> {
    let facts = ran.run.history.iter().map(|record| record.fact);
    let kinds = facts.filter_map(|fact| match fact {
        Fact::Changing(change) => Some(change.kind),
        _ => None,
    });
    kinds.collect()
}

#[test]
fn a_write_of_any_width_at_any_place_stores_exactly_its_bytes() {
    on_every_tracker(|lab| {
        for width in 1..=8 {
            let cases: Vec<_> = (0..8).map(|offset| (offset, 16 * offset)).collect();
            let ran = lab.run(|machine| {
                let write = |(offset, entry): &(u64, u64)| {
                    let slot = page::slot(machine, 0) + entry;
                    [
                        op::set_entry(slot, BEFORE[0], 8),
                        op::set_entry(slot + 8, BEFORE[1], 8),
                        op::set_entry(slot + offset, WRITTEN, width),
                        op::load(slot, 8),
                        op::load(slot + 8, 8),
                    ]
                };
                cases.iter().flat_map(write).collect()
            });
            for (case, (offset, _)) in cases.iter().enumerate() {
                let found = [3, 4].map(|at| ran.loaded(5 * case + at));
                let width = usize::try_from(width).unwrap();
                let expected = stored(usize::try_from(*offset).unwrap(), width);
                assert_eq!(found, expected.map(Ok), "{width} bytes at {offset}");
            }
            assert_eq!(ran.changes(), []);
        }
    });
}

/// The second byte of an entry has no address bit below the frame's; the first has all permissions.
#[test]
fn a_write_of_one_byte_is_a_change_of_the_whole_entry() {
    on_each_write(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let (lower, upper) = (page::read_only(machine, 0), page::read_write(machine, 0));
            vec![
                op::set_entry(slot, lower, 8),
                op::set_entry(slot, upper, 1),
                op::set_entry(slot, lower, 1),
                op::set_entry(slot, 0, 1),
            ]
        });
        let expected = [
            ChangeKind::Map,
            ChangeKind::Upgrade,
            ChangeKind::Downgrade,
            ChangeKind::Unmap,
        ];
        assert_eq!(kinds(&ran), expected);
    });
}

/// The upper half of the first page's entry, with its no-execute bit, and the lower half of the
/// second's, with its write bit, are stored at once.
#[test]
fn a_write_across_two_entries_changes_both_pages() {
    on_each_write(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let executable = page::read_only(machine, 0) & !Entry::NO_EXECUTE.raw();
            vec![
                op::set_entry(slot, page::read_only(machine, 0), 8),
                op::set_entry(slot + 8, page::read_write(machine, 1), 8),
                op::set_entry(
                    slot + 4,
                    executable >> 32 | page::read_only(machine, 1) << 32,
                    8,
                ),
            ]
        });
        let (map, upgrade, downgrade) =
            (ChangeKind::Map, ChangeKind::Upgrade, ChangeKind::Downgrade);
        assert_eq!(kinds(&ran), [map, map, upgrade, downgrade]);
    });
}

#[test]
fn every_kind_of_change_is_told_from_every_other() {
    on_each_write(|lab| {
        let ran = lab.run(|machine| {
            let upper = page::read_write(machine, 0);
            let entries = [
                (page::read_only(machine, 0), 8),
                (upper, 8),
                (upper & !Entry::DIRTY.raw(), 8),
                (upper | 1 << 9, 8),
                (page::read_write(machine, 1), 8),
                (page::read_only(machine, 1), 8),
                (page::read_only(machine, 1), 8),
                (0, 8),
                (2, 8),
            ];
            let slot = page::slot(machine, 0);
            entries
                .map(|(entry, width)| op::set_entry(slot, entry, width))
                .to_vec()
        });
        let expected = [
            ChangeKind::Map,
            ChangeKind::Upgrade,
            ChangeKind::AccessDirty,
            // The dirty bit comes back with the software bit.
            ChangeKind::AccessDirty,
            ChangeKind::Remap,
            ChangeKind::Downgrade,
            ChangeKind::Unmap,
        ];
        assert_eq!(kinds(&ran), expected);
    });
}

#[test]
fn a_software_bit_alone_is_nothing_to_tell_anybody_of() {
    on_each_write(|lab| {
        let ran = lab.run(|machine| {
            let (slot, entry) = (page::slot(machine, 0), page::read_only(machine, 0));
            vec![
                op::set_entry(slot, entry, 8),
                op::set_entry(slot, entry | 1 << 9, 8),
                op::set_entry(slot, entry | 1 << 58, 8),
            ]
        });
        assert_eq!(
            kinds(&ran),
            [ChangeKind::Map, ChangeKind::Software, ChangeKind::Software]
        );
        assert_eq!(ran.run.notifications, Default::default());
    });
}

/// A large page over the window's table, and the table again.
#[test]
fn a_table_that_becomes_a_large_page_is_all_its_pages_resized_or_remapped() {
    on_each_write(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let parent = page::slot_at(machine, page::address(0), 1);
            let large = page::leaf(0x40_0000, PageSize::M2, Permissions::READ_WRITE);
            let table = machine
                .format()
                .encode_table(notifier::addr::Gpa::new(slot));
            vec![
                op::set_entry(slot, page::read_write(machine, 0), 8),
                op::set_entry(parent, page::encode(machine, &large), 8),
                op::set_entry(parent, table, 8),
            ]
        });
        let found = ran.changes();
        let remapped = found.iter().find(|(kind, _)| *kind == ChangeKind::Remap);
        // Page 0 was at its frame and is at the large page's start, and goes back.
        assert_eq!(remapped, Some(&(ChangeKind::Remap, 2)), "{found:?}");
    });
}

#[test]
fn an_entry_with_reserved_bits_maps_nothing() {
    on_each_write(|lab| {
        let ran = lab.run(|machine| {
            let (slot, malformed) = page::malformed(machine);
            vec![
                op::set_entry(page::slot(machine, 0), page::read_write(machine, 0), 8),
                op::set_entry(slot, malformed, 8),
                op::invalidate(page::address(0)),
                op::load(page::address(0), 8),
            ]
        });
        assert_eq!(kinds(&ran), [ChangeKind::Map, ChangeKind::Unmap]);
        let (vector, error, address) = ran.loaded(3).unwrap_err();
        // User, reserved bit. The page was present, which QEMU's emulated processor leaves out.
        let found = (vector, error & !1, address);
        assert_eq!(found, (14, 0b1100, page::address(0)));
    });
}
