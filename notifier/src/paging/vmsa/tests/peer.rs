//! Held against the crate `aarch64-paging`: 4 KiB granule, bit for bit.

use aarch64_paging::descriptor::{
    El1Attributes, PagingAttributes, PhysicalAddress, Stage2Attributes,
};
use aarch64_paging::paging::{
    Constraints, El1And0, MemoryRegion, RootTable, Stage2 as Regime2, TranslationRegime, VaRange,
};
use aarch64_paging::target::TargetAllocator;

use bitflags::Flags;

use super::*;
use crate::addr::{AddrRange, Gva, PageSize};
use crate::paging::{
    Builder, Change, FlatMemory, TableMemory, TableMemoryMut, WalkFaultKind, walk,
};

/// Where the first table stands.
const TABLES: u64 = 0x1_0000;

/// One mapping that is asked of both.
#[derive(Clone, Copy, Debug)]
struct Asked {
    address: u64,
    output: u64,
    size: PageSize,
    attributes: u64,
}

fn word(value: u64) -> usize {
    usize::try_from(value).unwrap()
}

/// The attributes of a block or page that mean the same in both stages, or at the same place other
/// things; then those of one stage. All of them are part of a leaf.
const BOTH: u64 = 0x07d8_0000_0000_07dc;
const STAGE_1: u64 = BOTH | 1 << 11 | 1 << 53;
const STAGE_2: u64 = BOTH | 1 << 5;

/// Up to seven mappings that don't overlap, below 256 GiB.
fn asked(attributes: u64) -> impl Strategy<Value = Vec<Asked>> {
    let one = (any::<u32>(), any::<u32>(), 0..3usize, any::<u64>());
    let one = one.prop_map(move |(address, output, size, noise)| {
        let size = [PageSize::K4, PageSize::M2, PageSize::G1][size];
        let part = |page: u32| u64::from(page) << 6 & !size.offset_mask();
        Asked {
            address: part(address),
            output: part(output),
            size,
            attributes: noise & attributes,
        }
    });
    prop::collection::vec(one, 1..8).prop_map(|mut all| {
        let mut kept: Vec<Asked> = Vec::new();
        all.retain(|new| {
            let range = |asked: &Asked| AddrRange::page(Gva::new(asked.address), asked.size);
            let free = !kept.iter().any(|old| range(old).overlaps(range(new)));
            kept.extend(free.then_some(*new));
            free
        });
        all
    })
}

/// The peer's tables with what is asked, from `base` on, as bytes from `TABLES` on.
fn theirs<R: TranslationRegime>(
    mut table: RootTable<R, TargetAllocator<R::Attributes>>,
    base: u64,
    all: &[Asked],
) -> Vec<u8> {
    for asked in all {
        let start = base + asked.address;
        let region = MemoryRegion::new(word(start), word(start + asked.size.bytes()));
        let attributes = asked.attributes | 1;
        let attributes = R::Attributes::from_bits_retain(word(attributes));
        let output = PhysicalAddress(word(asked.output));
        let constraints = Constraints::empty();
        table
            .map_range(&region, output, attributes, constraints)
            .unwrap();
    }
    table.translation().as_bytes()
}

/// The bytes as memory, from `TABLES` on.
fn loaded(bytes: &[u8]) -> FlatMemory {
    let memory = FlatMemory::new(word(TABLES) + bytes.len());
    for (at, entry) in (TABLES..).step_by(8).zip(bytes.chunks_exact(8)) {
        let entry = u64::from_le_bytes(entry.try_into().unwrap());
        memory.write_entry(Gpa::new(at), entry).unwrap();
    }
    memory
}

/// Our walker finds what was asked of the peer in its tables, and our builder makes the same tables
/// of what the walker found, word for word.
fn compare(format: &dyn Format, base: u64, bytes: &[u8], all: &[Asked]) {
    let theirs = loaded(bytes);
    let ours = FlatMemory::new(word(TABLES) + bytes.len());
    let pool = AddrRange::from_length(Gpa::new(TABLES), bytes.len() as u64).unwrap();
    let mut builder = Builder::new(format, &ours, pool).unwrap();
    for asked in all {
        let address = Gva::new(base + asked.address);
        let found = walk(format, &theirs, Gpa::new(TABLES), address).unwrap();
        let output = Gpa::new(asked.output);
        assert_eq!((found.output, found.size), (output, asked.size));
        builder.map(address, &found).unwrap();
    }
    // Both hand out tables in the order in which they are first needed.
    for at in (TABLES..).step_by(8).take(bytes.len() / 8).map(Gpa::new) {
        assert_eq!(ours.read_entry(at), theirs.read_entry(at), "at {at}");
    }
    let hole = Gva::new(base + (1 << 38));
    let fault = walk(format, &theirs, Gpa::new(TABLES), hole).unwrap_err();
    assert_eq!(fault.kind, WalkFaultKind::NotPresent(Level(2)));
}

fn input() -> InputSize {
    InputSize::from_tsz(64 - 39).unwrap()
}

