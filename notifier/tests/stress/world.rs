//! An address space, and what is true of it whatever its subscribers were told.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use notifier::addr::AddrRange;
use notifier::contract::{AddressSpace, GetError, RegisterError, UserLock};

use crate::mirror::Mirror;
use crate::pages::{Fresh, PAGES, Table, range};
use crate::ranges::Refuser;
use crate::record::{AfterExit, Ending, Record};
use crate::single::OneMirror;
use crate::watch::{Held, Watched};
use crate::{check, jitter};

pub(crate) struct World {
    pub(crate) space: Arc<AddressSpace<Table>>,
    /// Which copies subscribers with page tables of their own may have.
    pub(crate) own_page_tables: Arc<Fresh>,
    /// Which entries secondary TLBs may have of the page table, and which of the kernel's half.
    pub(crate) secondary_tlbs: Fresh,
    pub(crate) kernel: Fresh,
    kernel_table: [AtomicU64; PAGES],
    pub(crate) ending: Arc<Ending>,
    pub(crate) locks: [Arc<UserLock<Held>>; 3],
    singles: Mutex<Vec<Arc<Record>>>,
    version: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            space: Arc::new(AddressSpace::new([0; PAGES])),
            own_page_tables: Arc::default(),
            secondary_tlbs: Fresh::default(),
            kernel: Fresh::default(),
            kernel_table: Default::default(),
            ending: Arc::default(),
            locks: Default::default(),
            singles: Mutex::default(),
            version: AtomicU64::new(1),
        })
    }

    /// One that no page had before.
    pub(crate) fn next_version(&self) -> u64 {
        self.version.fetch_add(1, SeqCst)
    }

    pub(crate) fn kernel_version(&self, page: usize) -> u64 {
        self.kernel_table[page].load(SeqCst)
    }

    /// Changes a page of the kernel's half, under no lock, and tells the secondary TLBs.
    pub(crate) fn change_kernel(&self, page: usize) {
        let version = self.next_version();
        self.kernel_table[page].fetch_max(version, SeqCst);
        self.space.invalidate_unlocked(range(&(page..=page)));
        self.kernel.publish(page, version);
    }

    pub(crate) fn new_single(&self, kind: &str) -> Arc<Record> {
        let record = Record::new(kind, AfterExit::Silent, &self.ending);
        let mut singles = self.singles.lock().unwrap_or_else(PoisonError::into_inner);
        singles.push(Arc::clone(&record));
        record
    }

    /// Ends it, and frees every page: who used one now would be caught.
    pub(crate) fn exit(&self) {
        if self.ending.begun.swap(true, SeqCst) {
            // Whoever is first ends it.
            return self.space.exit();
        }
        self.space.exit();
        self.ending.done.store(true, SeqCst);
        let mut table = self.space.lock_page_table();
        for page in 0..PAGES {
            let version = self.next_version();
            table[page] = version;
            self.own_page_tables.publish(page, version);
            self.secondary_tlbs.publish(page, version);
            self.kernel.publish(page, version);
            jitter::pause();
        }
    }

    /// Whether somebody is in the middle of ending it.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.begun.load(SeqCst) && !self.ending.done.load(SeqCst)
    }

    /// Nobody is in it and nobody can come.
    pub(crate) fn check_ended(self: &Arc<Self>) {
        let singles = self.singles.lock().unwrap_or_else(PoisonError::into_inner);
        singles.iter().for_each(|record| record.check_freed());
        let late = || Record::new("late", AfterExit::Silent, &self.ending);
        let registered = self.space.register_refusing(Arc::new(Refuser(late())));
        check!(registered.is_err(), "registered after the end");
        let one = || Ok::<_, ()>(OneMirror(Mirror::new(late(), self)));
        let got = self.space.get(one).err();
        let refused = Some(GetError::Register(RegisterError::Exited));
        check!(got == refused, "got {got:?} after the end");
        let watched = Watched::insert(self, &self.locks[0], &(0..=0));
        check!(watched.is_err(), "watched after the end");
        // With nobody there, nobody is told.
        drop(
            self.space
                .mutate()
                .into_window(notifier::contract::Event::Unmap, AddrRange::all()),
        );
    }
}
