//! Which changes need break-before-make, one by one.

use super::*;
use crate::addr::{AddrRange, Gva, PageSize};
use crate::paging::Change;

/// Writable, unprivileged, accessed, bound to an ASID, inner shareable.
const PAGE: u64 = 0x40_0000 | 0xf43;

fn reason(old: Leaf, new: Leaf, support: BreakLevel) -> Option<BreakReason> {
    let size = old.size.min(new.size);
    let range = AddrRange::page(Gva::new(0x20_0000), size);
    let change = Change::between(range, Some(old), Some(new))?;
    needs_break_before_make(&change, support)
}

/// What changing these bits of a page asks for where most is allowed and where least is.
fn flipped(bits: u64) -> [Option<BreakReason>; 2] {
    let page = |entry| leaf(&stage1(Granule::K4), entry, Level(0)).unwrap();
    [BreakLevel::L0, BreakLevel::L2].map(|support| reason(page(PAGE), page(PAGE ^ bits), support))
}

#[test]
fn permissions_and_marks_need_none() {
    for bit in [6, 7, 10, 51, 53, 54, 55, 58] {
        assert_eq!(flipped(1 << bit), [None; 2], "bit {bit}");
    }
}

#[test]
fn each_reason_has_its_bits() {
    assert_eq!(flipped(1 << 2), [Some(BreakReason::MemoryType); 2]);
    assert_eq!(flipped(1 << 8), [Some(BreakReason::Shareability); 2]);
    assert_eq!(flipped(1 << 12), [Some(BreakReason::OutputAddress); 2]);
    assert_eq!(flipped(1 << 11), [Some(BreakReason::Global); 2]);
    assert_eq!(flipped(1 << 52), [Some(BreakReason::Contiguous), None]);
}

#[test]
fn a_global_page_may_become_one_of_an_address_space() {
    let page = |entry| leaf(&stage1(Granule::K4), entry, Level(0)).unwrap();
    let narrowed = reason(page(PAGE ^ 1 << 11), page(PAGE), BreakLevel::L0);
    assert_eq!(narrowed, None);
}

#[test]
fn a_page_that_nobody_writes_may_move() {
    let page = |bits: u64| leaf(&stage1(Granule::K4), PAGE | 1 << 7 | bits, Level(0)).unwrap();
    let moved = |bits| reason(page(bits), page(1 << 12), BreakLevel::L2);
    assert_eq!(moved(0), None);
    assert_eq!(moved(1 << 51), Some(BreakReason::OutputAddress));
}

#[test]
fn the_level_decides_what_a_split_needs() {
    let format = stage1(Granule::K4);
    let block = |bits: u64| leaf(&format, (PAGE & !2) | bits, Level(1)).unwrap();
    let small = leaf(&format, PAGE, Level(0)).unwrap();
    assert_eq!(block(0).size, PageSize::M2);
    let levels = [BreakLevel::L0, BreakLevel::L1, BreakLevel::L2];
    let split = |bits| levels.map(|support| reason(block(bits), small, support));
    let joined = |bits| levels.map(|support| reason(small, block(bits), support));
    let size = Some(BreakReason::Size);
    assert_eq!(split(0), [size, size, None]);
    assert_eq!(split(1 << 16), [size, None, None]);
    assert_eq!(joined(0), [size, size, None]);
    assert_eq!(joined(1 << 16), [size, None, None]);
}

#[test]
fn what_appears_or_goes_needs_none() {
    let page = leaf(&stage1(Granule::K4), PAGE, Level(0));
    let range = AddrRange::page(Gva::new(0x20_0000), PageSize::K4);
    for (old, new) in [(None, page), (page, None)] {
        let change = Change::between(range, old, new).unwrap();
        assert_eq!(needs_break_before_make(&change, BreakLevel::L0), None);
    }
}
