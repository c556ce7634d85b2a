//! A primary side on top of `notifier::contract`: small, but it does what the kernel's mm does around
//! each kind of change. It is the built-in one, and with a fault a twin.

mod faults;
mod table;

use std::sync::Arc;

use notifier::addr::{AddrRange, Gva};
use notifier::contract::{self, AddressSpace, PageTableGuard};

use crate::builtin::{self, Owners};
use crate::faulty::{Fault, PrimaryFault};
use crate::subject::{
    Bounds, Callbacks, Frame, Leaf, Operation, Platform, Primary, Refused, Registration, Rights,
    Step, Witness,
};
use table::Table;

pub(crate) struct Mm {
    fault: Option<Fault>,
    platform: Platform,
    witness: Arc<dyn Witness>,
    space: Arc<AddressSpace<Table>>,
    owners: Arc<Owners>,
}

/// What becomes of an entry.
type Edit<'a> = &'a dyn Fn(Leaf) -> Option<Leaf>;

impl Mm {
    pub(crate) fn new(
        fault: Option<Fault>,
        platform: Platform,
        witness: Arc<dyn Witness>,
    ) -> Arc<Self> {
        Arc::new(Self {
            fault,
            platform,
            witness,
            space: Arc::new(AddressSpace::new(Table::default())),
            owners: Arc::default(),
        })
    }

    fn has(&self, fault: PrimaryFault) -> bool {
        self.fault == Some(fault.into())
    }

    /// Runs `body` with the page-table lock held.
    fn locked<R>(&self, body: impl FnOnce(&mut Locked<'_>) -> R) -> R {
        let mut locked = Locked {
            mm: self,
            table: self.space.lock_page_table(),
        };
        self.witness.saw(Step::Locked);
        let result = body(&mut locked);
        self.witness.saw(Step::Unlocked);
        result
    }

    /// Runs `body` between start and end.
    fn window(&self, event: contract::Event, range: AddrRange<Gva>, mut body: impl FnMut()) {
        let event = if self.has(PrimaryFault::AlwaysClear) {
            contract::Event::Clear
        } else {
            event
        };
        if self.has(PrimaryFault::WriteBeforeStart) {
            body();
        }
        let lock = self.has(PrimaryFault::StartUnderLock);
        let lock = lock.then(|| self.space.lock_page_table());
        let window = self.space.mutate().into_window(event, range);
        drop(lock);
        if self.has(PrimaryFault::WriteAfterEnd) {
            drop(window);
            return body();
        }
        body();
    }

    /// Changes what is mapped in `range`, and tells secondary TLBs what lost something.
    fn edit(&self, event: contract::Event, range: AddrRange<Gva>, edit: Edit<'_>) {
        let mut late = None;
        self.window(event, range, || late = self.edit_locked(range, edit));
        if let Some(bounds) = late {
            self.locked(|locked| locked.invalidate(bounds));
        }
    }

    /// What a fault leaves for after the end.
    fn edit_locked(&self, range: AddrRange<Gva>, edit: Edit<'_>) -> Option<Bounds> {
        let mut freed = Vec::new();
        let mut late = None;
        self.locked(|locked| {
            if !self.has(PrimaryFault::ContiguousOnePage) {
                locked.unfold(range);
            }
            let mut touched = None;
            for (bounds, old) in locked.table.mapped(range) {
                let new = edit(old);
                if new == Some(old) && !self.has(PrimaryFault::ProtectAlwaysInvalidates) {
                    continue;
                }
                locked.write(bounds, new);
                touched = Some(hull(touched, bounds));
                freed.extend(new.is_none().then_some(old.frame));
            }
            if self.has(PrimaryFault::FreeFirst) {
                self.free(freed.drain(..));
            }
            if self.has(PrimaryFault::DowngradeLate) && freed.is_empty() {
                late = touched;
            } else if let Some(touched) = touched {
                locked.invalidate(touched);
            }
        });
        self.free(freed);
        late
    }

    fn free(&self, frames: impl IntoIterator<Item = Frame>) {
        for frame in frames {
            self.witness.saw(Step::Freed(frame));
        }
    }

    /// An entry gets another frame: cleared, invalidated, and only then written.
    fn replace(&self, page: Gva, rights: Rights) {
        let range = page_range(page);
        self.window(contract::Event::Clear, range, || {
            self.locked(|locked| {
                let mapped = locked.table.mapped(range);
                let Some((bounds, old)) = mapped.first().copied() else {
                    return;
                };
                let frame = locked.table.next_frame();
                let dirty = rights == Rights::ReadWrite;
                let new = Leaf {
                    frame,
                    rights,
                    dirty,
                    ..old
                };
                let merge = rights == Rights::ReadOnly;
                if self.has(PrimaryFault::CopyWithoutClear) && !merge {
                    locked.write(bounds, Some(new));
                    return locked.invalidate(bounds);
                }
                if !(self.has(PrimaryFault::MergeSilent) && merge) {
                    locked.write(bounds, None);
                    locked.invalidate(bounds);
                }
                locked.write(bounds, Some(new));
            });
        });
    }

    fn reap(&self, range: AddrRange<Gva>) -> Result<(), Refused> {
        let mut mutation = self.space.mutate();
        let started = mutation.try_start(contract::Event::Clear, range);
        if started.is_err() && !self.has(PrimaryFault::ReapsAnyway) {
            return Err(Refused::Again);
        }
        self.edit_locked(range, &|_| None);
        drop(started);
        Ok(())
    }

    fn protect(&self, range: AddrRange<Gva>, rights: Rights) {
        let edit = |leaf| Some(Leaf { rights, ..leaf });
        if self.has(PrimaryFault::ProtectUpgradeSilent) && rights == Rights::ReadWrite {
            self.edit_locked(range, &edit);
            return;
        }
        self.edit(contract::Event::ProtectionVma, range, &edit);
    }

    fn free_kernel_table(&self) {
        if !self.has(PrimaryFault::KernelTableSilent) {
            self.space.invalidate_unlocked(AddrRange::all());
        }
        self.free([Frame(u64::MAX)]);
    }

    fn exit(&self) {
        let frames = self.space.lock_page_table().frames();
        if self.has(PrimaryFault::FreeBeforeRelease) {
            self.free(frames.iter().copied());
        }
        self.space.exit();
        if !self.has(PrimaryFault::FreeBeforeRelease) {
            self.free(frames);
        }
    }

    fn owned(&self, event: crate::subject::Event) -> Result<contract::Event, Refused> {
        use crate::subject::{Event, OwnerId};
        let nobody = OwnerId(0);
        let event = match event {
            Event::Migrate(_) if self.has(PrimaryFault::NoOwner) => Event::Migrate(nobody),
            Event::Exclusive(_) if self.has(PrimaryFault::NoOwner) => Event::Exclusive(nobody),
            event => event,
        };
        self.owners.event(event)
    }
}

impl Primary for Mm {
    fn register(&self, callbacks: Callbacks) -> Result<Box<dyn Registration>, Refused> {
        builtin::register(&self.space, callbacks, &self.owners)
    }

