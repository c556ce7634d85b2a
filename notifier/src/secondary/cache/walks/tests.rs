//! What is found, how deep, and what goes.

use std::sync::Arc;

use super::*;
use crate::addr::{Asid, PageSize};
use crate::secondary::cache::{SpaceKey, SpaceTag, StreamWorld, Tlb};

fn space(tlb: &Tlb, asid: u16) -> Arc<Space> {
    tlb.space(SpaceKey {
        world: StreamWorld::El2,
        vmid: None,
        tag: SpaceTag::Asid(Asid(asid)),
    })
}

/// A TLB for its spaces, a walk cache, and one space.
fn caches() -> (Tlb, WalkCache, Arc<Space>) {
    let tlb = Tlb::new(4);
    let space = space(&tlb, 1);
    (tlb, WalkCache::new(32), space)
}

fn table(iova: u64, span: PageSize, level: u8) -> CachedTable {
    CachedTable {
        covers: AddrRange::page(Iova::new(iova), span),
        level: Level(level),
        next: Gpa::new(iova << 4 | 0xf000),
        limits: Permissions::READ_ONLY,
        filled: Step(u64::from(level) + 7),
    }
}

fn put(walks: &WalkCache, space: &Space, table: &CachedTable) {
    assert_eq!(walks.insert(space, space.ticket(), table), Inserted::Kept);
}

fn found(walks: &WalkCache, space: &Space, iova: u64) -> Option<CachedTable> {
    walks.lookup(space, Iova::new(iova))
}

#[test]
fn the_deepest_table_comes_first_and_as_it_was_put_in() {
    let (tlb, walks, own) = caches();
    let (upper, lower) = (table(0, PageSize::G1, 1), table(0, PageSize::M2, 0));
    put(&walks, &own, &upper);
    put(&walks, &own, &lower);
    assert_eq!(found(&walks, &own, 0x1f_ffff), Some(lower));
    assert_eq!(found(&walks, &own, 0x20_0000), Some(upper));
    assert_eq!(found(&walks, &own, 1 << 30), None);
    assert_eq!(found(&walks, &space(&tlb, 2), 0), None);
}

#[test]
fn a_range_takes_every_level_above_it() {
    for bytes in [1, 1 << 40] {
        let (_tlb, walks, own) = caches();
        let other = table(1 << 41, PageSize::M2, 0);
        put(&walks, &own, &table(0, PageSize::G1, 1));
        put(&walks, &own, &table(0, PageSize::M2, 0));
        put(&walks, &own, &other);
        let range = AddrRange::from_length(Iova::new(0x1000), bytes).unwrap();
        assert_eq!(walks.invalidate(&own, range), 2);
        assert_eq!(found(&walks, &own, 0x1000), None);
        assert_eq!(found(&walks, &own, 1 << 41), Some(other));
    }
}

#[test]
fn a_space_goes_at_once_and_no_other() {
    let (tlb, walks, own) = caches();
    let other = space(&tlb, 2);
    let table = table(0, PageSize::M2, 0);
    put(&walks, &own, &table);
    put(&walks, &other, &table);
    walks.invalidate_space(&own);
    assert_eq!(found(&walks, &own, 0), None);
    assert_eq!(found(&walks, &other, 0), Some(table));
    put(&walks, &own, &table);
    assert_eq!(found(&walks, &own, 0), Some(table));
}

#[test]
fn a_walk_that_an_invalidation_has_overtaken_leaves_nothing_in_either_cache() {
    let (tlb, walks, own) = caches();
    let (inside, outside) = (table(0, PageSize::M2, 0), table(1 << 30, PageSize::M2, 0));
    let ticket = tlb.fill_began(&own);
    walks.invalidate(&own, inside.covers);
    assert_eq!(walks.insert(&own, ticket, &inside), Inserted::Overtaken);
    assert_eq!(walks.insert(&own, ticket, &outside), Inserted::Kept);
    let ticket = tlb.fill_began(&own);
    tlb.invalidate_space(&own, None);
    assert_eq!(walks.insert(&own, ticket, &outside), Inserted::Overtaken);
}

#[test]
fn it_is_bounded_and_replaces_in_turn() {
    let (_tlb, _, own) = caches();
    let walks = WalkCache::new(4);
    let tables: Vec<_> = (0..5)
        .map(|number| table(number << 21, PageSize::M2, 0))
        .collect();
    tables.iter().for_each(|table| put(&walks, &own, table));
    let held = tables
        .iter()
        .filter(|table| walks.lookup(&own, table.covers.start()) == Some(**table));
    assert_eq!((held.count(), walks.capacity()), (4, 4));
    assert_eq!(found(&walks, &own, 0), None);
}

#[test]
fn generations_that_run_out_begin_anew_and_empty_it() {
    let (tlb, walks, first) = caches();
    let second = space(&tlb, 2);
    let table = table(0, PageSize::M2, 0);
    put(&walks, &first, &table);
    *lock(&walks.next) = u32::MAX;
    put(&walks, &second, &table);
    assert_eq!(found(&walks, &first, 0), None);
    assert_eq!(found(&walks, &second, 0), Some(table));
    put(&walks, &first, &table);
    assert_eq!(found(&walks, &first, 0), Some(table));
    walks.invalidate_space(&first);
    assert_eq!(found(&walks, &second, 0), Some(table));
}

#[test]
fn what_is_no_span_is_unfit() {
    let (_tlb, walks, own) = caches();
    let covers = AddrRange::new(Iova::new(0x1000), Iova::new(0x4000)).unwrap();
    let table = CachedTable {
        covers,
        ..table(0, PageSize::M2, 0)
    };
    assert_eq!(walks.insert(&own, own.ticket(), &table), Inserted::Unfit);
}
