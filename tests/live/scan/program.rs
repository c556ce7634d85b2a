//! Programs by chance that every tracker can follow: no table has two places, and none is outside
//! the pool.

use guest::abi::dma::{self, Descriptor};
use guest::abi::layout::{FRAMES, PAGE};
use guest::abi::op::Op;
use guest::abi::pattern;
use notifier::addr::{Gpa, PageSize, Permissions};
use notifier::paging::x86_64::Entry;
use tests::{op, page, transfer};
use vmm::machine::Machine;

/// Transfers of one program.
pub(crate) const TRANSFERS: u64 = 8;
/// Writes to entries before each, and behind the last.
const WRITES: u64 = 34;
/// Tables beside the window's.
const SPARES: usize = 4;
/// Places for tables, from the window's own on; fewer than tables.
const PLACES: usize = 4;
/// Entries of each table that are used.
const PAGES: u64 = 8;
/// Frames that they lead to.
const FRAMES_USED: u64 = 16;
/// Memory that nobody else uses, for large pages.
const LARGE: u64 = 0x80_0000;

/// Address of page `number` of the pool from those on that no machine builds tables in.
pub(crate) fn spare(machine: &Machine, number: u64) -> u64 {
    let pool = machine.ram().layout().page_tables();
    pool.start().raw() + (32 + number) * PAGE
}

/// Writes one program.
pub(crate) struct Writer<'a> {
    machine: &'a Machine,
    seed: u64,
    drawn: u64,
    /// Addresses of the tables, the window's first.
    tables: Vec<u64>,
    /// Which of them is at each place.
    places: [Option<usize>; PLACES],
    ops: Vec<Op>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(machine: &'a Machine, seed: u64) -> Self {
        let spares = (0..SPARES as u64).map(|number| spare(machine, number));
        let window = page::slot(machine, 0) & !(PAGE - 1);
        Self {
            machine,
            seed,
            drawn: 0,
            tables: [window].into_iter().chain(spares).collect(),
            places: [Some(0), None, None, None],
            ops: Vec::new(),
        }
    }

    pub(crate) fn program(mut self) -> Vec<Op> {
        for number in 0..TRANSFERS {
            self.writes();
            self.transfer(number);
        }
        self.writes();
        self.ops
    }

    /// A number below `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.drawn += 1;
        pattern::word(self.seed, self.drawn) % below
    }

    fn index(&mut self, below: usize) -> usize {
        usize::try_from(self.draw(below as u64)).expect("it is small")
    }

    fn writes(&mut self) {
        for _ in 0..WRITES {
            match self.draw(10) {
                0 => self.unlink(),
                1 => self.link(),
                2 => self.narrow(),
                3 => self.large(),
                4 | 5 => self.part(),
                _ => self.page(),
            }
        }
    }

    fn set(&mut self, slot: u64, entry: u64, width: u64) {
        self.ops.push(op::set_entry(slot, entry, width));
    }

    /// An entry of any table, linked or not.
    fn slot(&mut self) -> u64 {
        let table = self.index(1 + SPARES);
        self.tables[table] + 8 * self.draw(PAGES)
    }

    fn entry(&mut self) -> u64 {
        let frame = FRAMES + PAGE * self.draw(FRAMES_USED);
        let allowed = [Permissions::READ_ONLY, Permissions::READ_WRITE];
        let allowed = allowed[self.index(2)];
        page::encode(self.machine, &page::leaf(frame, PageSize::K4, allowed))
    }

    fn page(&mut self) {
        let (slot, entry) = (self.slot(), self.entry());
        let entry = [entry, entry, entry, 0][self.index(4)];
        self.set(slot, entry, 8);
    }

    /// The low bytes of an entry only, in one store or in several.
    fn part(&mut self) {
        let (slot, entry) = (self.slot(), self.entry());
        let width = 1 + self.draw(7);
        self.set(slot, entry, width);
    }

    fn place(&self, place: usize) -> u64 {
        page::slot_at(self.machine, page::address(0), 1) + 8 * place as u64
    }

    fn unlink(&mut self) {
        let place = self.index(PLACES);
        self.places[place] = None;
        self.set(self.place(place), 0, 8);
    }

    /// Puts a table that is at no place somewhere, in the place of whatever is there.
    fn link(&mut self) {
        let place = self.index(PLACES);
        let table = self.index(1 + SPARES);
        if !self.places.contains(&Some(table)) {
            self.places[place] = Some(table);
            self.set(self.place(place), self.leading(table), 8);
        }
    }

    fn leading(&self, table: usize) -> u64 {
        let table = Gpa::new(self.tables[table]);
        self.machine.format().encode_table(table)
    }

    /// Takes the right to write from a table's place, or gives it back.
    fn narrow(&mut self) {
        let place = self.index(PLACES);
        let bits = [0, Entry::WRITE.raw()][self.index(2)];
        if let Some(table) = self.places[place] {
            self.set(self.place(place), self.leading(table) & !bits, 8);
        }
    }

    fn large(&mut self) {
        let place = self.index(PLACES);
        let large = page::leaf(LARGE, PageSize::M2, Permissions::READ_WRITE);
        self.places[place] = None;
        self.set(self.place(place), page::encode(self.machine, &large), 8);
    }

    /// A device behind either MMU uses one of the pages, and is waited for.
    fn transfer(&mut self, number: u64) {
        let place = self.draw(PLACES as u64);
        let iova = page::address(place * 512 + self.draw(PAGES));
        let wanted = Descriptor {
            command: [dma::READ, dma::WRITE][self.index(2)],
            stream: self.draw(2),
            ..transfer::write(iova, 64, number)
        };
        self.ops.extend(transfer::whole(number, wanted));
    }
}
