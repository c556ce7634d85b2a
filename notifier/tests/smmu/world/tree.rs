//! One tree of tables, with places in it that tests change.

use std::sync::Arc;

use notifier::addr::{AddrRange, Gpa, Gva, Iova, PageSize, Permissions};
use notifier::paging::vmsa::{self, Granule, Half, InputSize, OutputSize, StartLevel};
use notifier::paging::x86_64::X86_64;
use notifier::paging::{
    Builder, FlatMemory, Format, Leaf, LeafHints, Level, NoMemory, TableMemory, TableMemoryMut,
};
use proptest::prelude::*;

use crate::naive::Tables;

/// Tables of stage 1 that are behind a stage 2 have addresses so much higher than where they are.
const MOVED: u64 = 1 << 37;

/// Which format stage 1 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    X86,
    Arm(Granule),
}

impl Kind {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let arm = granules().prop_map(Self::Arm);
        prop_oneof![1 => Just(Self::X86), 3 => arm]
    }

    pub(crate) fn granule(self) -> Granule {
        match self {
            Self::X86 => Granule::K4,
            Self::Arm(granule) => granule,
        }
    }

    pub(crate) fn format(self) -> Arc<dyn Format> {
        let stage1 =
            |granule| vmsa::Stage1::new(granule, Half::Low, InputSize::BITS_48, OutputSize::Bits48);
        match self {
            Self::X86 => Arc::new(X86_64::four_level(48)),
            Self::Arm(granule) => Arc::new(stage1(granule)),
        }
    }
}

pub(crate) fn granules() -> impl Strategy<Value = Granule> {
    prop::sample::select(Granule::ALL.to_vec())
}

/// Stage 2 of this granule, of 48 bits.
pub(crate) fn stage2(granule: Granule) -> Arc<dyn Format> {
    let start = StartLevel::from_sl0(granule, 2).unwrap();
    let format = vmsa::Stage2::new(granule, start, InputSize::BITS_48, OutputSize::Bits48);
    Arc::new(format.unwrap())
}

/// Where a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// At the addresses that it says.
    Here,
    /// Behind a stage 2.
    Behind,
}

impl Where {
    pub(crate) fn moved(self) -> u64 {
        match self {
            Self::Here => 0,
            Self::Behind => MOVED,
        }
    }
}

/// What a place may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A page of one address space.
    Page,
    /// A page of all address spaces of a virtual machine.
    Global,
    /// A group of contiguous pages; one page where the format has no groups.
    Group,
    /// A block.
    Block,
    /// A block, or a table with one page.
    Either,
}

/// A place that tests change.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) holds: Holds,
    pub(crate) address: u64,
    /// Of all that it may hold.
    pub(crate) size: PageSize,
    /// The entries, and for a place that holds either the page's below.
    pub(crate) entries: Vec<Gpa>,
    pub(crate) below: Option<Gpa>,
    /// What leads to the table.
    pub(crate) table: u64,
}

impl Slot {
    pub(crate) fn range(&self) -> AddrRange<Iova> {
        AddrRange::page(Iova::new(self.address), self.size)
    }
}

/// What is put into a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) mapped: bool,
    /// Of a place that holds either.
    pub(crate) is_table: bool,
    /// Of the table: nothing below is writable.
    pub(crate) limited: bool,
    pub(crate) output: u8,
    pub(crate) permissions: u8,
    pub(crate) accessed: bool,
    pub(crate) managed: bool,
}

impl Content {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let output = prop_oneof![2 => 0..3_u8, 1 => 0..8_u8];
        let often = |percent: f64| prop::bool::weighted(percent);
        let bits = (
            often(0.85),
            any::<bool>(),
            often(0.2),
            often(0.9),
            any::<bool>(),
        );
        (bits, output, 0..4_u8).prop_map(|(bits, output, permissions)| {
            let (mapped, is_table, limited, accessed, managed) = bits;
            Self {
                mapped,
                is_table,
                limited,
                output,
                permissions,
                accessed,
                managed,
            }
        })
    }
}

/// A tree.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) tables: Tables,
    pub(crate) stage: u8,
    pub(crate) slots: Vec<Slot>,
    outputs: Vec<u64>,
}

