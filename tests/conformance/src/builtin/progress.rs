//! The SMMU of `notifier::secondary`, watched by the oracle.

use std::sync::Arc;

use notifier::addr::{Access, AddrRange, Asid, Gva, Iova, PageSize, Permissions, StreamId};
use notifier::contract::{AddressSpace, Subscription};
use notifier::oracle::{Oracle, ViolationKind};
use notifier::paging::{Change, Leaf};
use notifier::secondary::CacheId;
use notifier::secondary::smmu::{Context, Smmu, Sva};

use super::tables::{PAGE, Table, Tables, leaf};
use crate::subject::{self, Announced, Frame, Refused};

const ASID: Asid = Asid(1);
const STREAM: StreamId = StreamId(1);
const TLB_ENTRIES: usize = 64;

pub(super) struct Progress {
    tables: Tables,
    table: Table,
    space: AddressSpace<()>,
    smmu: Arc<Smmu>,
    oracle: Arc<Oracle>,
    _subscription: Subscription,
}

fn page() -> AddrRange<Gva> {
    AddrRange::page(PAGE, PageSize::K4)
}

impl Progress {
    /// `None` if the tables can't be built, which they can.
    pub(super) fn new() -> Option<Self> {
        let tables = Tables::new(1);
        let table = tables.table(0)?;
        let oracle = Arc::new(Oracle::new());
        let smmu = Smmu::new(TLB_ENTRIES, tables.memory.clone(), oracle.clone());
        let smmu = Arc::new(smmu);
        let context = Context {
            asid: ASID,
            root: table.root,
            format: tables.format.clone(),
        };
        smmu.attach(STREAM, context);
        let space = AddressSpace::observed((), oracle.clone());
        let sva = Arc::new(Sva::new(smmu.clone(), ASID));
        let progress = Self {
            _subscription: space.register_secondary_tlb(sva).ok()?,
            tables,
            table,
            space,
            smmu,
            oracle,
        };
        progress.cache_read_only()?;
        Some(progress)
    }

    fn leaf(&self, permissions: Permissions) -> Leaf {
        Leaf {
            permissions,
            ..leaf(self.frame())
        }
    }

    fn frame(&self) -> Frame {
        self.tables.first_frame()
    }

    fn cache_read_only(&self) -> Option<()> {
        let read_only = self.leaf(Permissions::READ_ONLY);
        self.tables.write(self.table, &read_only).ok()?;
        self.oracle.begin([(page(), read_only)]);
        let read = self.access(Access::Read);
        read.ok()
    }

    fn access(&self, access: Access) -> Result<(), notifier::secondary::Fault> {
        self.smmu.access(STREAM, Iova::shared(PAGE), access, |_| ())
    }
}

impl subject::Progress for Progress {
    fn page(&self) -> Gva {
        PAGE
    }

    fn upgrade(&self, announced: Announced) -> Result<(), Refused> {
        let [old, new] = [Permissions::READ_ONLY, Permissions::READ_WRITE];
        let (old, new) = (self.leaf(old), self.leaf(new));
        let changes = Change::between(page(), Some(old), Some(new));
        let changes: Vec<_> = changes.into_iter().collect();
        let lock = self.space.lock_page_table();
        let changing = self.oracle.changing(&changes);
        self.tables.write(self.table, &new)?;
        let made = self.oracle.made(changing, &changes);
        if announced == Announced::ToSecondaryTlbs {
            lock.invalidate_secondary_tlbs(page());
        }
        self.oracle.settled(made);
        Ok(())
    }

    fn write(&self, tries: u64) -> bool {
        let mut last = None;
        for _ in 0..tries {
            match self.access(Access::Write) {
                Ok(()) => return true,
                Err(fault) => last = Some(fault),
            }
        }
        if let Some(fault) = last {
            let cache = CacheId::SmmuTlb(ASID);
            self.oracle.gave_up(cache, &fault, tries);
        }
        false
    }

    fn stuck(&self) -> Vec<Gva> {
        let violations = self.oracle.findings().violations.into_iter();
        violations
            .filter(|violation| violation.kind == ViolationKind::LostProgress)
            .map(|violation| violation.iova.to_gva())
            .collect()
    }
}
