//! What the builder builds is what the walker finds and the watched tree knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::addr::{AddrRange, Gva, PageSize};
use crate::paging::{
    BuildError, Builder, FlatMemory, Malformed, TableMemory, TableMemoryMut, Tree, TreeError,
    WalkFaultKind, walk,
};

const MEMORY: u64 = 0x80_0000;

fn pool() -> AddrRange<Gpa> {
    AddrRange::new(Gpa::new(0x1000), Gpa::new(MEMORY)).unwrap()
}

fn memory() -> FlatMemory {
    FlatMemory::new(usize::try_from(MEMORY).unwrap())
}

/// An entry with all bits that are not address or kind from `noise`, and an address in reach.
fn noisy(format: &dyn Format, noise: u64, level: Level) -> Option<Leaf> {
    const ATTRIBUTES: u64 = 0xfff8_0000_0000_0ffc;
    let kind = if level == Level(0) { 3 } else { 1 };
    let output = noise & 0xffff_f000;
    leaf(format, noise & ATTRIBUTES | output | kind, level)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_built_is_walked_and_watched(
        format in any_format(),
        wanted in prop::collection::vec((any::<u64>(), any::<u64>(), 0..4u8), 1..12),
    ) {
        let format: Arc<dyn Format> = Arc::from(format);
        let memory = memory();
        let mut builder = Builder::new(&*format, &memory, pool()).unwrap();
        let mut built = BTreeMap::new();
        for (address, noise, level) in wanted {
            let level = Level(level.min(format.root().0));
            let Some(page) = noisy(&*format, noise, level) else { continue };
            let address = format.canonical(address & !page.size.offset_mask());
            match builder.map(address, &page) {
                Ok(()) => { built.insert(address, page); }
                Err(BuildError::Taken(_) | BuildError::PoolUsedUp(_)) => {}
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
        let root = builder.root();
        for (address, page) in &built {
            let inside = Gva::new(address.raw() | page.size.offset_mask());
            for address in [*address, inside] {
                let found = walk(&*format, &memory, root, address);
                prop_assert_eq!(found, Ok(*page));
            }
        }
        let tree = Tree::read(format, &memory, root, pool()).unwrap();
        let expected: Vec<_> = built
            .iter()
            .map(|(address, page)| (AddrRange::page(*address, page.size), *page))
            .collect();
        prop_assert_eq!(tree.pages(), expected);
        for address in built.keys() {
            let slot = tree.slot_of(*address);
            prop_assert_eq!(tree.entry(slot), memory.read_entry(slot).ok());
        }
    }
}

#[test]
fn tables_in_a_row_are_one_large_root() {
    // 43 bits from level 1: sixteen tables of 4 KiB.
    let format = stage2(Granule::K4, 64 - 43, 1);
    let memory = memory();
    let mut builder = Builder::new(&format, &memory, pool()).unwrap();
    assert_eq!(builder.root(), Gpa::new(0x1_0000), "aligned to all sixteen");
    let last = Gva::new((1 << 43) - (1 << 30));
    let page = leaf(&format, 0x4000_0401, Level(2)).unwrap();
    builder.map(last, &page).unwrap();
    let written = memory.read_entry(Gpa::new(0x1_fff8)).unwrap();
    assert_eq!(written, format.encode_leaf(&page).unwrap());
    assert_eq!(walk(&format, &memory, builder.root(), last), Ok(page));
}

#[test]
fn a_table_inside_the_root_makes_no_tree() {
    let format = stage2(Granule::K4, 64 - 43, 1);
    let memory = memory();
    let root = Builder::new(&format, &memory, pool()).unwrap().root();
    let mut tree = Tree::read(Arc::new(format), &memory, root, pool()).unwrap();
    let inside = Gpa::new(root.raw() + 0x3000);
    let entry = format.encode_table(inside);
    let refused = tree.apply(&memory, root, entry);
    assert_eq!(refused, Err(TreeError::Shared(inside)));
}

#[test]
fn a_small_root_ends_where_its_entries_do() {
    // 31 bits from level 1: two entries.
    let input = InputSize::from_tsz(33).unwrap();
    let format = Stage1::new(Granule::K4, Half::High, input, OutputSize::Bits48);
    let memory = memory();
    let mut builder = Builder::new(&format, &memory, pool()).unwrap();
    let page = leaf(&format, 0x4000_0401, Level(2)).unwrap();
    let top = Gva::new(!((1 << 30) - 1));
    builder.map(top, &page).unwrap();
    let root = builder.root();
    let tree = Tree::read(Arc::new(format), &memory, root, pool()).unwrap();
    assert_eq!(tree.pages(), [(AddrRange::page(top, page.size), page)]);
    assert_eq!(
        tree.entry(Gpa::new(root.raw() + 8)),
        memory.read_entry(Gpa::new(0x1008)).ok()
    );
    assert_eq!(tree.entry(Gpa::new(root.raw() + 16)), None);
}

#[test]
fn a_walk_tells_an_address_size_fault_from_the_others() {
    let (half, input) = (Half::Low, InputSize::BITS_48);
    let format = Stage1::new(Granule::K64, half, input, OutputSize::Bits36);
    let memory = memory();
    let mut builder = Builder::new(&format, &memory, pool()).unwrap();
    let address = Gva::new(0x7_0000);
    let slot = builder.slot(address, PageSize::K64).unwrap();
    let fault = |entry| {
        memory.write_entry(slot, entry).unwrap();
        let walked = walk(&format, &memory, builder.root(), address);
        walked.unwrap_err().kind
    };
    assert_eq!(fault(1 << 36 | 3), WalkFaultKind::AddressSize(Level(0)));
    assert_eq!(fault(1 << 36 | 1), WalkFaultKind::NotPresent(Level(0)));
    let page = leaf(&stage1(Granule::K64), 1 << 36 | 3, Level(0)).unwrap();
    let refused = format.encode_leaf(&page);
    assert!(matches!(refused, Err(Malformed::AddressSize { .. })));
}
