//! What is found, what is taken out, what is bounded, and what comes too late.

mod against_a_map;
mod threads;

use super::*;
use crate::addr::{Asid, Gpa, PageSize, Permissions, Vmid};
use crate::paging::LeafHints;
use crate::secondary::cache::{Fate, SpaceTag, StreamWorld, WAYS};

fn key(asid: u16) -> SpaceKey {
    SpaceKey {
        world: StreamWorld::NsEl1,
        vmid: Some(Vmid(3)),
        tag: SpaceTag::Asid(Asid(asid)),
    }
}

fn leaf(size: PageSize, output: u64) -> Leaf {
    Leaf::page(Gpa::new(output), size, Permissions::READ_ONLY)
}

fn page(iova: u64, size: PageSize) -> AddrRange<Iova> {
    AddrRange::page(Iova::new(iova), size)
}

fn range(start: u64, end: u64) -> AddrRange<Iova> {
    AddrRange::new(Iova::new(start), Iova::new(end)).unwrap()
}

/// Puts in the page at `iova`, which leads to itself, at once.
fn put(tlb: &Tlb, space: &Space, iova: u64, size: PageSize) {
    let ticket = tlb.fill_began(space);
    let (page, leaf) = (page(iova, size), leaf(size, iova));
    let inserted = tlb.insert(space, ticket, page, leaf, Step(iova));
    assert_eq!(inserted, Inserted::Kept);
}

fn holds(tlb: &Tlb, space: &Space, iova: u64) -> bool {
    tlb.lookup(space, None, Iova::new(iova)).is_some()
}

fn drop_all(_: &Cached) -> Fate {
    Fate::Goes
}

fn invalidate(tlb: &Tlb, space: &Space, range: AddrRange<Iova>) -> u64 {
    tlb.invalidate(space, range, None, &mut drop_all)
}

/// A TLB of 64 entries and a space with the first `pages` pages of 4 KiB.
fn filled(pages: u64) -> (Tlb, Arc<Space>) {
    let tlb = Tlb::new(64);
    let space = tlb.space(key(1));
    for number in 0..pages {
        put(&tlb, &space, number << 12, PageSize::K4);
    }
    (tlb, space)
}

#[test]
fn an_entry_is_found_by_any_address_of_its_page_and_in_its_space_only() {
    let (tlb, space) = filled(1);
    let others = [
        key(2),
        SpaceKey {
            vmid: Some(Vmid(4)),
            ..key(1)
        },
        SpaceKey {
            vmid: None,
            ..key(1)
        },
        SpaceKey {
            world: StreamWorld::El2,
            ..key(1)
        },
        SpaceKey {
            tag: SpaceTag::Global,
            ..key(1)
        },
        SpaceKey {
            tag: SpaceTag::Stage2,
            ..key(1)
        },
    ];
    assert!(holds(&tlb, &space, 0xfff));
    assert!(!holds(&tlb, &space, 0x1000));
    for other in others.map(|key| tlb.space(key)) {
        put(&tlb, &other, 0x8000, PageSize::K4);
        assert!(!holds(&tlb, &other, 0xfff), "{:?}", other.key());
    }
}

#[test]
fn every_field_of_a_leaf_comes_back() {
    let (tlb, space) = filled(0);
    let leaf = Leaf {
        output: Gpa::new(0xfedc_ba98_7654_3000),
        size: PageSize::K4,
        permissions: Permissions::all(),
        accessed: true,
        dirty: true,
        global: true,
        memory_type: 0xa5,
        software: 0x8001,
        hints: LeafHints::all(),
    };
    let (page, ticket) = (page(u64::MAX, PageSize::K64), tlb.fill_began(&space));
    let filled = Step(u64::MAX);
    let inserted = tlb.insert(&space, ticket, page, leaf, filled);
    assert_eq!(inserted, Inserted::Kept);
    let found = tlb.lookup(&space, None, page.start());
    assert_eq!(found, Some(Cached { page, leaf, filled }));
}

#[test]
fn each_flag_is_its_own() {
    let (tlb, space) = filled(0);
    let plain = leaf(PageSize::K4, 0);
    let flags = [
        Leaf {
            accessed: false,
            ..plain
        },
        Leaf {
            dirty: true,
            ..plain
        },
        Leaf {
            global: true,
            ..plain
        },
    ];
    for leaf in flags {
        let ticket = tlb.fill_began(&space);
        let inserted = tlb.insert(&space, ticket, page(0, leaf.size), leaf, Step(0));
        assert_eq!(inserted, Inserted::Kept);
        let found = tlb.lookup(&space, None, Iova::new(0));
        assert_eq!(found.map(|found| found.leaf), Some(leaf));
    }
}

