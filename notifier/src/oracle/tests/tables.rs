//! Walks by tables that are gone.

use super::bench::{Bench, change, iova};
use crate::addr::{Access, AddrRange, Gpa, Gva, Iova, PageSize, Permissions, Vmid};
use crate::oracle::{Invalidation, Oracle, ViolationKind};
use crate::paging::{Level, TableChange};
use crate::secondary::smmu::Levels;
use crate::secondary::{CacheId, Cached, CachedTable, Fit, Held, Observer, Scope, Tag};
use crate::test_space::{ASID, leaf, page};

const RW: Permissions = Permissions::READ_WRITE;
const WALK: CacheId = CacheId::SmmuWalk(ASID);
const TABLE: Gpa = Gpa::new(0x7000);

fn span() -> AddrRange<Gva> {
    AddrRange::page(page(0).to_gva(), PageSize::M2)
}

fn unlink() -> TableChange {
    TableChange {
        range: span(),
        level: Level(0),
        old: Some(TABLE),
        new: None,
    }
}

fn link() -> TableChange {
    TableChange {
        old: None,
        new: Some(TABLE),
        ..unlink()
    }
}

fn cached(bench: &Bench) -> CachedTable {
    let table = CachedTable {
        range: span().map(Iova::shared),
        level: Level(0),
        next: TABLE,
        filled: crate::contract::Step(0),
    };
    let filled = bench
        .oracle
        .table_cached(WALK, &table, bench.oracle.walk_began());
    CachedTable { filled, ..table }
}

fn apply(bench: &Bench, tables: &[TableChange]) {
    let mut made = bench.make(&[]);
    bench.oracle.tables_made(&mut made, tables);
    bench.oracle.settled(made);
}

/// Takes the table out of the tree, invalidates, and walks by the cached table if it is still there.
fn freed(scope: Option<Scope>) -> Bench {
    let bench = Bench::new(Oracle::new(), leaf(0, RW));
    let table = cached(&bench);
    let mut made = bench.make(&[]);
    bench.oracle.tables_made(&mut made, &[unlink()]);
    let held = Held::table(WALK, &table);
    if let Some(scope) = &scope {
        bench
            .oracle
            .carried_out(scope, u64::from(scope.fit(&held) == Fit::Covers));
        bench.oracle.synced();
    }
    bench.oracle.settled(made);
    if scope.is_none_or(|scope| scope.fit(&held) != Fit::Covers) {
        bench.oracle.table_used(WALK, page(0), &table);
    }
    bench
}

#[test]
fn a_walk_by_a_table_that_is_gone_is_a_violation() {
    let bench = freed(None);
    assert_eq!(bench.kinds(), [ViolationKind::StaleTable]);
    let chain = bench.chain().unwrap();
    assert_eq!(chain.relinked.unwrap().1, unlink());
    assert_eq!(chain.invalidation, Invalidation::Missing);
    let words = bench.oracle.findings().violations[0].to_string();
    let expected = "walk for 0x400000000000 went on in a table that is no longer part of it, 0x7000, \
                    cached at step 2; table at level 0 for [0x400000000000, 0x400000200000): \
                    0x7000 -> none at step 2; no invalidation covered it";
    assert_eq!(words, expected);
}

#[test]
fn a_command_for_pages_only_leaves_the_table() {
    let all = Scope::all(Tag::Address(Vmid(0), ASID)).within(iova());
    let pages = Scope {
        levels: Levels::Leaf,
        ..all
    };
    let wrong = freed(Some(pages)).chain().unwrap().invalidation;
    assert!(matches!(wrong, Invalidation::WrongLevel(_)), "{wrong:?}");
    assert_eq!(freed(Some(all)).kinds(), []);
}

#[test]
fn until_the_change_is_settled_the_old_way_is_right() {
    let bench = Bench::new(Oracle::new(), leaf(0, RW));
    let table = cached(&bench);
    let mut made = bench.make(&[]);
    bench.oracle.tables_made(&mut made, &[unlink()]);
    bench.oracle.table_used(WALK, page(0), &table);
    assert_eq!(bench.kinds(), []);
    bench.oracle.settled(made);
    bench.oracle.table_used(WALK, page(0), &table);
    assert_eq!(bench.kinds(), [ViolationKind::StaleTable]);
}

#[test]
fn a_table_in_its_place_again_is_right() {
    let bench = Bench::new(Oracle::new(), leaf(0, RW));
    let table = cached(&bench);
    apply(&bench, &[unlink()]);
    apply(&bench, &[link()]);
    bench.oracle.table_used(WALK, page(0), &table);
    assert_eq!(bench.kinds(), []);
}

/// What a walk finds in a freed table is not what somebody wrote into the page table unseen.
#[test]
fn a_page_found_by_it_is_explained_by_the_table() {
    let bench = freed(None);
    let began = bench.oracle.walk_began();
    let table = cached(&bench);
    bench.oracle.table_used(WALK, page(0), &table);
    let garbage = leaf(5, RW);
    let filled = bench.oracle.filled(bench.cache, iova(), &garbage, began);
    let entry = Cached {
        page: iova(),
        leaf: garbage,
        filled,
    };
    bench
        .oracle
        .used(bench.cache, page(0), Access::Write, &entry);
    let findings = bench.oracle.findings();
    assert_eq!(findings.untracked, []);
    let last = findings.violations.last().unwrap();
    assert_eq!(last.kind, ViolationKind::UseAfterUnmap);
    assert_eq!(last.chain.relinked.unwrap().1, unlink());
}

#[test]
fn a_table_dropped_for_a_page_was_dropped_for_nothing() {
    let mut bench = Bench::new(Oracle::new(), leaf(0, RW));
    let table = cached(&bench);
    let read_only = leaf(0, Permissions::READ_ONLY);
    let narrowed = change(Some(leaf(0, RW)), Some(read_only));
    bench.change(narrowed, |bench| bench.oracle.table_dropped(WALK, &table));
    assert_eq!(bench.oracle.findings().needless_drops_of(WALK), 1);
    apply(&bench, &[unlink()]);
    bench.oracle.table_dropped(WALK, &table);
    assert_eq!(bench.oracle.findings().needless_drops_of(WALK), 1);
}

#[test]
fn tables_that_are_gone_are_remembered_up_to_a_bound() {
    let bench = Bench::new(Oracle::new(), leaf(0, RW));
    for n in 0..5_000 {
        let old = Some(Gpa::new(n << 12));
        apply(&bench, &[TableChange { old, ..unlink() }]);
    }
    assert_eq!(bench.oracle.findings().not_kept, 5_000 - 4_096);
}

/// Who writes the entry that puts it back tells of that afterwards: a walk may be faster.
#[test]
fn a_table_that_is_about_to_be_put_back_may_be_found_there() {
    let bench = Bench::new(Oracle::new(), leaf(0, RW));
    apply(&bench, &[unlink()]);
    bench.oracle.tables_changing(&[link()]);
    let table = cached(&bench);
    bench.oracle.table_used(WALK, page(0), &table);
    assert_eq!(bench.kinds(), []);
    bench.oracle.tables_called_off(&[link()]);
    bench.oracle.table_used(WALK, page(0), &table);
    assert_eq!(bench.kinds(), [ViolationKind::StaleTable]);
}