    fn perform(&self, operation: Operation) -> Result<(), Refused> {
        use contract::Event::{Clear, ProtectionPage, SoftDirty, Unmap};
        let protect = |leaf| {
            Some(Leaf {
                rights: Rights::ReadOnly,
                ..leaf
            })
        };
        let clean = |leaf| {
            protect(Leaf {
                dirty: false,
                ..leaf
            })
        };
        match operation {
            Operation::Map(range, rights) => self.map(range, rights, true),
            Operation::MapUnused(range, rights) => self.map(range, rights, false),
            Operation::MapContiguous(at) => self.map_contiguous(at),
            Operation::MapHuge(at) => self.map_huge(at, 1),
            Operation::MapHugeContiguous(at) => self.map_huge(at, 4),
            Operation::Unmap(range) => self.edit(Unmap, range, &|_| None),
            Operation::Zap(range) => self.edit(Clear, range, &|_| None),
            Operation::Reap(range) => return self.reap(range),
            Operation::Protect(range, rights) => self.protect(range, rights),
            Operation::Fork(range) => self.edit(ProtectionPage, range, &protect),
            Operation::WriteBack(range) => self.edit(ProtectionPage, range, &clean),
            Operation::ClearSoftDirty(range) => self.edit(SoftDirty, range, &protect),
            Operation::Copy(page) => self.replace(page, Rights::ReadWrite),
            Operation::Merge(page) => self.replace(page, Rights::ReadOnly),
            Operation::Migrate(range, owner) => {
                let event = self.owned(crate::subject::Event::Migrate(owner))?;
                self.edit(event, range, &|_| None);
            }
            Operation::Exclusive(range, owner) => {
                let event = self.owned(crate::subject::Event::Exclusive(owner))?;
                self.edit(event, range, &|_| None);
            }
            Operation::WriteFault(page) => self.write_fault(page),
            Operation::AccessFault(page) => self.access_fault(page),
            Operation::SpuriousFault(page) => self.spurious_fault(page),
            Operation::SetSoftwareBit(page) => self.set_software_bit(page),
            Operation::FreeKernelTable => self.free_kernel_table(),
            Operation::Exit => self.exit(),
        }
        Ok(())
    }
}

/// The page table with its lock held.
struct Locked<'a> {
    mm: &'a Mm,
    table: PageTableGuard<'a, Table>,
}

impl Locked<'_> {
    fn write(&mut self, entry: Bounds, now: Option<Leaf>) {
        self.table.set(entry, now);
        self.mm.witness.saw(Step::Written { entry, now });
    }

    /// Tells secondary TLBs, as the flush of the CPU's own does.
    fn invalidate(&self, mut bounds: Bounds) {
        let page = crate::subject::PAGE;
        if self.mm.has(PrimaryFault::FlushMovesStart) {
            bounds.start = Gva::new(bounds.end.raw() - page);
        }
        if self.mm.has(PrimaryFault::LastPageForgotten)
            && bounds.end.raw() - bounds.start.raw() > page
        {
            bounds.end = Gva::new(bounds.end.raw() - page);
        }
        if let Ok(range) = bounds.range() {
            self.table.invalidate_secondary_tlbs(range);
        }
    }

    /// Takes apart the blocks that `range` cuts: an entry of a block must not differ from the others.
    fn unfold(&mut self, range: AddrRange<Gva>) {
        for block in self.table.blocks_cut_by(range) {
            let Ok(all) = block.range() else { continue };
            let entries = self.table.mapped(all);
            for (bounds, _) in &entries {
                self.write(*bounds, None);
            }
            self.invalidate(block);
            for (bounds, leaf) in entries {
                let span = bounds;
                self.write(bounds, Some(Leaf { span, ..leaf }));
            }
        }
    }
}

fn hull(so_far: Option<Bounds>, next: Bounds) -> Bounds {
    so_far.map_or(next, |so_far| {
        let start = so_far.start.min(next.start);
        Bounds::new(start, so_far.end.max(next.end))
    })
}

fn page_range(page: Gva) -> AddrRange<Gva> {
    AddrRange::page(page, notifier::addr::PageSize::K4)
}
