//! What single bits and fields mean, by the tables of the manual.

use super::*;
use crate::addr::{Access, Gva, PageSize};
use crate::paging::Malformed;

const PAGE: u64 = 3;
const BLOCK: u64 = 1;
const AP1: u64 = 1 << 6;
const AP2: u64 = 1 << 7;
const AF: u64 = 1 << 10;
const DBM: u64 = 1 << 51;

/// The one leaf whose bits are all clear, changed by `bits`.
fn page(bits: u64) -> Leaf {
    leaf(&stage1(Granule::K4), PAGE | bits, Level(0)).unwrap()
}

#[test]
fn every_stage_1_bit_says_one_thing() {
    let plain = page(0);
    let open = Permissions::READ | Permissions::WRITE | Permissions::EXECUTE;
    assert_eq!(plain.permissions, open);
    assert!(plain.global && plain.dirty && !plain.accessed);

    assert_eq!(page(AP1).permissions, open | Permissions::USER);
    assert_eq!(page(AP2).permissions, open - Permissions::WRITE);
    assert!(!page(AP2).dirty);
    assert_eq!(page(1 << 54).permissions, open - Permissions::EXECUTE);
    assert!(page(AF).accessed);
    assert!(!page(1 << 11).global);
    assert_eq!(page(0xf << 55).software, 0xf);
    assert_eq!(page(1 << 52).hints, LeafHints::CONTIGUOUS);
    assert_eq!(page(1 << 53).hints, LeafHints::PRIVILEGED_NO_EXECUTE);
    assert_eq!(page(DBM).hints, LeafHints::DIRTY_MANAGED);
    let memory_type = MemoryType::from_raw(page(5 << 2 | 3 << 8).memory_type);
    assert_eq!(memory_type, MemoryType::new(5, Shareability::Inner));
    for ignored in [1 << 5, 1 << 50, 1 << 63, 1 << 59, 1 << 48] {
        assert_eq!(page(ignored), plain, "{ignored:#x}");
    }
}

#[test]
fn every_stage_2_bit_says_one_thing() {
    let format = stage2(Granule::K4, 24, 1);
    let page = |bits: u64| leaf(&format, PAGE | bits, Level(0)).unwrap();
    let closed = Permissions::EXECUTE | Permissions::USER;
    assert_eq!(page(0).permissions, closed);
    assert!(!page(0).dirty && !page(0).global);
    assert_eq!(page(AP1).permissions, closed | Permissions::READ);
    assert_eq!(page(AP2).permissions, closed | Permissions::WRITE);
    assert!(page(AP2).dirty);
    assert_eq!(page(1 << 54).permissions, Permissions::USER);
    let memory_type = MemoryType::from_raw(page(0xf << 2 | 2 << 8).memory_type);
    assert_eq!(memory_type, MemoryType::new(0xf, Shareability::Outer));
    for ignored in [1 << 11, 1 << 53, 1 << 50] {
        assert_eq!(page(ignored), page(0), "{ignored:#x}");
    }
}

#[test]
fn nt_is_a_bit_of_blocks_and_an_address_bit_of_pages() {
    let format = stage1(Granule::K4);
    let block = leaf(&format, BLOCK | 1 << 16, Level(1)).unwrap();
    assert_eq!(block.hints, LeafHints::NO_CONFLICT);
    assert_eq!(block.output, Gpa::new(0));
    let small = page(1 << 16);
    assert_eq!(small.hints, LeafHints::empty());
    assert_eq!(small.output, Gpa::new(1 << 16));
}

#[test]
fn blocks_exist_where_the_manual_has_them() {
    let sizes = |granule| {
        let format = stage1(granule);
        [0, 1, 2, 3].map(|level| {
            let block = leaf(&format, BLOCK | AF, Level(level));
            block.map(|block| block.size.to_string())
        })
    };
    let some = |size: &str| Some(size.to_owned());
    let k4 = [None, some("2 MiB"), some("1 GiB"), None];
    assert_eq!(sizes(Granule::K4), k4);
    assert_eq!(sizes(Granule::K16), [None, some("32 MiB"), None, None]);
    assert_eq!(sizes(Granule::K64), [None, some("512 MiB"), None, None]);
}

#[test]
fn an_address_beyond_the_output_size_is_no_translation_fault() {
    let (half, input) = (Half::Low, InputSize::BITS_48);
    let format = Stage1::new(Granule::K4, half, input, OutputSize::Bits40);
    for (entry, level) in [
        (1 << 40 | PAGE, 0),
        (1 << 40 | BLOCK, 1),
        (1 << 47 | PAGE, 3),
    ] {
        let level = Level(level);
        let output = Gpa::new(entry & !PAGE);
        let expected = Malformed::AddressSize {
            entry,
            level,
            output,
        };
        assert_eq!(format.decode(entry, level), Err(expected));
        assert_eq!(format.decode(entry & !1, level), Ok(Meaning::NotPresent));
    }
    assert!(format.decode(1 << 39 | PAGE, Level(0)).is_ok());
}

