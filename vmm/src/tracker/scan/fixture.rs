//! A page table with a copy and a mirror, for tests.

use std::sync::Arc;

use guest::abi::layout;
use notifier::addr::{Gpa, Gva, PageSize, Permissions};
use notifier::contract::AddressSpace;
use notifier::oracle::Oracle;
use notifier::paging::x86_64::X86_64;
use notifier::paging::{Builder, ChangeKind, Format, Level, Meaning, TableMemory, Tree};

use super::ShadowCopy;
use crate::memory::{Layout, MemoryConfig, Ram};
use crate::mirror::Mirror;
use crate::page_tables::page;
use crate::policy::UpgradePolicy;

pub(super) const FORMAT: X86_64 = X86_64::four_level(40);
/// Two neighbouring large pages' worth of addresses, each with a table.
const PLACES: [Gva; 2] = [Gva::new(0x4000_0000_0000), Gva::new(0x4000_0020_0000)];
pub(super) const FRAME: u64 = 0x50_0000;
/// A page of the pool that is no table.
pub(super) const LOOSE: u64 = 0x42_0000;

/// A page table, its copy, and its mirror. In each table one page is mapped.
pub(super) struct Fixture {
    pub(super) ram: Ram,
    pub(super) copy: Arc<ShadowCopy>,
    pub(super) mirror: Arc<Mirror>,
    root: Gpa,
    /// Entries of the tables.
    pub(super) slots: [Gpa; 2],
    /// Entries that lead to the tables.
    pub(super) parents: [Gpa; 2],
    /// The entry that leads to the table of those.
    pub(super) above: Gpa,
}

pub(super) fn fixture() -> Fixture {
    let ram = Ram::new(Layout::new(&MemoryConfig::default()).unwrap()).unwrap();
    let pool = ram.layout().page_tables();
    let mut builder = Builder::new(&FORMAT, &ram, pool).unwrap();
    let slots = PLACES.map(|place| builder.slot(place, PageSize::K4).unwrap());
    let parents = PLACES.map(|place| slot_at(&ram, builder.root(), place, 1));
    for (number, slot) in (0..).zip(slots) {
        ram.publish(slot, mapped(number)).unwrap();
    }
    let root = builder.root();
    let above = slot_at(&ram, root, PLACES[0], 2);
    let copy = Arc::new(ShadowCopy::new(ram.clone()).unwrap());
    let tree = Tree::read(Arc::new(FORMAT), &*copy, root, pool).unwrap();
    let oracle = Arc::new(Oracle::new());
    let space = Arc::new(AddressSpace::observed(tree, oracle.clone()));
    let mirror = Mirror::new(ram.clone(), space, oracle, UpgradePolicy::SecondaryTlb);
    Fixture {
        mirror: Arc::new(mirror.with_tables(copy.clone())),
        ram,
        copy,
        root,
        slots,
        parents,
        above,
    }
}

/// Where the entry for `place` stands in the table at `level`.
fn slot_at(ram: &Ram, root: Gpa, place: Gva, level: u8) -> Gpa {
    let mut table = root;
    for above in (level + 1..=3).rev() {
        let entry = ram.read_entry(slot_in(table, place, above)).unwrap();
        let Ok(Meaning::Table { next, .. }) = FORMAT.decode(entry, Level(above)) else {
            panic!("there is no table at level {above}");
        };
        table = next;
    }
    slot_in(table, place, level)
}

fn slot_in(table: Gpa, place: Gva, level: u8) -> Gpa {
    let index = place.raw() >> (12 + 9 * level) & 511;
    Gpa::new(table.raw() + 8 * index)
}

pub(super) fn mapped(number: u64) -> u64 {
    let frame = Gpa::new(FRAME + number * layout::PAGE);
    let page = page(frame, PageSize::K4, Permissions::READ_WRITE);
    FORMAT.encode_leaf(&page).unwrap()
}

pub(super) fn large() -> u64 {
    let frames = Gpa::new(0x80_0000);
    let page = page(frames, PageSize::M2, Permissions::READ_WRITE);
    FORMAT.encode_leaf(&page).unwrap()
}

pub(super) fn table(slot: Gpa) -> u64 {
    FORMAT.encode_table(Gpa::new(slot.raw() & !(layout::PAGE - 1)))
}

impl Fixture {
    /// What the mirror knows is what is there.
    pub(super) fn verify(&self) {
        let pool = self.ram.layout().page_tables();
        let there = Tree::read(Arc::new(FORMAT), &self.ram, self.root, pool).unwrap();
        assert_eq!(self.mirror.page_table().pages(), there.pages());
        for slot in (pool.start().raw()..pool.last().raw())
            .step_by(8)
            .map(Gpa::new)
        {
            assert_eq!(self.copy.read_entry(slot), self.ram.read_entry(slot));
        }
    }

    pub(super) fn kinds(&self) -> Vec<(ChangeKind, u64)> {
        let counts = self.mirror.counts().into_iter();
        counts.filter(|(_, count)| *count != 0).collect()
    }
}
