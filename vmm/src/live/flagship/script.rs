//! What the guest does.

use guest::abi::dma::{self, Descriptor};
use guest::abi::layout::{FLAGS, FRAMES, PAGE, WINDOW};
use guest::abi::smmu;
use notifier::addr::{Gpa, PageSize, Permissions};
use notifier::secondary::smmu::Httu;

use super::theory::Theory;
use crate::driver::SmmuDriver;
use crate::live::{OpIndex, Program, Transfer};
use crate::machine::{Machine, MachineError};
use crate::page_tables::page;

/// The pages, by number in the window.
pub(super) const UPGRADED: u64 = 0;
pub(super) const DOWNGRADED: u64 = 1;
pub(super) const UNMAPPED: u64 = 2;
pub(super) const MAPPED_LATE: u64 = 3;

/// What is written to them, by whom.
pub(super) const GUEST_DATA: [u64; 3] = [0x6775_6573_7430, 0x6775_6573_7431, 0x6775_6573_7432];
pub(super) const DEVICE_DATA: u64 = 0x6465_7631;
const SHADOW_DATA: u64 = 0x6465_7632;
const LATE_DATA: u64 = 0x6465_7633;
/// What the CPU stores into the page that it upgrades.
pub(super) const STORED: u64 = 0x7374_616c_656d_6174;

/// Words in a page.
pub(super) const WORDS: u64 = PAGE / 8;

/// Guest-virtual and I/O-virtual address of a page.
pub(super) fn address(number: u64) -> u64 {
    WINDOW + number * PAGE
}

fn frame(number: u64) -> u64 {
    FRAMES + number * PAGE
}

/// The operations whose results are looked at.
pub(super) struct Script {
    programs: Vec<Program>,
    /// Device reads of the first three pages through the SMMU, then through the shadow MMU.
    pub(super) first_reads: [Vec<Transfer>; 2],
    pub(super) read_unmapped: Transfer,
    pub(super) upgrading_store: OpIndex,
    pub(super) stored: OpIndex,
    pub(super) write_upgraded: Transfer,
    pub(super) sees_device_data: OpIndex,
    pub(super) keeps_stored: OpIndex,
    pub(super) shadow_write: Transfer,
    pub(super) sees_shadow_data: OpIndex,
    pub(super) write_mapped: Transfer,
    pub(super) sees_late_data: Vec<OpIndex>,
    pub(super) store_downgraded: OpIndex,
    pub(super) write_downgraded: Transfer,
    pub(super) keeps_guest_data: OpIndex,
    pub(super) load_unmapped: OpIndex,
    pub(super) read_after_unmap: Transfer,
}

/// Entries as the guest stores them.
struct Entries {
    read_only: [u64; 4],
    read_write: [u64; 4],
    slots: [Gpa; 4],
}

impl Entries {
    fn new(machine: &Machine) -> Result<Self, MachineError> {
        let entry = |number, permissions| {
            let leaf = page(Gpa::new(frame(number)), PageSize::K4, permissions);
            let entry = machine.format().encode_leaf(&leaf);
            entry.map_err(|error| MachineError::Assembly(error.into()))
        };
        let mut entries = Self {
            read_only: [0; 4],
            read_write: [0; 4],
            slots: [Gpa::new(0); 4],
        };
        for number in 0..4 {
            let at = usize::try_from(number).unwrap_or(0);
            entries.read_only[at] = entry(number, Permissions::READ_ONLY)?;
            entries.read_write[at] = entry(number, Permissions::READ_WRITE)?;
            let slot = machine.window_slot(number);
            entries.slots[at] = slot.unwrap_or(Gpa::new(0));
        }
        Ok(entries)
    }
}

/// A program for the first vCPU that is being written.
struct Writer<'a> {
    theory: &'a Theory,
    program: Program,
    transfers: u64,
    entries: Entries,
}