/// Memory as seen through a stage 2.
struct Seen<'a>(&'a FlatMemory, u64);

impl TableMemory for Seen<'_> {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        self.0.read_entry(Gpa::new(address.raw() - self.1))
    }
}

impl TableMemoryMut for Seen<'_> {
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.0.write_entry(Gpa::new(address.raw() - self.1), entry)
    }
}

impl Tree {
    /// A tree with nothing mapped, whose places are from `base` on and lead to `outputs`.
    pub(crate) fn new(
        memory: &FlatMemory,
        (format, stage): (Arc<dyn Format>, u8),
        pool: AddrRange<Gpa>,
        place: Where,
        base: u64,
        outputs: Vec<u64>,
    ) -> Self {
        let moved = place.moved();
        let seen = Seen(memory, moved);
        let pool = pool.map(|at: Gpa| Gpa::new(at.raw() + moved));
        let mut builder = Builder::new(&*format, &seen, pool).unwrap();
        let slots = places(&*format, base)
            .into_iter()
            .map(|(holds, address, size)| slot(&mut builder, &*format, &seen, holds, address, size))
            .collect();
        let root = builder.root();
        Self {
            tables: Tables { format, root },
            stage,
            slots,
            outputs,
        }
    }

    /// Where places may lead, before that is aligned to their size.
    pub(crate) fn outputs(&self) -> &[u64] {
        &self.outputs
    }

    /// Puts `content` into a place, and nothing else.
    pub(crate) fn write(&self, memory: &FlatMemory, slot: usize, content: Content) {
        let slot = &self.slots[slot];
        let table = slot.below.filter(|_| content.is_table);
        if let Some(below) = table {
            let page = self.tables.format.span(Level(0));
            let entry = self.entry(slot, content, page, 0);
            memory.write_entry(below, entry).unwrap();
            let linked = if content.mapped {
                self.linked(slot, content)
            } else {
                0
            };
            return memory.write_entry(slot.entries[0], linked).unwrap();
        }
        let size = PageSize::from_shift(slot.size.shift()).unwrap();
        let each = size.bytes() / slot.entries.len() as u64;
        let each = PageSize::from_shift(u8::try_from(each.trailing_zeros()).unwrap()).unwrap();
        for (number, at) in (0..).zip(&slot.entries) {
            let entry = self.entry(slot, content, each, number);
            let entry = if content.mapped { entry } else { 0 };
            memory.write_entry(*at, entry).unwrap();
        }
    }

    /// What leads to the table of a place.
    fn linked(&self, slot: &Slot, content: Content) -> u64 {
        let is_arm = self.tables.format.contiguous_span(Level(0)).is_some();
        match (content.limited && self.stage == 1, is_arm) {
            (false, _) => slot.table,
            (true, true) => slot.table | 1 << 62,
            (true, false) => slot.table & !(1 << 1),
        }
    }

    /// The entry number `number` of those of a place.
    fn entry(&self, slot: &Slot, content: Content, size: PageSize, number: u64) -> u64 {
        let is_arm = self.tables.format.contiguous_span(Level(0)).is_some();
        let all = if slot.below.is_some() {
            size
        } else {
            slot.size
        };
        let choice = self.outputs[usize::from(content.output) % self.outputs.len()];
        let first = choice & !all.offset_mask();
        let permissions = self.permissions(content.permissions);
        let mut hints = LeafHints::empty();
        hints.set(LeafHints::CONTIGUOUS, slot.entries.len() > 1);
        hints.set(LeafHints::DIRTY_MANAGED, is_arm && content.managed);
        let writable = permissions.contains(Permissions::WRITE);
        let leaf = Leaf {
            output: Gpa::new(first + number * size.bytes()),
            size,
            permissions,
            accessed: content.accessed,
            dirty: if is_arm { writable } else { content.managed },
            global: slot.holds == Holds::Global && self.stage == 1,
            memory_type: 0,
            software: 0,
            hints,
        };
        self.tables.format.encode_leaf(&leaf).unwrap()
    }