fn first(half: Half) -> Stage1 {
    Stage1::new(Granule::K4, half, input(), OutputSize::Bits48)
}

/// What ours says of a page that changes from one entry to the other, at the lowest level.
fn ours_allows(format: &dyn Format, old: u64, new: u64) -> bool {
    let page = |attributes| leaf(format, attributes | 3, Level(0));
    let range = AddrRange::page(Gva::new(0), PageSize::K4);
    Change::between(range, page(old), page(new))
        .is_none_or(|change| needs_break_before_make(&change, BreakLevel::L0).is_none())
}

fn theirs_allows<A: PagingAttributes>(old: u64, new: u64) -> bool {
    let page = |attributes: u64| A::from_bits_retain(word(attributes | 3));
    A::is_bbm_safe(page(old), page(new))
}

/// Attributes and a change of one or two of them.
fn changed() -> impl Strategy<Value = (u64, u64)> {
    (any::<u64>(), 0..64u32, 0..64u32)
        .prop_map(|(old, one, other)| (old, old ^ (1 << one | 1 << other)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn stage_1_tables_are_the_same(all in asked(STAGE_1), upper: bool) {
        let (range, half, base) = if upper {
            (VaRange::Upper, Half::High, 0xffff_ff80_0000_0000)
        } else {
            (VaRange::Lower, Half::Low, 0)
        };
        let allocator = TargetAllocator::new(TABLES);
        let table = RootTable::with_va_range(allocator, 1, El1And0, range);
        compare(&first(half), base, &theirs(table, base, &all), &all);
    }

    #[test]
    fn stage_2_tables_are_the_same(all in asked(STAGE_2)) {
        let table = RootTable::new(TargetAllocator::new(TABLES), 1, Regime2);
        let format = stage2(Granule::K4, 64 - 39, 1);
        compare(&format, 0, &theirs(table, 0, &all), &all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// But for AP\[1\], which the peer lets nobody change although R_WHZWS does not name it.
    #[test]
    fn stage_1_changes_are_judged_alike((old, new) in changed()) {
        let known = STAGE_1 & !(1 << 6);
        let (old, new) = (old & known, new & known);
        let theirs = theirs_allows::<El1Attributes>(old, new);
        prop_assert_eq!(ours_allows(&first(Half::Low), old, new), theirs);
    }

    /// But for Contiguous, which the peer's stage 2 does not know.
    #[test]
    fn stage_2_changes_are_judged_alike((old, new) in changed()) {
        let known = STAGE_2 & !(1 << 52);
        let (old, new) = (old & known, new & known);
        let theirs = theirs_allows::<Stage2Attributes>(old, new);
        let format = stage2(Granule::K4, 64 - 39, 1);
        prop_assert_eq!(ours_allows(&format, old, new), theirs);
    }
}

/// Each name of the peer's is the bit that ours reads.
#[test]
fn our_leaves_carry_the_names_of_the_peer() {
    let format = first(Half::Low);
    let plain = leaf(&format, 3, Level(0)).unwrap();
    let names = |leaf: Leaf| {
        let entry = format.encode_leaf(&leaf).unwrap();
        El1Attributes::from_bits_retain(word(entry))
            - (El1Attributes::VALID | El1Attributes::TABLE_OR_PAGE)
    };
    let allowed = plain.permissions;
    let hinted = |hints| names(Leaf { hints, ..plain });
    let allowing = |permissions: Permissions| {
        let dirty = permissions.contains(Permissions::WRITE);
        names(Leaf {
            permissions,
            dirty,
            ..plain
        })
    };
    assert_eq!(names(plain), El1Attributes::empty());
    assert_eq!(allowing(allowed | Permissions::USER), El1Attributes::USER);
    assert_eq!(
        allowing(allowed - Permissions::WRITE),
        El1Attributes::READ_ONLY
    );
    assert_eq!(allowing(allowed - Permissions::EXECUTE), El1Attributes::UXN);
    assert_eq!(
        names(Leaf {
            accessed: true,
            ..plain
        }),
        El1Attributes::ACCESSED
    );
    assert_eq!(
        names(Leaf {
            global: false,
            ..plain
        }),
        El1Attributes::NON_GLOBAL
    );
    assert_eq!(
        names(Leaf {
            software: 4,
            ..plain
        }),
        El1Attributes::SWFLAG_2
    );
    assert_eq!(hinted(LeafHints::DIRTY_MANAGED), El1Attributes::DBM);
    assert_eq!(hinted(LeafHints::PRIVILEGED_NO_EXECUTE), El1Attributes::PXN);
    assert_eq!(
        hinted(LeafHints::CONTIGUOUS),
        El1Attributes::CONTIGUOUS_OR_PROTECTED
    );
    let memory_type = MemoryType::new(5, Shareability::Outer).raw();
    let typed = El1Attributes::ATTRIBUTE_INDEX_5 | El1Attributes::OUTER_SHAREABLE;
    assert_eq!(
        names(Leaf {
            memory_type,
            ..plain
        }),
        typed
    );
}
