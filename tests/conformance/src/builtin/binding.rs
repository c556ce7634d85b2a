//! The SMMU of `notifier::secondary` with its driver, bound to an address space of one page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use notifier::addr::{AddrRange, Asid, PageSize, StreamId};
use notifier::contract::{AddressSpace, Subscription};
use notifier::secondary::smmu::{Asids, Domain, Master, Smmu};

use super::tables::{PAGE, Table, Tables, access};
use crate::subject::{Binding, Denied, DeviceId, Frame, Refused, Told};

const TLB_ENTRIES: usize = 64;

pub(super) struct Bench {
    tables: Tables,
    table: Table,
    space: Arc<AddressSpace<()>>,
    smmu: Arc<Smmu>,
    domain: Domain,
    bound: Mutex<BTreeMap<DeviceId, Master>>,
    _subscription: Subscription,
}

impl Bench {
    /// `None` if the tables can't be built, which they can.
    pub(super) fn new() -> Option<Self> {
        let tables = Tables::new(1);
        let table = tables.table(0)?;
        let asids = Arc::new(Asids::new(Asid(9)));
        let domain = Domain::new(asids, table.root, tables.format.clone()).ok()?;
        let space = Arc::new(AddressSpace::new(()));
        let subscriber = Arc::new(domain.subscriber());
        Some(Self {
            smmu: Arc::new(Smmu::new(TLB_ENTRIES, tables.memory.clone(), Arc::new(()))),
            _subscription: space.register_secondary_tlb(subscriber).ok()?,
            tables,
            table,
            space,
            domain,
            bound: Mutex::default(),
        })
    }

    fn bound(&self) -> std::sync::MutexGuard<'_, BTreeMap<DeviceId, Master>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stream(device: DeviceId) -> StreamId {
    match device {
        DeviceId::One => StreamId(1),
        DeviceId::Two => StreamId(2),
    }
}

impl Binding for Bench {
    fn attach(&self, device: DeviceId, between: &mut dyn FnMut()) -> Result<(), Refused> {
        let master = Master {
            smmu: Arc::clone(&self.smmu),
            stream: stream(device),
            ats: false,
        };
        between();
        let listed = self.domain.list(master.clone());
        between();
        // It was bound to no other domain, so there is none to leave.
        let _installed = listed.install();
        between();
        self.bound().insert(device, master);
        Ok(())
    }

    fn detach(&self, device: DeviceId) -> Result<(), Refused> {
        let master = self.bound().remove(&device);
        let master = master.ok_or_else(|| Refused::Invalid("it is not bound".into()))?;
        self.domain.detach(&master);
        Ok(())
    }

    fn remap(&self, told: Told) -> Result<Frame, Refused> {
        let lock = self.space.lock_page_table();
        let frame = self.tables.remap(self.table)?;
        lock.invalidate_secondary_tlbs(match told {
            Told::Page => AddrRange::page(PAGE, PageSize::K4),
            Told::Block => AddrRange::page(PAGE, PageSize::M2),
            Told::Everything => AddrRange::all(),
        });
        Ok(frame)
    }

    fn access(&self, device: DeviceId) -> Result<Frame, Denied> {
        access(&self.smmu, stream(device))
    }

    fn release(&self) {
        self.domain.subscriber().release();
    }

    fn exit(&self) -> Result<(), Refused> {
        self.space.exit();
        Ok(())
    }
}
