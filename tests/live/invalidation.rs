//! What the guest's CPU sees of changes that it made, and of those that it did not tell its CPU of.
//! Under the trapping tracker the host's own shadow page tables must follow, too.

use guest::abi::layout::PAGE;
use guest::abi::op::STATUS_FAULT;
use notifier::addr::{Gpa, PageSize, Permissions};
use tests::lab::{Lab, Ran, on_every_tracker};
use tests::{op, page, transfer};

const WORD: u64 = 0x5741_5244;

/// Maps page 0 for loads and stores, stores a word there, sets the entry at `level` on the way to
/// it to `entry`, invalidates, loads and stores again, puts the old entry back and loads.
fn around(lab: &Lab, level: u8, entry: u64) -> Ran {
    lab.run(|machine| {
        let slot = page::slot_at(machine, page::address(0), level);
        let map = op::set_entry(page::slot(machine, 0), page::read_write(machine, 0), 8);
        let leaf = page::read_write(machine, 0);
        let table = |slot: u64| machine.format().encode_table(Gpa::new(slot & !(PAGE - 1)));
        let below = |level| table(page::slot_at(machine, page::address(0), level));
        let old = level.checked_sub(1).map_or(leaf, below);
        vec![
            map,
            op::store(page::address(0), WORD, 8),
            op::set_entry(slot, entry & old, 8),
            op::invalidate(page::address(0)),
            op::load(page::address(0), 8),
            op::store(page::address(0), 0, 8),
            op::set_entry(slot, old, 8),
            op::invalidate(page::address(0)),
            op::load(page::address(0), 8),
        ]
    })
}

/// Everything but the permission to write.
const READ_ONLY: u64 = !2;

#[test]
fn a_downgraded_page_refuses_stores_after_the_invalidation() {
    on_every_tracker(|lab| {
        let ran = around(lab, 0, READ_ONLY);
        assert_eq!(ran.loaded(4), Ok(WORD));
        assert_eq!(ran.loaded(5), Err((14, 7, page::address(0))));
        assert_eq!(ran.loaded(8), Ok(WORD), "the refused store stored nothing");
    });
}

#[test]
fn an_unmapped_page_is_gone_after_the_invalidation_and_comes_back() {
    on_every_tracker(|lab| {
        let ran = around(lab, 0, 0);
        assert_eq!(ran.loaded(4), Err((14, 4, page::address(0))));
        assert_eq!(ran.loaded(5), Err((14, 6, page::address(0))));
        assert_eq!(ran.loaded(8), Ok(WORD));
    });
}

#[test]
fn an_unlinked_table_takes_its_pages_along_at_every_level() {
    on_every_tracker(|lab| {
        for level in [1, 2, 3] {
            let ran = around(lab, level, 0);
            let place = format!("unlinked at level {level}");
            assert_eq!(ran.loaded(4), Err((14, 4, page::address(0))), "{place}");
            assert_eq!(ran.loaded(5), Err((14, 6, page::address(0))), "{place}");
            assert_eq!(ran.loaded(8), Ok(WORD), "{place}");
        }
    });
}

#[test]
fn a_table_without_the_permission_to_write_denies_it_to_its_pages() {
    on_every_tracker(|lab| {
        for level in [1, 2, 3] {
            let ran = around(lab, level, READ_ONLY);
            let place = format!("downgraded at level {level}");
            assert_eq!(ran.loaded(4), Ok(WORD), "{place}");
            assert_eq!(ran.loaded(5), Err((14, 7, page::address(0))), "{place}");
            assert_eq!(ran.loaded(8), Ok(WORD), "{place}");
        }
    });
}

#[test]
fn a_remapped_page_leads_to_its_new_frame() {
    on_every_tracker(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            vec![
                op::store(page::frame(1), WORD, 8),
                op::set_entry(slot, page::read_write(machine, 0), 8),
                op::load(page::address(0), 8),
                op::set_entry(slot, page::read_write(machine, 1), 8),
                op::invalidate(page::address(0)),
                op::load(page::address(0), 8),
            ]
        });
        assert_eq!((ran.loaded(2), ran.loaded(5)), (Ok(0), Ok(WORD)));
    });
}

#[test]
fn a_large_page_covers_the_window_and_splits_again() {
    on_every_tracker(|lab| {
        let ran = lab.run(|machine| {
            let slot = page::slot(machine, 0);
            let parent = page::slot_at(machine, page::address(0), 1);
            let large = page::leaf(0x40_0000, PageSize::M2, Permissions::READ_ONLY);
            let inside = page::address(0) + (page::frame(1) - 0x40_0000);
            vec![
                op::store(page::frame(1), WORD, 8),
                op::set_entry(parent, page::encode(machine, &large), 8),
                op::invalidate(page::address(0)),
                op::load(inside, 8),
                op::set_entry(parent, machine.format().encode_table(Gpa::new(slot)), 8),
                op::invalidate(page::address(0)),
                op::invalidate(inside),
                op::load(inside, 8),
            ]
        });
        assert_eq!(ran.loaded(3), Ok(WORD));
        assert_eq!(ran.result(7).status, STATUS_FAULT);
    });
}

/// Both the SMMU and the shadow MMU lose what they had below an unlinked table.
#[test]
fn a_device_behind_either_mmu_loses_what_an_unlinked_table_mapped() {
    on_every_tracker(|lab| {
        let reads = [
            transfer::read(page::address(0), 8),
            transfer::shadowed(transfer::read(page::address(0), 8)),
        ];
        let ran = lab.run(|machine| {
            let parent = page::slot_at(machine, page::address(0), 1);
            let map = op::set_entry(page::slot(machine, 0), page::read_only(machine, 0), 8);
            let mut ops = vec![map];
            ops.extend(transfer::whole(0, reads[0]));
            ops.extend(transfer::whole(1, reads[1]));
            ops.push(op::set_entry(parent, 0, 8));
            ops.extend(transfer::whole(2, reads[0]));
            ops.extend(transfer::whole(3, reads[1]));
            ops
        });
        let statuses = [0, 1, 2, 3].map(|number| ran.descriptor(number).status);
        assert_eq!(statuses, [1, 1, 2, 2]);
        assert_eq!(ran.run.findings.violations, []);
        assert_eq!(ran.run.findings.untracked, []);
    });
}