#[test]
fn tables_limit_what_is_below_unless_that_is_ignored() {
    let limits = |hierarchy, bit: u32| {
        let format = stage1(Granule::K16).with_hierarchy(hierarchy);
        match format.decode(0x4000 | PAGE | 1 << bit, Level(2)) {
            Ok(Meaning::Table { limits, .. }) => Permissions::all() - limits,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(limits(Hierarchy::Limits, 60), Permissions::EXECUTE);
    assert_eq!(limits(Hierarchy::Limits, 61), Permissions::USER);
    assert_eq!(limits(Hierarchy::Limits, 62), Permissions::WRITE);
    assert_eq!(limits(Hierarchy::Limits, 63), Permissions::empty());
    assert_eq!(limits(Hierarchy::Ignored, 62), Permissions::empty());
}

#[test]
fn each_half_has_its_addresses_and_a_tag_where_it_may() {
    let input = InputSize::from_tsz(24).unwrap();
    let made = |half, top_byte| {
        let format = Stage1::new(Granule::K4, half, input, OutputSize::Bits48);
        format.with_top_byte(top_byte)
    };
    let (low, high) = (0x00ff_ffff_ffff, 0xffff_ff00_0000_0000);
    let takes = |format: Stage1| {
        let tagged = [0xab00_0000_0000_1000, 0xabff_ff00_0000_1000];
        let addresses = [low, low + 1, high, high - 1, tagged[0], tagged[1]];
        addresses.map(|address| format.is_canonical(Gva::new(address)))
    };
    let (checked, ignored) = (TopByte::Checked, TopByte::Ignored);
    assert_eq!(
        takes(made(Half::Low, checked)),
        [true, false, false, false, false, false]
    );
    assert_eq!(
        takes(made(Half::High, checked)),
        [false, false, true, false, false, false]
    );
    assert_eq!(
        takes(made(Half::Low, ignored)),
        [true, false, false, false, true, false]
    );
    assert_eq!(
        takes(made(Half::High, ignored)),
        [false, false, true, false, false, true]
    );
    let named = |half| made(half, ignored).canonical(0x1000);
    assert_eq!(named(Half::Low), Gva::new(0x1000));
    assert_eq!(named(Half::High), Gva::new(high + 0x1000));
}

#[test]
fn stage_2_translates_what_has_no_bits_above_its_size() {
    let format = stage2(Granule::K4, 24, 1);
    let takes = |address| format.is_canonical(Gva::new(address));
    assert_eq!(
        [(1 << 40) - 1, 1 << 40, 1 << 63].map(takes),
        [true, false, false]
    );
    assert_eq!(format.canonical(1 << 40 | 0x1000), Gva::new(0x1000));
}

#[test]
fn a_write_makes_a_page_writable_only_where_dbm_says_so() {
    let (first, second) = (stage1(Granule::K4), stage2(Granule::K4, 24, 1));
    let clean = PAGE | DBM | AP2;
    assert_eq!(first.marked(clean, Access::Read), clean | AF);
    assert_eq!(first.marked(clean, Access::Write), PAGE | DBM | AF);
    assert_eq!(first.marked(PAGE | AP2, Access::Write), PAGE | AP2 | AF);
    let clean = PAGE | DBM | AP1;
    assert_eq!(second.marked(clean, Access::Read), clean | AF);
    assert_eq!(second.marked(clean, Access::Write), clean | AP2 | AF);
    assert_eq!(second.marked(PAGE | AP1, Access::Write), PAGE | AP1 | AF);
}

#[test]
fn contiguous_groups_have_their_sizes() {
    let spans = |granule| {
        let format = stage1(granule);
        [0, 1, 2].map(|level| format.contiguous_span(Level(level)).map(PageSize::shift))
    };
    assert_eq!(spans(Granule::K4), [Some(16), Some(25), Some(34)]);
    assert_eq!(spans(Granule::K16), [Some(21), Some(30), None]);
    assert_eq!(spans(Granule::K64), [Some(21), Some(34), None]);
}

#[test]
fn a_leaf_that_no_descriptor_says_is_refused() {
    let format = stage1(Granule::K4);
    let plain = page(AP1 | AP2 | AF);
    let refused = |leaf| assert_eq!(format.encode_leaf(&leaf), Err(Malformed::NoEntry(leaf)));
    let unreadable = Permissions::USER;
    refused(Leaf {
        permissions: unreadable,
        ..plain
    });
    refused(Leaf {
        dirty: true,
        ..plain
    });
    refused(Leaf {
        output: Gpa::new(0x1800),
        ..plain
    });
    refused(Leaf {
        size: PageSize::K16,
        ..plain
    });
    refused(Leaf {
        memory_type: 8,
        ..plain
    });
    refused(Leaf {
        memory_type: 0x40,
        ..plain
    });
    refused(Leaf {
        software: 0x10,
        ..plain
    });
    refused(Leaf {
        hints: LeafHints::NO_CONFLICT,
        ..plain
    });
    let global = Leaf {
        dirty: false,
        ..plain
    };
    let second = stage2(Granule::K4, 24, 1);
    assert_eq!(second.encode_leaf(&global), Err(Malformed::NoEntry(global)));
}
