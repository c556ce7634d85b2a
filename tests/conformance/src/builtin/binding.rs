//! The SMMU of `notifier::secondary` with its driver, bound to an address space of one page.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use notifier::addr::{Access, AddrRange, Asid, Gpa, Gva, Iova, PageSize, Permissions, StreamId};
use notifier::contract::{AddressSpace, Subscription};
use notifier::paging::x86_64::X86_64;
use notifier::paging::{Builder, Format, Leaf, NoMemory, TableMemory, TableMemoryMut};
use notifier::secondary::smmu::{Asids, Domain, Master, Smmu};

use super::invalid;
use crate::subject::{Binding, DeviceId, Frame, Refused};

/// Memory from address 0 on.
struct Memory(Vec<AtomicU64>);

impl Memory {
    fn word(&self, address: Gpa) -> Result<&AtomicU64, NoMemory> {
        let index = usize::try_from(address.raw() / 8).ok();
        index
            .and_then(|index| self.0.get(index))
            .ok_or(NoMemory(address))
    }
}

impl TableMemory for Memory {
    fn read_entry(&self, address: Gpa) -> Result<u64, NoMemory> {
        Ok(self.word(address)?.load(Ordering::Acquire))
    }
}

impl TableMemoryMut for Memory {
    fn write_entry(&self, address: Gpa, entry: u64) -> Result<(), NoMemory> {
        self.word(address)?.store(entry, Ordering::Release);
        Ok(())
    }
}

const PAGE: Gva = Gva::new(0x4000_0000_0000);
/// Where the tables are, and how much memory there is.
const POOL: (Gpa, Gpa) = (Gpa::new(0x1000), Gpa::new(0x8000));
const TLB_ENTRIES: usize = 64;

fn leaf(frame: u64) -> Leaf {
    Leaf {
        output: Gpa::new(frame << PageSize::K4.shift()),
        size: PageSize::K4,
        permissions: Permissions::READ_WRITE,
        accessed: true,
        dirty: true,
        global: false,
        memory_type: 0,
        software: 0,
    }
}

pub(super) struct Bench {
    format: Arc<X86_64>,
    memory: Arc<Memory>,
    /// Where the page's entry is.
    slot: Gpa,
    space: Arc<AddressSpace<()>>,
    smmu: Arc<Smmu>,
    domain: Domain,
    bound: Mutex<BTreeMap<DeviceId, Master>>,
    frame: AtomicU64,
    _subscription: Subscription,
}

impl Bench {
    /// `None` if the tables can't be built, which they can.
    pub(super) fn new() -> Option<Self> {
        const FIRST: u64 = 0x100;
        let words = usize::try_from(POOL.1.raw() / 8).ok()?;
        let memory = Arc::new(Memory((0..words).map(|_| AtomicU64::new(0)).collect()));
        let format = Arc::new(X86_64::four_level(40));
        let pool = AddrRange::new(POOL.0, POOL.1).ok()?;
        let mut builder = Builder::new(&*format, &*memory, pool).ok()?;
        builder.map(PAGE, &leaf(FIRST)).ok()?;
        let root = builder.root();
        let entry = format.encode_leaf(&leaf(FIRST)).ok()?;
        // Only the page's entry leads to that frame.
        let is_it = |word: &AtomicU64| word.load(Ordering::Acquire) == entry;
        let slot = memory.0.iter().position(is_it)?;

        let asids = Arc::new(Asids::new(Asid(9)));
        let domain = Domain::new(asids, root, format.clone()).ok()?;
        let space = Arc::new(AddressSpace::new(()));
        let subscriber = Arc::new(domain.subscriber());
        Some(Self {
            slot: Gpa::new(u64::try_from(slot).ok()? * 8),
            smmu: Arc::new(Smmu::new(TLB_ENTRIES, memory.clone(), Arc::new(()))),
            _subscription: space.register_secondary_tlb(subscriber).ok()?,
            format,
            memory,
            space,
            domain,
            bound: Mutex::default(),
            frame: AtomicU64::new(FIRST),
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

    fn remap(&self) -> Result<Frame, Refused> {
        let table = self.space.lock_page_table();
        let frame = self.frame.fetch_add(1, Ordering::SeqCst) + 1;
        let entry = self.format.encode_leaf(&leaf(frame));
        let entry = entry.map_err(invalid)?;
        let written = self.memory.write_entry(self.slot, entry);
        written.map_err(invalid)?;
        table.invalidate_secondary_tlbs(AddrRange::page(PAGE, PageSize::K4));
        Ok(Frame(frame))
    }

    fn read(&self, device: DeviceId) -> Option<Frame> {
        let page = Iova::shared(PAGE);
        let read = self
            .smmu
            .access(stream(device), page, Access::Read, |at| at);
        read.ok().map(|at| Frame(at.raw() >> PageSize::K4.shift()))
    }

    fn exit(&self) -> Result<(), Refused> {
        self.space.exit();
        Ok(())
    }
}
