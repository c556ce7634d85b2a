//! One invalidation is missing in a program that is right otherwise: where that is seen, the oracle
//! names it, and where it is not, or nothing is missing, it says nothing.

use std::cell::Cell;
use std::sync::Arc;

use notifier::addr::{Access, AddrRange, Asid, Gpa, Gva, Iova, PageSize, Permissions, StreamId};
use notifier::contract::AddressSpace;
use notifier::oracle::{Oracle, ViolationKind};
use notifier::paging::vmsa::Granule;
use notifier::paging::{Builder, FlatMemory, Leaf, LeafHints, TableMemoryMut, Tree};
use notifier::secondary::FaultKind;
use notifier::secondary::smmu::{Caching, Context, Httu, Knobs, Smmu, Sva};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::cases::cases;
use crate::naive::{Naive, Stages, Tables};
use crate::world::Kind;

const PAGES: usize = 4;
const STREAM: StreamId = StreamId(0);

/// What software and devices do.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A page is mapped to a frame with these permissions, or unmapped; mapped to another frame it is
    /// unmapped before.
    Change(usize, Option<(u64, Permissions)>),
    /// A device's access.
    Access(usize, Access),
}

fn op() -> impl Strategy<Value = Op> {
    let permissions = [Permissions::READ_ONLY, Permissions::READ_WRITE];
    let leaf = (0..2_u64, prop::sample::select(permissions.to_vec()));
    let change = (0..PAGES, prop::option::weighted(0.8, leaf));
    let access = (
        0..PAGES,
        prop::sample::select(vec![Access::Read, Access::Write]),
    );
    prop_oneof![
        1 => change.prop_map(|(page, leaf)| Op::Change(page, leaf)),
        2 => access.prop_map(|(page, access)| Op::Access(page, access)),
    ]
}

/// An address space that an SMMU shares, and who watches.
struct Shared {
    memory: Arc<FlatMemory>,
    space: Arc<AddressSpace<Tree>>,
    smmu: Arc<Smmu>,
    oracle: Arc<Oracle>,
    stages: Stages,
    slots: Vec<Gpa>,
    mapped: Vec<Option<(u64, Permissions)>>,
    /// Invalidations so far that changes are owed.
    owed: usize,
}

fn page(number: usize) -> Gva {
    Gva::new(0x4000_0000 + ((number as u64) << 12))
}

fn range(number: usize) -> AddrRange<Gva> {
    AddrRange::page(page(number), PageSize::K4)
}

fn leaf((frame, permissions): (u64, Permissions)) -> Leaf {
    Leaf {
        output: Gpa::new(0x10_0000 + (frame << 12)),
        size: PageSize::K4,
        permissions,
        accessed: true,
        dirty: permissions.contains(Permissions::WRITE),
        global: false,
        memory_type: 0,
        software: 0,
        hints: LeafHints::empty(),
    }
}

impl Shared {
    fn new(kind: Kind, knobs: Knobs) -> Self {
        let memory = Arc::new(FlatMemory::new(0x1_0000));
        let format = kind.format();
        let pool = AddrRange::new(Gpa::new(0x1000), Gpa::new(0x8000)).unwrap();
        let mut builder = Builder::new(&*format, &*memory, pool).unwrap();
        let slot = |number| builder.slot(page(number), PageSize::K4).unwrap();
        let slots = (0..PAGES).map(slot).collect();
        let root = builder.root();
        let oracle = Arc::new(Oracle::new());
        let tree = Tree::read(format.clone(), &*memory, root, pool).unwrap();
        oracle.begin(tree.pages());
        let space = Arc::new(AddressSpace::observed(tree, oracle.clone()));
        let smmu = Smmu::new(64, memory.clone(), oracle.clone()).with_knobs(knobs);
        let smmu = Arc::new(smmu);
        let asid = Asid(1);
        let tables = Tables {
            format: format.clone(),
            root,
        };
        smmu.attach(STREAM, Context { asid, root, format });
        Self {
            memory,
            space,
            smmu,
            oracle,
            stages: Stages {
                first: Some(tables),
                second: None,
            },
            slots,
            mapped: vec![None; PAGES],
            owed: 0,
        }
    }

