//! The whole SMMU, as a device and a driver see it.

mod front;
mod in_flight;
mod knobs;
mod marks;
mod programming;
mod races;
mod regressions;
mod stage2_tlb;
mod stages;

use std::sync::Arc;

use super::spec::{Cd, Config, Ste, StreamTable};
use super::*;
use crate::addr::{
    Access, AddrRange, Asid, Gpa, Gva, Iova, Ipa, PageSize, Permissions, StreamId, Vmid,
};
use crate::paging::vmsa::{self, Half, InputSize, OutputSize, StartLevel};
use crate::paging::{Builder, FlatMemory, Format, Leaf, LeafHints, TableMemory, TableMemoryMut};
use crate::secondary::FaultKind;

const STREAM: StreamId = StreamId(3);
const ASID: Asid = Asid(7);
const VMID: Vmid = Vmid(2);

/// Where things are in the bench's memory.
const STAGE1: u64 = 0x1_0000;
const STAGE2: u64 = 0x8_0000;
const STREAM_TABLE: u64 = 0x1000;
const CONTEXTS: u64 = 0x3000;
const MEMORY: usize = 0x10_0000;

/// The page that tests map: the first of a contiguous group in every granule.
const PAGE: u64 = 0x20_0000;
/// What stage 1 makes of it, and what stage 2 makes of that.
const MIDDLE: u64 = 0x40_0000;
const FRAME: u64 = 0x80_0000;

const RO: Permissions = Permissions::READ_ONLY;
const RW: Permissions = Permissions::READ_WRITE;

fn stage1() -> vmsa::Stage1 {
    vmsa::Stage1::new(
        vmsa::Granule::K4,
        Half::Low,
        InputSize::BITS_48,
        OutputSize::Bits48,
    )
}

fn stage2() -> vmsa::Stage2 {
    let start = StartLevel::from_sl0(vmsa::Granule::K4, 2).unwrap();
    vmsa::Stage2::new(
        vmsa::Granule::K4,
        start,
        InputSize::BITS_48,
        OutputSize::Bits48,
    )
    .unwrap()
}

fn leaf(output: u64, permissions: Permissions) -> Leaf {
    Leaf::page(Gpa::new(output), PageSize::K4, permissions)
}

/// A page of stage 2, which says nothing of who asks.
fn under(output: u64, permissions: Permissions) -> Leaf {
    leaf(output, permissions | Permissions::EXECUTE)
}

/// Tables in memory, for one page of each stage, and an SMMU that walks them.
struct Bench {
    memory: Arc<FlatMemory>,
    smmu: Smmu,
    /// Where the page's entry is, of each stage.
    slots: [Gpa; 2],
    roots: [Gpa; 2],
}

impl Bench {
    /// `PAGE` leads to `MIDDLE` as `first` says, and that to `FRAME` as `second` says. Memory that
    /// stage 1's own tables are in is mapped one to one.
    fn new(first: Permissions, second: Permissions) -> Self {
        Self::of(
            &leaf(MIDDLE, first),
            &under(FRAME, second),
            Knobs::default(),
        )
    }

    fn of(first: &Leaf, second: &Leaf, knobs: Knobs) -> Self {
        let memory = Arc::new(FlatMemory::new(MEMORY));
        let (format1, format2) = (stage1(), stage2());
        let pool = |start| AddrRange::new(Gpa::new(start), Gpa::new(start + 0x4_0000)).unwrap();
        let mut one = Builder::new(&format1, &*memory, pool(STAGE1)).unwrap();
        one.map(Gva::new(PAGE), first).unwrap();
        let mut two = Builder::new(&format2, &*memory, pool(STAGE2)).unwrap();
        two.map(Gva::new(MIDDLE), second).unwrap();
        for page in (CONTEXTS..STAGE1 + 0x4_0000).step_by(0x1000) {
            two.map(Gva::new(page), &under(page, RW)).unwrap();
        }
        let slots = [
            one.slot(Gva::new(PAGE), PageSize::K4).unwrap(),
            two.slot(Gva::new(MIDDLE), PageSize::K4).unwrap(),
        ];
        let roots = [one.root(), two.root()];
        let smmu = Smmu::new(64, memory.clone(), Arc::new(())).with_knobs(knobs);
        Self {
            memory,
            smmu,
            slots,
            roots,
        }
    }

    fn context(&self) -> Context {
        Context {
            asid: ASID,
            root: self.roots[0],
            format: Arc::new(stage1()),
        }
    }

    fn second(&self) -> SecondStage {
        SecondStage {
            vmid: VMID,
            root: self.roots[1],
            format: Arc::new(stage2()),
        }
    }

    fn bind_nested(&self) {
        let binding = Binding::Nested(self.context(), self.second());
        self.smmu.attach(STREAM, binding);
    }

    fn set_first(&self, leaf: &Leaf) {
        let entry = stage1().encode_leaf(leaf).unwrap();
        self.memory.write_entry(self.slots[0], entry).unwrap();
    }

    fn set_second(&self, leaf: &Leaf) {
        let entry = stage2().encode_leaf(leaf).unwrap();
        self.memory.write_entry(self.slots[1], entry).unwrap();
    }

    fn entry(&self, stage: usize) -> u64 {
        self.memory.read_entry(self.slots[stage]).unwrap()
    }

    fn access(&self, access: Access) -> Result<Gpa, FaultKind> {
        self.at(PAGE + 8, access)
    }

    fn at(&self, iova: u64, access: Access) -> Result<Gpa, FaultKind> {
        let made = self.smmu.access(STREAM, Iova::new(iova), access, |at| at);
        made.map_err(|fault| fault.kind)
    }

    fn now(&self, command: Command) {
        self.smmu.submit(command);
        self.smmu.sync().unwrap();
    }

    fn tlbi_page(&self) {
        self.now(Command::TlbiVa(TlbiVa {
            vmid: Vmid(0),
            asid: ASID,
            span: TlbiSpan::page(Iova::new(PAGE), Levels::Leaf),
        }));
    }
}
