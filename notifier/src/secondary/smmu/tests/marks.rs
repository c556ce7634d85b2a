//! Hardware update of access flag and dirty state (`IHI0070` 3.13).

use super::*;

const ACCESSED: u64 = 1 << 10;
const READ_ONLY: u64 = 1 << 7;

fn bench(first: Leaf, knobs: &str) -> Bench {
    let bench = Bench::of(&first, &under(FRAME, RW), knobs.parse().unwrap());
    bench.smmu.attach(STREAM, bench.context());
    bench
}

fn unused() -> Leaf {
    Leaf {
        accessed: false,
        ..leaf(MIDDLE, RO)
    }
}

/// Writable, and clean: DBM with AP\[2\].
fn clean() -> Leaf {
    Leaf {
        hints: LeafHints::DIRTY_MANAGED,
        ..leaf(MIDDLE, RO)
    }
}

#[test]
fn an_access_sets_the_flag_where_hardware_manages_it() {
    let without = bench(unused(), "");
    assert_eq!(without.access(Access::Read), Err(FaultKind::AccessFlag));
    assert_eq!(without.entry(0) & ACCESSED, 0);
    let with = bench(unused(), "httu=a");
    with.access(Access::Read).unwrap();
    assert_eq!(with.entry(0) & ACCESSED, ACCESSED);
    assert_eq!(with.smmu.counts().marks, 1);
}

#[test]
fn a_write_makes_a_clean_page_dirty_and_a_read_does_not() {
    let bench = bench(clean(), "httu=ad");
    bench.access(Access::Read).unwrap();
    assert_eq!(bench.entry(0) & READ_ONLY, READ_ONLY);
    assert_eq!(bench.access(Access::Write), Ok(Gpa::new(MIDDLE + 8)));
    assert_eq!(bench.entry(0) & READ_ONLY, 0);
}

#[test]
fn a_clean_page_denies_writes_where_hardware_manages_no_dirty_state() {
    let bench = bench(clean(), "httu=a");
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Permission));
    assert_eq!(bench.entry(0) & READ_ONLY, READ_ONLY);
}

/// A cached clean entry has to look at memory before it lets a write through.
#[test]
fn a_cached_clean_entry_is_not_believed() {
    let bench = bench(clean(), "httu=ad");
    bench.access(Access::Read).unwrap();
    bench.set_first(&leaf(MIDDLE, RO));
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Permission));
}

/// What a table takes away, no mark gives back (APTable).
#[test]
fn a_table_that_forbids_writes_is_not_overridden() {
    let bench = bench(clean(), "httu=ad");
    let root = bench.roots[0];
    let entry = bench.memory.read_entry(root).unwrap();
    bench.memory.write_entry(root, entry | 1 << 62).unwrap();
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Permission));
    assert_eq!(bench.entry(0) & READ_ONLY, READ_ONLY);
}

/// What a translation request grants is written later without asking: dirty now.
#[test]
fn a_request_without_the_no_write_flag_makes_the_page_dirty() {
    for (access, dirty) in [(Access::Read, false), (Access::Write, true)] {
        let bench = bench(clean(), "httu=ad");
        let granted = bench.smmu.grant(STREAM, Iova::new(PAGE), access).unwrap();
        assert_eq!(granted.leaf.permissions.allow(Access::Write), dirty);
        assert_eq!(bench.entry(0) & READ_ONLY == 0, dirty);
    }
}