    /// Makes a change; the invalidation number `skip` of all is left out.
    fn change(&mut self, number: usize, new: Option<(u64, Permissions)>, skip: Option<usize>) {
        let frame = |mapped: Option<(u64, Permissions)>| mapped.map(|(frame, _)| frame);
        let old = self.mapped[number];
        if frame(old).is_some() && frame(new).is_some() && frame(old) != frame(new) {
            self.change(number, None, skip);
        }
        let old = self.mapped[number];
        self.mapped[number] = new;
        let entry = new.map_or(0, |new| {
            let format = &self.stages.first.as_ref().unwrap().format;
            format.encode_leaf(&leaf(new)).unwrap()
        });
        let mut tree = self.space.lock_page_table();
        let changes = tree
            .preview(&*self.memory, self.slots[number], entry)
            .unwrap();
        let changing = self.oracle.changing(&changes);
        self.memory.write_entry(self.slots[number], entry).unwrap();
        tree.apply(&*self.memory, self.slots[number], entry)
            .unwrap();
        let made = self.oracle.made(changing, &changes);
        // What faults is never cached, so nothing is owed for it (I_WZCBG).
        if old.is_some() && old != new {
            if skip != Some(self.owed) {
                tree.invalidate_secondary_tlbs(range(number));
            }
            self.owed += 1;
        }
        drop(tree);
        self.oracle.settled(made);
    }

    /// What rule an access breaks.
    fn access(&self, number: usize, access: Access) -> Option<ViolationKind> {
        let walker = Naive {
            memory: &*self.memory,
            httu: Httu::None,
            instead: None,
        };
        let right = |access| walker.access(&self.stages, page(number).raw(), access);
        let there = right(Access::Read);
        let iova = Iova::shared(page(number));
        let got = self.smmu.access(STREAM, iova, access, |at| at);
        match (got.map_err(|fault| fault.kind), right(access)) {
            (Ok(got), Ok(right)) if got == right => None,
            (Ok(got), Err(FaultKind::Permission)) if there == Ok(got) => {
                Some(ViolationKind::StaleWritable)
            }
            (Ok(_), _) => Some(ViolationKind::UseAfterUnmap),
            (Err(_), Ok(_)) => Some(ViolationKind::StaleReadOnly),
            (Err(_), Err(_)) => None,
        }
    }
}

fn run(
    (kind, walk_cache): (Kind, Caching),
    ops: &[Op],
    skip: Option<usize>,
    seen: &Cell<u64>,
) -> Result<(), TestCaseError> {
    let knobs = Knobs {
        walk_cache,
        ..Knobs::default()
    };
    let mut shared = Shared::new(kind, knobs);
    let sva = Arc::new(Sva::new(shared.smmu.clone(), Asid(1)));
    let _subscribed = shared.space.register_secondary_tlb(sva).unwrap();
    let mut broken = Vec::new();
    for op in ops {
        match *op {
            Op::Change(number, new) => shared.change(number, new, skip),
            Op::Access(number, access) => {
                let kind = shared.access(number, access);
                broken.extend(kind.map(|kind| (kind, number)));
            }
        }
    }
    prop_assert!(skip.is_some() || broken.is_empty(), "{broken:?}");
    seen.set(seen.get() + u64::from(!broken.is_empty()));
    let findings = shared.oracle.findings();
    let names = |kind, number| {
        let mut all = findings.violations.iter();
        all.any(|it| it.kind == kind && range(number).contains(it.iova.to_gva()))
    };
    for (kind, number) in &broken {
        prop_assert!(
            names(*kind, *number),
            "{kind} of page {number} is not named"
        );
    }
    for found in &findings.violations {
        let is_one = |(kind, number): &(_, usize)| {
            *kind == found.kind && range(*number).contains(found.iova.to_gva())
        };
        prop_assert!(broken.iter().any(is_one), "{found:?}");
        prop_assert!(
            found.chain.change.is_some(),
            "without the change: {found:?}"
        );
    }
    prop_assert!(findings.untracked.is_empty());
    Ok(())
}

fn setup() -> impl Strategy<Value = (Kind, Caching)> {
    let kind = prop_oneof![Just(Kind::X86), Just(Kind::Arm(Granule::K4))];
    (kind, prop::sample::select(Caching::ALL))
}

#[test]
fn the_oracle_names_what_a_missing_invalidation_breaks_and_nothing_else() {
    let seen = Cell::new(0);
    let ops = prop::collection::vec(op(), 1..60);
    let mut runner = TestRunner::new(cases(400));
    let missing = runner.run(&(setup(), ops, 0..8_usize), |(setup, ops, skip)| {
        run(setup, &ops, Some(skip), &seen)
    });
    missing.unwrap_or_else(|error| panic!("{error}"));
    assert!(seen.get() > 50, "{} were seen", seen.get());
}

#[test]
fn the_oracle_says_nothing_of_a_program_that_is_right() {
    let seen = Cell::new(0);
    let ops = prop::collection::vec(op(), 1..60);
    let mut runner = TestRunner::new(cases(100));
    let right = runner.run(&(setup(), ops), |(setup, ops)| {
        run(setup, &ops, None, &seen)
    });
    right.unwrap_or_else(|error| panic!("{error}"));
}
