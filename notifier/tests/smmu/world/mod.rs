//! Address spaces, virtual machines and streams, with their tables in memory, and an SMMU in front.

mod repair;
mod tree;

use std::sync::Arc;

use notifier::addr::{Access, AddrRange, Asid, Gpa, Iova, StreamId, Vmid};
use notifier::paging::vmsa::Granule;
use notifier::paging::{FlatMemory, Level};
use notifier::secondary::FaultKind;
use notifier::secondary::smmu::{
    Binding, Caching, Command, Context, Contiguous, Deny, Features, Httu, Knobs, SecondStage, Smmu,
    Tlbi,
};
use proptest::prelude::*;

use crate::naive::{Naive, Stages, Tables};

pub(crate) use repair::{Change, repair};
pub(crate) use tree::{Content, Holds, Kind, Slot, Tree, Where, granules, stage2};

const MEMORY: u64 = 0x40_0000;
/// Room for one tree.
const POOL: u64 = 0x6_0000;
/// Room for what trees of stage 2 need besides.
const EXTRA: u64 = 0x2_0000;
/// Where the places of stage 1 and of stage 2 begin.
const FIRST_BASE: u64 = 1 << 38;
const SECOND_BASE: u64 = 1 << 36;
/// Multiples of every block.
const FRAMES: [u64; 4] = [1 << 34, 2 << 34, 3 << 34, 5 << 34];

/// Places of each tree.
pub(crate) const PLACES: usize = 6;

/// Of each address space its ASID and its virtual machine; 0 is none.
pub(crate) const SPACES: [(Asid, Vmid); 5] = [
    (Asid(1), Vmid(0)),
    (Asid(2), Vmid(0)),
    (Asid(1), Vmid(1)),
    (Asid(2), Vmid(1)),
    (Asid(1), Vmid(2)),
];

/// What each stream is bound to: an address space, or a virtual machine's stage 2 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    Space(usize),
    Machine(usize),
}

pub(crate) const STREAMS: [Bound; 7] = [
    Bound::Space(0),
    Bound::Space(1),
    Bound::Space(0),
    Bound::Machine(0),
    Bound::Space(2),
    Bound::Space(3),
    Bound::Space(4),
];

/// What a world is made of.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) first: Kind,
    pub(crate) second: Granule,
    pub(crate) knobs: Knobs,
    pub(crate) entries: usize,
    /// Numbers of the places that this is about: with few, what is done to one is seen.
    pub(crate) places: Vec<usize>,
    /// What is in the places at first.
    contents: Vec<Content>,
}

impl Setup {
    /// With any knobs but those that are errata.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let entries = prop::sample::select(vec![4, 16, 256]);
        // A page or a group, and something larger.
        let places = (0..PLACES, 4..PLACES).prop_map(|(any, large)| vec![any, large]);
        let content = Content::any().prop_map(|content| Content {
            mapped: true,
            ..content
        });
        let contents = prop::collection::vec(content, PLACES);
        let parts = (Kind::any(), granules(), knobs(), entries, places, contents);
        parts.prop_map(|(first, second, knobs, entries, places, contents)| Self {
            first,
            second,
            knobs,
            entries,
            places,
            contents,
        })
    }

    /// The place that a number means.
    pub(crate) fn place(&self, number: usize) -> usize {
        self.places[number % self.places.len()]
    }
}

fn knobs() -> impl Strategy<Value = Knobs> {
    let walks = prop::sample::select(Caching::ALL);
    let chosen = (
        prop::sample::select(Deny::ALL),
        prop::sample::select(Httu::ALL),
        prop::sample::select(Tlbi::ALL),
        prop::sample::select(Contiguous::ALL),
        walks,
    );
    chosen.prop_map(|(deny, httu, tlbi, contiguous, walk_cache)| Knobs {
        deny,
        httu,
        tlbi,
        contiguous,
        walk_cache,
        ..Knobs::default()
    })
}