    fn permissions(&self, choice: u8) -> Permissions {
        let (read, write, user) = (Permissions::READ, Permissions::WRITE, Permissions::USER);
        let of_stage = match self.stage {
            1 => [
                read | user,
                read | write | user,
                read | write,
                read | user | write,
            ],
            _ => [read, read | write, write, Permissions::empty()].map(|it| it | user),
        };
        of_stage[usize::from(choice) % of_stage.len()] | Permissions::EXECUTE
    }

    /// Maps the block at `address` to `output`, for good.
    pub(crate) fn block(
        &self,
        memory: &FlatMemory,
        pool: AddrRange<Gpa>,
        address: u64,
        output: u64,
    ) {
        let format = &*self.tables.format;
        let size = format.span(Level(1));
        let leaf = Leaf {
            output: Gpa::new(output),
            size,
            permissions: Permissions::all(),
            accessed: true,
            dirty: true,
            global: false,
            memory_type: 0,
            software: 0,
            hints: LeafHints::empty(),
        };
        let mut builder = Onto::new(self, memory, pool);
        let at = builder.slot(address);
        memory
            .write_entry(at, format.encode_leaf(&leaf).unwrap())
            .unwrap();
    }
}

/// Adds tables to a tree that stands.
struct Onto<'a> {
    tree: &'a Tree,
    memory: &'a FlatMemory,
    next: u64,
}

impl<'a> Onto<'a> {
    fn new(tree: &'a Tree, memory: &'a FlatMemory, pool: AddrRange<Gpa>) -> Self {
        let next = pool.start().raw();
        Self { tree, memory, next }
    }

    /// Where the block's entry is, with the tables on the way.
    fn slot(&mut self, address: u64) -> Gpa {
        let format = &*self.tree.tables.format;
        let mut table = self.tree.tables.root;
        for level in (1..=format.root().0).rev().map(Level) {
            let number = address >> format.span(level).shift() & (format.entries(level) as u64 - 1);
            let at = Gpa::new(table.raw() + 8 * number);
            if level == Level(1) {
                return at;
            }
            let entry = self.memory.read_entry(at).unwrap();
            table = match format.decode(entry, level).unwrap() {
                notifier::paging::Meaning::Table { next, .. } => next,
                _ => self.link(at),
            };
        }
        table
    }

    fn link(&mut self, at: Gpa) -> Gpa {
        let format = &*self.tree.tables.format;
        let next = Gpa::new(self.next);
        self.next += 8 * format.entries(Level(0)) as u64;
        self.memory
            .write_entry(at, format.encode_table(next))
            .unwrap();
        next
    }
}

/// The places, from `base` on.
fn places(format: &dyn Format, base: u64) -> Vec<(Holds, u64, PageSize)> {
    let (page, block) = (format.span(Level(0)), format.span(Level(1)));
    let group = format.contiguous_span(Level(0)).unwrap_or(page);
    vec![
        (Holds::Page, base, page),
        (Holds::Page, base + page.bytes(), page),
        (Holds::Global, base + 3 * page.bytes(), page),
        (Holds::Group, base + 4 * group.bytes(), group),
        (Holds::Block, base + block.bytes(), block),
        (Holds::Either, base + 2 * block.bytes(), block),
    ]
}

fn slot(
    builder: &mut Builder<'_, Seen<'_>>,
    format: &dyn Format,
    seen: &Seen<'_>,
    holds: Holds,
    address: u64,
    size: PageSize,
) -> Slot {
    let page = format.span(Level(0));
    let here = |at: Gpa| Gpa::new(at.raw() - seen.1);
    let each = if holds == Holds::Group { page } else { size };
    let count = size.bytes() / each.bytes();
    let at = |number| Gva::new(address + number * each.bytes());
    let entries: Vec<_> = (0..count)
        .map(|number| here(builder.slot(at(number), each).unwrap()))
        .collect();
    let below = (holds == Holds::Either).then(|| here(builder.slot(at(0), page).unwrap()));
    let table = seen.0.read_entry(entries[0]).unwrap();
    seen.0.write_entry(entries[0], 0).unwrap();
    Slot {
        holds,
        address,
        size,
        entries,
        below,
        table,
    }
}