#[test]
fn the_own_space_comes_before_the_global_one_and_small_pages_before_large() {
    let (tlb, own) = filled(0);
    let global = tlb.space(SpaceKey {
        tag: SpaceTag::Global,
        ..key(1)
    });
    let found = |iova| {
        let found = tlb.lookup(&own, Some(&global), Iova::new(iova));
        found.map(|found| found.page)
    };
    put(&tlb, &global, 0, PageSize::K4);
    assert_eq!(found(0), Some(page(0, PageSize::K4)));
    put(&tlb, &own, 0, PageSize::M2);
    assert_eq!(found(0), Some(page(0, PageSize::M2)));
    put(&tlb, &own, 0, PageSize::K64);
    assert_eq!(found(0), Some(page(0, PageSize::K64)));
    assert_eq!(found(0x1_0000), Some(page(0, PageSize::M2)));
}

#[test]
fn capacity_is_bounded_and_the_oldest_goes_first() {
    let tlb = Tlb::new(WAYS);
    let space = tlb.space(key(1));
    let ways = WAYS as u64;
    for number in 0..ways + 2 {
        put(&tlb, &space, number << 12, PageSize::K4);
    }
    assert_eq!((tlb.len(), tlb.capacity()), (WAYS, WAYS));
    let held = |number: &u64| holds(&tlb, &space, number << 12);
    assert_eq!(
        (0..ways + 2).filter(held).collect::<Vec<_>>(),
        Vec::from_iter(2..ways + 2)
    );
}

#[test]
fn what_went_with_its_space_is_replaced_before_what_lives() {
    let tlb = Tlb::new(WAYS);
    let (ended, lives) = (tlb.space(key(1)), tlb.space(key(2)));
    put(&tlb, &lives, 0, PageSize::K4);
    for number in 1..WAYS as u64 {
        put(&tlb, &ended, number << 12, PageSize::K4);
    }
    assert_eq!(tlb.invalidate_space(&ended, None), 3);
    for number in 1..WAYS as u64 {
        put(&tlb, &lives, number << 12, PageSize::K4);
    }
    assert!((0..WAYS as u64).all(|number| holds(&tlb, &lives, number << 12)));
    assert_eq!(tlb.len(), WAYS);
}

#[test]
fn blocks_go_by_any_address_of_them() {
    let (tlb, space) = filled(1);
    put(&tlb, &space, 0x20_0000, PageSize::M2);
    assert_eq!(invalidate(&tlb, &space, range(0x3f_f000, 0x40_0000)), 1);
    assert!(!holds(&tlb, &space, 0x20_0000));
    assert!(holds(&tlb, &space, 0));
}

#[test]
fn a_size_means_that_of_the_leaf_also_in_a_group() {
    let (tlb, space) = filled(1);
    let ticket = tlb.fill_began(&space);
    let group = page(0x1_0000, PageSize::K64);
    let inserted = tlb.insert(&space, ticket, group, leaf(PageSize::K4, 0x1_0000), Step(1));
    assert_eq!(inserted, Inserted::Kept);
    put(&tlb, &space, 0x20_0000, PageSize::M2);

    let of_size = |size| tlb.invalidate(&space, range(0, 1 << 30), Some(size), &mut drop_all);
    assert_eq!(of_size(PageSize::K64), 0);
    assert_eq!(of_size(PageSize::K4), 2);
    assert_eq!(of_size(PageSize::M2), 1);
}

#[test]
fn fate_decides_and_sees_each_entry_once() {
    for whole in [false, true] {
        let (tlb, space) = filled(8);
        let mut seen = Vec::new();
        let mut odd_stay = |entry: &Cached| {
            seen.push(entry.filled.0 >> 12);
            if entry.filled.0 >> 12 & 1 == 1 {
                Fate::Stays
            } else {
                Fate::Goes
            }
        };
        let removed = if whole {
            tlb.invalidate_space(&space, Some(&mut odd_stay))
        } else {
            tlb.invalidate(&space, range(0, 0x8000), None, &mut odd_stay)
        };
        seen.sort_unstable();
        assert_eq!(seen, Vec::from_iter(0..8));
        assert_eq!((removed, tlb.len()), (4, 4));
        assert!((0..8).all(|number| holds(&tlb, &space, number << 12) == (number & 1 == 1)));
    }
}

#[test]
fn a_space_goes_at_once_and_no_other() {
    let (tlb, space) = filled(8);
    let other = tlb.space(key(2));
    put(&tlb, &other, 0, PageSize::K4);
    assert_eq!(tlb.invalidate_space(&space, None), 8);
    assert!((0..8).all(|number| !holds(&tlb, &space, number << 12)));
    assert!(holds(&tlb, &other, 0));
    assert_eq!(tlb.len(), 1);
    assert_eq!(tlb.invalidate_space(&space, None), 0);
    put(&tlb, &space, 0x3000, PageSize::K4);
    assert!(holds(&tlb, &space, 0x3000));
    assert!(!holds(&tlb, &space, 0x2000));
}