/// All of it.
pub(crate) struct World {
    pub(crate) memory: Arc<FlatMemory>,
    pub(crate) smmu: Smmu,
    /// In the order of [`SPACES`].
    pub(crate) spaces: Vec<Tree>,
    /// Of the virtual machines 1 and 2.
    pub(crate) machines: Vec<Tree>,
    pub(crate) granule: notifier::secondary::smmu::Granule,
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let memory = Arc::new(FlatMemory::new(usize::try_from(MEMORY).unwrap()));
        let machines: Vec<_> = (0..2).map(|n| machine(&memory, setup, n)).collect();
        let spaces: Vec<_> = (0..SPACES.len())
            .map(|n| space(&memory, setup, &machines[0], n))
            .collect();
        let granule = granule(setup.first.granule());
        let features = Features {
            granule,
            range_invalidation: true,
            tlbi_twice: false,
        };
        let smmu = Smmu::new(setup.entries, memory.clone(), Arc::new(()))
            .with_knobs(setup.knobs)
            .with_features(features);
        let world = Self {
            memory,
            smmu,
            spaces,
            machines,
            granule,
        };
        world.fill(setup);
        world.bind();
        world
    }

    fn fill(&self, setup: &Setup) {
        for tree in self.spaces.iter().chain(&self.machines) {
            for (slot, content) in setup.contents.iter().enumerate() {
                tree.write(&self.memory, slot, *content);
            }
        }
    }

    fn bind(&self) {
        for (number, bound) in (0..).zip(STREAMS) {
            self.smmu.attach(StreamId(number), self.binding(bound));
        }
    }

    fn binding(&self, bound: Bound) -> Binding {
        let second = |machine: usize| SecondStage {
            vmid: Vmid(u16::try_from(machine + 1).unwrap()),
            root: self.machines[machine].tables.root,
            format: self.machines[machine].tables.format.clone(),
        };
        match bound {
            Bound::Machine(machine) => Binding::Stage2(second(machine)),
            Bound::Space(space) => {
                let (asid, vmid) = SPACES[space];
                let Tables { format, root } = self.spaces[space].tables.clone();
                let context = Context { asid, root, format };
                match usize::from(vmid.0).checked_sub(1) {
                    None => Binding::Stage1(context),
                    Some(machine) => Binding::Nested(context, second(machine)),
                }
            }
        }
    }

    /// By what a stream is translated.
    pub(crate) fn stages(&self, bound: Bound) -> Stages {
        let second = |machine: usize| self.machines[machine].tables.clone();
        match bound {
            Bound::Machine(machine) => Stages {
                first: None,
                second: Some(second(machine)),
            },
            Bound::Space(space) => Stages {
                first: Some(self.spaces[space].tables.clone()),
                second: usize::from(SPACES[space].1.0).checked_sub(1).map(second),
            },
        }
    }

    /// The places that a stream can reach.
    pub(crate) fn slots(&self, bound: Bound) -> &[Slot] {
        match bound {
            Bound::Space(space) => &self.spaces[space].slots,
            Bound::Machine(machine) => &self.machines[machine].slots,
        }
    }

    /// What an access gets from who remembers nothing.
    pub(crate) fn naive(
        &self,
        bound: Bound,
        address: u64,
        access: Access,
    ) -> Result<Gpa, FaultKind> {
        let walker = Naive {
            memory: &*self.memory,
            httu: self.smmu.knobs().httu,
            instead: None,
        };
        walker.access(&self.stages(bound), address, access)
    }

    /// What it gets from the SMMU.
    pub(crate) fn access(
        &self,
        stream: usize,
        address: u64,
        access: Access,
    ) -> Result<Gpa, FaultKind> {
        let from = StreamId(u32::try_from(stream).unwrap());
        let made = self.smmu.access(from, Iova::new(address), access, |at| at);
        made.map_err(|fault| fault.kind)
    }

    /// Puts `content` into a place of an address space; of one that all address spaces of a virtual
    /// machine share, into each of them. Returns what there is to invalidate.
    pub(crate) fn set_first(&self, space: usize, slot: usize, content: Content) -> Change {
        let (asid, vmid) = SPACES[space];
        let place = &self.spaces[space].slots[slot];
        let shared = place.holds == Holds::Global;
        for (other, tree) in SPACES.iter().zip(&self.spaces) {
            if other.1 == vmid && (shared || other.0 == asid) {
                tree.write(&self.memory, slot, content);
            }
        }
        Change::Space {
            asid,
            vmid,
            place: place.clone(),
        }
    }

    /// Puts `content` into a place of a stage 2.
    pub(crate) fn set_second(&self, machine: usize, slot: usize, content: Content) -> Change {
        let tree = &self.machines[machine];
        tree.write(&self.memory, slot, content);
        Change::Machine {
            vmid: Vmid(u16::try_from(machine + 1).unwrap()),
            place: tree.slots[slot].clone(),
        }
    }

    /// Submits these, each lot completed before the next.
    pub(crate) fn complete(&self, lots: &[Vec<Command>]) {
        for lot in lots {
            for command in lot {
                self.smmu.submit(*command);
            }
            self.smmu.sync().unwrap();
        }
    }
}

/// The granule, as the SMMU's features name it.
fn granule(granule: Granule) -> notifier::secondary::smmu::Granule {
    use notifier::secondary::smmu::Granule as Named;
    match granule {
        Granule::K4 => Named::K4,
        Granule::K16 => Named::K16,
        Granule::K64 => Named::K64,
    }
}

fn pool(number: usize) -> AddrRange<Gpa> {
    let start = POOL * u64::try_from(number).unwrap();
    AddrRange::from_length(Gpa::new(start), POOL).unwrap()
}

fn machine(memory: &FlatMemory, setup: &Setup, number: usize) -> Tree {
    let format = tree::stage2(setup.second);
    let place = pool(SPACES.len() + number);
    let outputs = FRAMES.to_vec();
    let tree = Tree::new(
        memory,
        (format, 2),
        place,
        Where::Here,
        SECOND_BASE,
        outputs,
    );
    let extra = MEMORY - EXTRA * u64::try_from(number + 1).unwrap();
    let extra = AddrRange::from_length(Gpa::new(extra), EXTRA).unwrap();
    let block = tree.tables.format.span(Level(1)).bytes();
    // The first block brings the tables that those after it are in too.
    for output in (0..MEMORY).step_by(usize::try_from(block).unwrap()) {
        tree.block(memory, extra, Where::Behind.moved() + output, output);
    }
    tree
}

fn space(memory: &FlatMemory, setup: &Setup, machine: &Tree, number: usize) -> Tree {
    let format = setup.first.format();
    let second: Vec<_> = machine.slots.iter().map(|slot| slot.address).collect();
    let outputs = [second, FRAMES[..2].to_vec()].concat();
    let place = match SPACES[number].1 {
        Vmid(0) => Where::Here,
        _ => Where::Behind,
    };
    Tree::new(
        memory,
        (format, 1),
        pool(number),
        place,
        FIRST_BASE,
        outputs,
    )
}
