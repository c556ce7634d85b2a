//! Which page an entry maps, and what a write to it changes.

use super::*;
use crate::addr::{Address, PageSize};
use crate::paging::x86_64::{Entry, X86_64};
use crate::paging::{Builder, ChangeKind, FlatMemory, TableMemoryMut};

const WINDOW: Gva = Gva::new(0x4000_0000_0000);

struct Fixture {
    memory: FlatMemory,
    tree: Tree,
}

fn region() -> AddrRange<Gpa> {
    AddrRange::new(Gpa::new(0x1000), Gpa::new(0x10_000)).unwrap()
}

fn page(output: u64, permissions: Permissions, size: PageSize) -> Leaf {
    Leaf {
        output: Gpa::new(output),
        size,
        permissions,
        accessed: true,
        dirty: true,
        global: false,
        memory_type: 0,
        software: 0,
        hints: crate::paging::LeafHints::empty(),
    }
}

/// Two 4 KiB pages at the window, read-only and read-write, and one of 2 MiB behind them.
fn fixture() -> Fixture {
    let memory = FlatMemory::new(0x20_000);
    let format = X86_64::four_level(40);
    let mut builder = Builder::new(&format, &memory, region()).unwrap();
    let large = page(0x40_0000, Permissions::READ_WRITE, PageSize::M2);
    for (offset, leaf) in [
        (0, page(0x1_1000, Permissions::READ_ONLY, PageSize::K4)),
        (
            0x1000,
            page(0x1_2000, Permissions::READ_WRITE, PageSize::K4),
        ),
        (0x20_0000, large),
    ] {
        builder
            .map(WINDOW.checked_add(offset).unwrap(), &leaf)
            .unwrap();
    }
    let root = builder.root();
    let tree = Tree::read(Arc::new(format), &memory, root, region()).unwrap();
    Fixture { memory, tree }
}

impl Fixture {
    fn slot(&self, offset: u64) -> Gpa {
        self.tree.slot_of(WINDOW.checked_add(offset).unwrap())
    }

    /// The slot of the table entry above [`slot`](Self::slot)'s.
    fn parent(&self, offset: u64) -> Gpa {
        let table = self.slot(offset).align_down(PageSize::K4);
        let tables = &self.tree.tables;
        let (address, index) = tables
            .iter()
            .flat_map(|(address, table)| {
                let entries = table.entries.iter().enumerate();
                entries.map(move |(index, entry)| (*address, index, *entry, table.level))
            })
            .find_map(|(address, index, entry, level)| {
                let next = self.tree.next_table(entry, level)?.0;
                (next == table).then_some((address, index))
            })
            .unwrap();
        slot(address, index)
    }

    fn write(&mut self, slot: Gpa, entry: u64) -> Vec<Change> {
        self.memory.write_entry(slot, entry).unwrap();
        self.tree.apply(&self.memory, slot, entry).unwrap()
    }
}

fn kinds(changes: &[Change]) -> Vec<(ChangeKind, u64)> {
    let offset = |change: &Change| change.range.start().raw() - WINDOW.raw();
    changes
        .iter()
        .map(|change| (change.kind, offset(change)))
        .collect()
}

#[test]
fn a_written_entry_changes_its_page() {
    let mut fixture = fixture();
    let slot = fixture.slot(0);
    let upgraded = fixture.tree.entry(slot).unwrap() | Entry::WRITE.raw();
    let changes = fixture.write(slot, upgraded);
    assert_eq!(kinds(&changes), [(ChangeKind::Upgrade, 0)]);
    assert!(fixture.write(slot, upgraded).is_empty(), "written twice");
}

#[test]
fn a_preview_changes_nothing() {
    let fixture = fixture();
    let slot = fixture.slot(0);
    let before = fixture.tree.pages();
    let changes = fixture.tree.preview(&fixture.memory, slot, 0).unwrap();
    assert_eq!(kinds(&changes), [(ChangeKind::Unmap, 0)]);
    assert_eq!(fixture.tree.pages(), before);
}

#[test]
fn a_table_entry_changes_every_page_below_it() {
    let mut fixture = fixture();
    let parent = fixture.parent(0);
    let open = fixture.tree.entry(parent).unwrap();

    assert!(fixture.tree.is_structural(parent, 0));
    assert!(!fixture.tree.is_structural(fixture.slot(0), 0));
    let changes = fixture.write(parent, open & !Entry::WRITE.raw());
    assert_eq!(kinds(&changes), [(ChangeKind::Downgrade, 0x1000)]);
    let changes = fixture.write(parent, 0);
    assert_eq!(
        kinds(&changes),
        [(ChangeKind::Unmap, 0), (ChangeKind::Unmap, 0x1000)]
    );
    let changes = fixture.write(parent, open);
    assert_eq!(
        kinds(&changes),
        [(ChangeKind::Map, 0), (ChangeKind::Map, 0x1000)]
    );
    assert_eq!(fixture.tree.pages().len(), 3);
}