impl Writer<'_> {
    /// The stream that the device behind the SMMU is.
    fn stream(&self) -> u64 {
        match self.theory.driver {
            SmmuDriver::Vmm => dma::STREAM_SMMU,
            SmmuDriver::Guest => dma::STREAM_DRIVEN,
        }
    }

    /// The guest's driver, if it has one, turns the SMMU on.
    fn drive(&mut self, root: Gpa) {
        let marks = match self.theory.knobs.httu {
            Httu::None => 0,
            Httu::Access => smmu::CD_ACCESS,
            Httu::AccessDirty => smmu::CD_ACCESS | smmu::CD_DIRTY,
        };
        if self.theory.driver == SmmuDriver::Guest {
            let flags = smmu::CD_RECORD | marks;
            self.program.smmu_configure(root, smmu::ASID, flags);
        }
    }

    /// It invalidates a page so many times.
    fn invalidate(&mut self, number: u64, times: u64) {
        if self.theory.driver == SmmuDriver::Guest {
            for _ in 0..times {
                self.program.smmu_invalidate(address(number), smmu::ASID);
            }
        }
    }

    /// Something was taken away from a page: the CPU's flush, and the driver's.
    fn flush_revoked(&mut self, number: u64) {
        self.program.invalidate(address(number));
        self.invalidate(number, self.theory.after_revocation());
    }

    fn set(&mut self, number: u64, entry: u64) {
        let slot = self.entries.slots[usize::try_from(number).unwrap_or(0)];
        self.program.set_entry(slot, entry);
    }

    fn read_only(&self, number: u64) -> u64 {
        self.entries.read_only[usize::try_from(number).unwrap_or(0)]
    }

    fn read_write(&self, number: u64) -> u64 {
        self.entries.read_write[usize::try_from(number).unwrap_or(0)]
    }

    fn transfer(&mut self, command: u64, stream: u64, number: u64, seed: u64) -> Transfer {
        let wanted = Descriptor {
            command,
            stream,
            iova: address(number),
            length: PAGE,
            seed,
            ..Descriptor::default()
        };
        self.transfers += 1;
        Transfer::push(&mut self.program, self.transfers - 1, &wanted)
    }

    fn read(&mut self, stream: u64, number: u64) -> Transfer {
        self.transfer(dma::READ, stream, number, 0)
    }

    fn write(&mut self, stream: u64, number: u64, seed: u64) -> Transfer {
        self.transfer(dma::WRITE, stream, number, seed)
    }

    /// Maps three pages, one of them read-only, with data in them. The data of the read-only one
    /// goes there by the frame's own address.
    fn map(&mut self) {
        self.program.report(1);
        self.program.fill(frame(UPGRADED), PAGE, GUEST_DATA[0]);
        self.set(UPGRADED, self.read_only(UPGRADED));
        for (number, seed) in [(DOWNGRADED, GUEST_DATA[1]), (UNMAPPED, GUEST_DATA[2])] {
            self.set(number, self.read_write(number));
            self.program.fill(address(number), PAGE, seed);
        }
    }

    /// The device reads them, so that the SMMU's TLB and the shadow MMU have them.
    fn warm(&mut self, stream: u64) -> Vec<Transfer> {
        let pages = [UPGRADED, DOWNGRADED, UNMAPPED];
        pages.map(|number| self.read(stream, number)).to_vec()
    }

    /// A CPU store to the read-only page, which the fault handler upgrades.
    fn upgrade(&mut self) -> (OpIndex, OpIndex) {
        self.program.report(2);
        let differ = self.read_write(UPGRADED) ^ self.read_only(UPGRADED);
        let slot = self.entries.slots[0];
        self.program.on_write_fault(address(UPGRADED), slot, differ);
        let store = self.program.store(address(UPGRADED), STORED);
        self.invalidate(UPGRADED, self.theory.after_upgrade());
        (store, self.program.load(address(UPGRADED)))
    }

    /// Signals the other vCPUs that the late page has its data, and waits for each.
    fn meet(&mut self, others: u64) {
        self.program.store(FLAGS, 1);
        for other in 1..=others {
            self.program.wait_until(FLAGS + 8 * other, 1);
        }
    }
}

/// Another vCPU's part: it reads what the device wrote.
fn reader(index: u64) -> (Program, OpIndex) {
    let mut program = Program::default();
    program.wait_until(FLAGS, 1);
    let seen = program.check(address(MAPPED_LATE), PAGE, LATE_DATA);
    program.store(FLAGS + 8 * index, 1);
    (program, seen)
}

impl Script {
    /// Writes the programs for a machine with this many vCPUs.
    pub(super) fn write(
        machine: &Machine,
        vcpus: u64,
        theory: &Theory,
    ) -> Result<Self, MachineError> {
        let mut writer = Writer {
            theory,
            program: Program::default(),
            transfers: 0,
            entries: Entries::new(machine)?,
        };
        let stream = writer.stream();
        writer.drive(machine.root());
        writer.map();
        let first_reads = [stream, dma::STREAM_SHADOW].map(|stream| writer.warm(stream));
        let read_unmapped = writer.read(stream, MAPPED_LATE);

        let (upgrading_store, stored) = writer.upgrade();

        writer.program.report(3);
        let write_upgraded = writer.write(stream, UPGRADED, DEVICE_DATA);
        let sees_device_data = writer.program.check(address(UPGRADED), PAGE, DEVICE_DATA);
        let keeps_stored = writer.program.load(address(UPGRADED));
        let shadow_write = writer.write(dma::STREAM_SHADOW, UPGRADED, SHADOW_DATA);
        let sees_shadow_data = writer.program.check(address(UPGRADED), PAGE, SHADOW_DATA);

        writer.program.report(4);
        writer.set(MAPPED_LATE, writer.read_write(MAPPED_LATE));
        let write_mapped = writer.write(stream, MAPPED_LATE, LATE_DATA);
        let own_sight = writer.program.check(address(MAPPED_LATE), PAGE, LATE_DATA);
        writer.meet(vcpus.saturating_sub(1));
        writer.set(DOWNGRADED, writer.read_only(DOWNGRADED));
        writer.flush_revoked(DOWNGRADED);
        let store_downgraded = writer.program.store(address(DOWNGRADED), STORED);
        let write_downgraded = writer.write(stream, DOWNGRADED, DEVICE_DATA);
        let keeps_guest_data = writer
            .program
            .check(address(DOWNGRADED), PAGE, GUEST_DATA[1]);

        writer.program.report(5);
        writer.set(UNMAPPED, 0);
        writer.flush_revoked(UNMAPPED);
        let load_unmapped = writer.program.load(address(UNMAPPED));
        let read_after_unmap = writer.read(stream, UNMAPPED);

        let (readers, sights): (Vec<_>, Vec<_>) = (1..vcpus).map(reader).unzip();
        Ok(Self {
            programs: [writer.program].into_iter().chain(readers).collect(),
            first_reads,
            read_unmapped,
            upgrading_store,
            stored,
            write_upgraded,
            sees_device_data,
            keeps_stored,
            shadow_write,
            sees_shadow_data,
            write_mapped,
            sees_late_data: [own_sight].into_iter().chain(sights).collect(),
            store_downgraded,
            write_downgraded,
            keeps_guest_data,
            load_unmapped,
            read_after_unmap,
        })
    }

    /// One program a vCPU.
    pub(super) fn programs(&self) -> &[Program] {
        &self.programs
    }
}
