//! What is found, what is dropped, what is bounded; and all of it against a plain list.

use proptest::prelude::*;

use super::*;
use crate::addr::{Gpa, Permissions};

const ASID: Asid = Asid(1);

fn leaf(size: PageSize, output: u64) -> Leaf {
    Leaf {
        output: Gpa::new(output),
        size,
        permissions: Permissions::READ_ONLY,
        ..Slot::EMPTY.leaf
    }
}

fn range(start: u64, end: u64) -> AddrRange<Iova> {
    AddrRange::new(Iova::new(start), Iova::new(end)).unwrap()
}

fn filled(pages: u64) -> Tlb {
    let mut tlb = Tlb::new(64);
    for page in 0..pages {
        let size = PageSize::K4;
        tlb.insert(
            ASID,
            Iova::new(page << 12),
            leaf(size, page << 20),
            Step(page),
        );
    }
    tlb
}

#[test]
fn an_entry_is_found_by_any_address_of_its_page_and_its_asid_only() {
    let tlb = filled(1);
    assert!(tlb.lookup(ASID, Iova::new(0xfff)).is_some());
    assert!(tlb.lookup(ASID, Iova::new(0x1000)).is_none());
    assert!(tlb.lookup(Asid(2), Iova::new(0)).is_none());
}

#[test]
fn pages_of_different_sizes_live_side_by_side() {
    let mut tlb = filled(1);
    let large = leaf(PageSize::M2, 0x40_0000);
    tlb.insert(ASID, Iova::new(0x60_0000), large, Step(9));
    let found = tlb.lookup(ASID, Iova::new(0x71_2345)).unwrap();
    assert_eq!(found.leaf, large);
    assert_eq!(found.page, range(0x60_0000, 0x80_0000));
    assert_eq!(found.filled, Step(9));
}

#[test]
fn capacity_is_bounded_and_the_oldest_goes_first() {
    let mut tlb = Tlb::new(WAYS);
    for page in 0..=WAYS as u64 {
        tlb.insert(
            ASID,
            Iova::new(page << 12),
            leaf(PageSize::K4, 0),
            Step(page),
        );
    }
    assert_eq!(tlb.len(), WAYS);
    assert!(tlb.lookup(ASID, Iova::new(0)).is_none());
    assert!(tlb.lookup(ASID, Iova::new(0x1000)).is_some());
}

#[test]
fn the_same_page_is_held_once() {
    let mut tlb = filled(1);
    tlb.insert(ASID, Iova::new(0x10), leaf(PageSize::K4, 0x7000), Step(5));
    assert_eq!(tlb.len(), 1);
    let found = tlb.lookup(ASID, Iova::new(0)).unwrap();
    assert_eq!(found.leaf.output, Gpa::new(0x7000));
}

#[test]
fn an_invalidation_takes_what_overlaps_and_nothing_else() {
    let mut tlb = filled(4);
    tlb.insert(Asid(2), Iova::new(0x1000), leaf(PageSize::K4, 0), Step(0));
    let large = leaf(PageSize::M2, 0);
    tlb.insert(ASID, Iova::new(0x20_0000), large, Step(0));

    let mut seen = Vec::new();
    let removed = tlb.invalidate(ASID, range(0x1fff, 0x2001), |entry| seen.push(entry.page));
    assert_eq!(removed, 2);
    assert_eq!(seen, [range(0x1000, 0x2000), range(0x2000, 0x3000)]);
    assert_eq!(tlb.len(), 4);

    assert_eq!(tlb.invalidate(ASID, range(0x3f_0000, 0x3f_0001), |_| ()), 1);
    assert_eq!(tlb.invalidate(ASID, AddrRange::all(), |_| ()), 2);
    assert!(tlb.lookup(Asid(2), Iova::new(0x1000)).is_some());
}

#[test]
fn an_emptied_tlb_is_empty() {
    let mut tlb = filled(4);
    tlb.invalidate(ASID, AddrRange::all(), |_| ());
    assert!(tlb.is_empty());
    assert_eq!(tlb.len(), 0);
}

proptest! {
    /// Against a plain list: after any fills and invalidations, what is found is what the list
    /// has (or nothing, where the set was full), and nothing invalidated is ever found.
    #[test]
    fn agrees_with_a_list(ops in prop::collection::vec(
        (0..3u8, 0..3u16, 0..32u64, 1..8u64, any::<bool>()), 0..200,
    )) {
        let mut tlb = Tlb::new(16);
        let mut list: Vec<(u16, AddrRange<Iova>, Leaf)> = Vec::new();
        for (step, (what, asid, page, pages, large)) in ops.into_iter().enumerate() {
            let size = if large { PageSize::M2 } else { PageSize::K4 };
            let iova = Iova::new(page << size.shift());
            if what < 2 {
                let leaf = leaf(size, (step as u64) << 32);
                let range = AddrRange::page(iova, size);
                list.retain(|held| (held.0, held.1) != (asid, range));
                list.push((asid, range, leaf));
                tlb.insert(Asid(asid), iova, leaf, Step(0));
            } else {
                let range = AddrRange::from_length(iova, pages << size.shift()).unwrap();
                list.retain(|held| held.0 != asid || !held.1.overlaps(range));
                tlb.invalidate(Asid(asid), range, |_| ());
            }
            for asid in 0..3 {
                for address in (0..32).map(|page| Iova::new(page << 12)) {
                    if let Some(found) = tlb.lookup(Asid(asid), address) {
                        prop_assert!(list.contains(&(asid, found.page, found.leaf)));
                        prop_assert!(found.page.contains(address));
                    }
                }
            }
            prop_assert!(tlb.len() <= tlb.capacity());
        }
    }
}

#[test]
fn an_invalidation_for_one_size_leaves_the_others() {
    let mut tlb = Tlb::new(64);
    let sizes = [PageSize::K4, PageSize::M2];
    for size in sizes {
        let leaf = Leaf {
            size,
            ..Slot::EMPTY.leaf
        };
        tlb.insert(ASID, Iova::new(0x20_0000), leaf, Step(1));
    }
    let one = |tlb: &mut Tlb, size| {
        tlb.invalidate_of_size(ASID, range(0x20_0000, 0x20_1000), size, |_| ())
    };
    assert_eq!(one(&mut tlb, Some(PageSize::K4)), 1);
    assert_eq!(one(&mut tlb, Some(PageSize::K4)), 0);
    assert_eq!(one(&mut tlb, None), 1);
}