#[test]
fn writes_below_an_unlinked_table_change_nothing() {
    let mut fixture = fixture();
    let (slot, parent) = (fixture.slot(0), fixture.parent(0));
    let open = fixture.tree.entry(parent).unwrap();
    fixture.write(parent, 0);
    assert!(fixture.write(slot, 0).is_empty());
    let changes = fixture.write(parent, open);
    assert_eq!(kinds(&changes), [(ChangeKind::Map, 0x1000)]);
}

#[test]
fn splitting_a_large_page_resizes_what_stays_and_unmaps_the_rest() {
    let mut fixture = fixture();
    let large = fixture.slot(0x20_0000);
    let table = Gpa::new(0xf000);
    for index in [0, 3] {
        let output = 0x40_0000 + 0x1000 * index as u64;
        let small = page(output, Permissions::READ_WRITE, PageSize::K4);
        let entry = fixture.tree.format.encode_leaf(&small).unwrap();
        fixture
            .memory
            .write_entry(slot(table, index), entry)
            .unwrap();
    }
    let entry = fixture.tree.format.encode_table(table);
    let changes = fixture.write(large, entry);
    assert_eq!(
        kinds(&changes),
        [
            (ChangeKind::Resize, 0x20_0000),
            (ChangeKind::Unmap, 0x20_1000),
            (ChangeKind::Resize, 0x20_3000),
            (ChangeKind::Unmap, 0x20_4000),
        ]
    );
    assert_eq!(changes[3].range.last(), Gva::new(WINDOW.raw() + 0x3f_ffff));
}

#[test]
fn what_is_not_a_tree_is_refused_and_leaves_it_as_it_was() {
    let mut fixture = fixture();
    let (parent, before) = (fixture.parent(0), fixture.tree.pages());
    let root = fixture.tree.root();
    let table = fixture.slot(0).align_down(PageSize::K4);
    let other = fixture.slot(0x20_0000);
    let mut refused = |slot, next| {
        let entry = fixture.tree.format.encode_table(next);
        fixture
            .tree
            .apply(&fixture.memory, slot, entry)
            .unwrap_err()
    };
    assert_eq!(refused(parent, root), TreeError::Shared(root));
    assert_eq!(refused(other, table), TreeError::Shared(table));
    let outside = refused(parent, Gpa::new(0x10_000));
    assert!(matches!(outside, TreeError::OutsideRegion { .. }));
    assert_eq!(fixture.tree.pages(), before);
}

#[test]
fn a_malformed_entry_maps_nothing() {
    let mut fixture = fixture();
    let slot = fixture.slot(0x1000);
    let changes = fixture.write(slot, 1 << 45 | Entry::PRESENT.raw());
    assert_eq!(kinds(&changes), [(ChangeKind::Unmap, 0x1000)]);
}

#[test]
fn a_table_that_is_unlinked_is_gone_and_one_that_is_linked_is_there() {
    let mut fixture = fixture();
    let (parent, table) = (fixture.parent(0), fixture.slot(0).align_down(PageSize::K4));
    let entry = fixture.tree.entry(parent).unwrap();
    let preview = |fixture: &Fixture, entry| {
        let tree = &fixture.tree;
        tree.preview_tables(&fixture.memory, parent, entry).unwrap()
    };
    let gone = TableChange {
        range: AddrRange::page(WINDOW, PageSize::M2),
        level: Level(0),
        old: Some(table),
        new: None,
    };
    assert_eq!(preview(&fixture, 0), [gone]);
    let tighter = entry & !Entry::WRITE.raw();
    assert_eq!(preview(&fixture, tighter), [], "it stays where it is");
    fixture.write(parent, 0);
    let back = TableChange {
        old: None,
        new: Some(table),
        ..gone
    };
    assert_eq!(preview(&fixture, entry), [back]);
}

/// A page needs no table, so an entry above takes all of those below it.
#[test]
fn a_table_takes_those_below_it_along() {
    let fixture = fixture();
    let table = fixture.parent(0).align_down(PageSize::K4);
    let above = fixture.tree.tables.iter().find_map(|(address, found)| {
        let leads = |entry: &u64| {
            fixture
                .tree
                .next_table(*entry, found.level)
                .map(|(next, _)| next)
        };
        let index = found
            .entries
            .iter()
            .position(|entry| leads(entry) == Some(table))?;
        Some(slot(*address, index))
    });
    let tree = &fixture.tree;
    let changes = tree
        .preview_tables(&fixture.memory, above.unwrap(), 0)
        .unwrap();
    let levels: Vec<_> = changes.iter().map(|change| change.level).collect();
    assert_eq!(levels, [Level(1), Level(0)]);
    assert_eq!(changes[0].range, AddrRange::page(WINDOW, PageSize::G1));
}
