//! Domains of the SMMU's driver, between which one stream moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notifier::addr::{AddrRange, Asid, PageSize, StreamId};
use notifier::contract::{AddressSpace, Subscription};
use notifier::secondary::smmu::{Asids, Domain, Master, Smmu};

use super::invalid;
use super::tables::{PAGE, Table, Tables, access};
use crate::subject::{self, DomainId, Frame, Refused};

const TLB_ENTRIES: usize = 64;
/// Domains that can be made, one after another.
const ROOM: u64 = 16;
const STREAM: StreamId = StreamId(1);

struct Entry {
    table: Table,
    space: AddressSpace<()>,
    domain: Domain,
    _subscription: Subscription,
}

#[derive(Default)]
struct State {
    made: u64,
    entries: BTreeMap<DomainId, Arc<Entry>>,
    bound: Option<Arc<Entry>>,
}

pub(super) struct Domains {
    tables: Tables,
    asids: Arc<Asids>,
    smmu: Arc<Smmu>,
    state: Mutex<State>,
}

impl Domains {
    pub(super) fn new() -> Self {
        let tables = Tables::new(ROOM);
        Self {
            smmu: Arc::new(Smmu::new(TLB_ENTRIES, tables.memory.clone(), Arc::new(()))),
            asids: Arc::new(Asids::new(Asid(9))),
            tables,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, domain: DomainId) -> Result<Arc<Entry>, Refused> {
        let entry = self.state().entries.get(&domain).cloned();
        entry.ok_or_else(|| Refused::Invalid("there is no such domain".into()))
    }
}

impl subject::Domains for Domains {
    fn create(&self) -> Result<DomainId, Refused> {
        let mut state = self.state();
        let table = self.tables.table(state.made);
        let table = table.ok_or_else(|| Refused::Overflow("no room".into()))?;
        let domain = Domain::new(self.asids.clone(), table.root, self.tables.format.clone());
        let domain = domain.map_err(invalid)?;
        let space = AddressSpace::new(());
        let subscription = space.register_secondary_tlb(Arc::new(domain.subscriber()));
        let entry = Entry {
            table,
            domain,
            _subscription: subscription.map_err(super::exited)?,
            space,
        };
        let id = DomainId(state.made);
        state.made += 1;
        state.entries.insert(id, Arc::new(entry));
        Ok(id)
    }

    fn destroy(&self, domain: DomainId) -> Result<(), Refused> {
        let entry = self.entry(domain)?;
        let mut state = self.state();
        state.entries.remove(&domain);
        state.bound.take_if(|bound| Arc::ptr_eq(bound, &entry));
        Ok(())
    }

    fn attach(&self, domain: DomainId, between: &mut dyn FnMut()) -> Result<(), Refused> {
        let entry = self.entry(domain)?;
        let old = self.state().bound.take();
        let master = Master {
            smmu: Arc::clone(&self.smmu),
            stream: STREAM,
            ats: false,
        };
        between();
        let listed = entry.domain.list(master);
        between();
        let installed = listed.install();
        between();
        if let Some(old) = old {
            installed.leave(&old.domain);
            between();
        }
        self.state().bound = Some(entry);
        Ok(())
    }

    fn tag(&self, domain: DomainId) -> Result<u64, Refused> {
        Ok(self.entry(domain)?.domain.asid().0.into())
    }

    fn remap(&self, domain: DomainId) -> Result<Frame, Refused> {
        let entry = self.entry(domain)?;
        let lock = entry.space.lock_page_table();
        let frame = self.tables.remap(entry.table)?;
        lock.invalidate_secondary_tlbs(AddrRange::page(PAGE, PageSize::K4));
        Ok(frame)
    }

    fn read(&self) -> Option<Frame> {
        access(&self.smmu, STREAM).ok()
    }
}