#[test]
fn a_walk_that_an_invalidation_has_overtaken_leaves_nothing() {
    let (tlb, space) = filled(0);
    let try_with = |ticket, iova| {
        let leaf = leaf(PageSize::K4, 0);
        tlb.insert(&space, ticket, page(iova, PageSize::K4), leaf, Step(0))
    };
    let early = tlb.fill_began(&space);
    invalidate(&tlb, &space, range(0x1000, 0x2000));
    assert_eq!(try_with(early, 0x1000), Inserted::Overtaken);
    assert_eq!(try_with(early, 0x2000), Inserted::Kept);
    assert_eq!(try_with(tlb.fill_began(&space), 0x1000), Inserted::Kept);

    let early = tlb.fill_began(&space);
    tlb.invalidate_space(&space, None);
    assert_eq!(try_with(early, 0x2000), Inserted::Overtaken);
    let early = tlb.fill_began(&space);
    tlb.clear();
    assert_eq!(try_with(early, 0x2000), Inserted::Overtaken);
    assert!(tlb.is_empty());
}

#[test]
fn a_walk_that_too_many_invalidations_pass_by_leaves_nothing() {
    let (tlb, space) = filled(0);
    let early = tlb.fill_began(&space);
    let inserted = || {
        let leaf = leaf(PageSize::K4, 0);
        tlb.insert(&space, early, page(0, PageSize::K4), leaf, Step(0))
    };
    for _ in 0..8 {
        invalidate(&tlb, &space, range(0x1000, 0x2000));
    }
    assert_eq!(inserted(), Inserted::Kept);
    invalidate(&tlb, &space, range(0x1000, 0x2000));
    assert_eq!(inserted(), Inserted::Overtaken);
}

#[test]
fn an_eviction_is_no_invalidation() {
    let (tlb, space) = filled(2);
    let ticket = tlb.fill_began(&space);
    assert_eq!(tlb.evict(&space, Iova::new(0x1234)), 1);
    assert!(!holds(&tlb, &space, 0x1000));
    assert!(holds(&tlb, &space, 0));
    let leaf = leaf(PageSize::K4, 0x1000);
    let inserted = tlb.insert(&space, ticket, page(0x1000, PageSize::K4), leaf, Step(1));
    assert_eq!(inserted, Inserted::Kept);
}

#[test]
fn what_is_no_page_or_of_another_tlb_is_unfit() {
    let (tlb, space) = filled(1);
    let (other, foreign) = filled(1);
    let ticket = tlb.fill_began(&space);
    let insert =
        |space: &Space, page| tlb.insert(space, ticket, page, leaf(PageSize::K4, 0), Step(0));
    for page in [
        range(0, 0x3000),
        range(0x1000, 0x3000),
        range(0, 32),
        AddrRange::all(),
    ] {
        assert_eq!(insert(&space, page), Inserted::Unfit, "{page}");
    }
    assert_eq!(insert(&space, range(64, 128)), Inserted::Kept);
    assert_eq!(insert(&foreign, range(0, 0x1000)), Inserted::Unfit);
    let empty = other.space(key(7));
    assert_eq!(insert(&empty, range(0, 0x1000)), Inserted::Unfit);
    assert_eq!(tlb.invalidate_space(&foreign, None), 0);
    assert_eq!((tlb.len(), other.len()), (2, 1));
}

/// The highest number is never given out: it is how one knows that there are no more.
#[test]
fn generations_that_run_out_begin_anew_and_empty_it() {
    let tlb = Tlb::from_generation(64, u32::MAX - 2);
    let spaces = [1, 2, 3].map(|asid| tlb.space(key(asid)));
    for space in &spaces[..2] {
        put(&tlb, space, 0, PageSize::K4);
    }
    assert_eq!(tlb.len(), 2);
    put(&tlb, &spaces[2], 0, PageSize::K4);
    assert_eq!(
        spaces.each_ref().map(|space| holds(&tlb, space, 0)),
        [false, false, true]
    );
    assert_eq!(tlb.len(), 1);
    for space in &spaces {
        put(&tlb, space, 0x1000, PageSize::K4);
    }
    assert_eq!(tlb.len(), 4);
    assert_eq!(tlb.invalidate_space(&spaces[2], None), 2);
    assert_eq!(tlb.clear(), 2);
}

#[test]
fn a_space_is_one_for_its_key_as_long_as_it_is_held_or_has_entries() {
    let (tlb, space) = filled(1);
    assert!(Arc::ptr_eq(&space, &tlb.space(key(1))));
    let id = space.id();
    drop(space);
    let again = tlb.space(key(1));
    assert_eq!(again.id(), id);
    assert!(holds(&tlb, &again, 0));

    let weak = Arc::downgrade(&again);
    drop(again);
    for asid in 2..1000 {
        drop(tlb.space(key(asid)));
    }
    assert!(weak.upgrade().is_some());
    assert!(lock(&tlb.books).registry.len() < 40);
    invalidate(&tlb, &tlb.space(key(1)), range(0, 0x1000));
    assert!(weak.upgrade().is_none());
}

#[test]
fn spaces_are_found_by_what_is_wanted_of_them() {
    let (tlb, _space) = filled(1);
    let other = tlb.space(SpaceKey {
        vmid: Some(Vmid(9)),
        ..key(1)
    });
    let found = tlb.spaces(|key| key.vmid == Some(Vmid(9)));
    assert_eq!(found.len(), 1);
    assert!(Arc::ptr_eq(&found[0], &other));
    assert_eq!(tlb.spaces(|_| true).len(), 2);
}
