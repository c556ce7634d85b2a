//! Drivers of devices with page tables of their own, each with the rules that set it apart.

use std::sync::{Arc, Mutex, PoisonError};

use notifier::addr::Gva;

use crate::case::cases;
use crate::check::{Failure, Outcome, equal, holds, offered};
use crate::subject::{
    Bounds, Event, Implementation, Interval, Intervals, Mirror, MirrorKind, OwnerId, PAGE, Page,
    Refused, Registration, SLOT, Subscriber, Work,
};
use crate::task::Task;

cases! { Consumers, ConsumerFault:
    "unmapped-when-the-start-returns" = at_start, unless UnmapsAtEnd:
        "A device's mapping is gone when the start returns; by the end its pages may be somebody else's already.";
        "Sean Christopherson, ZrJIA6t8S9Ucjqzn@google.com; include/linux/mmu_notifier.h, invalidate_range_end";
    "pfn-caches-go-before-the-lock" = pfn_caches, unless PfnCacheLate:
        "KVM drops cached page numbers before it takes its lock and looks at slots, also of a range without a slot.";
        "virt/kvm/kvm_main.c, kvm_mmu_notifier_invalidate_range_start (gfn_to_pfn_cache_invalidate_start)";
    "lock-only-if-a-slot-overlaps" = lock_if_slot, unless LockAlways:
        "KVM takes its lock only for a range that a memory slot overlaps.";
        "virt/kvm/kvm_main.c, kvm_handle_hva_range";
    "refuser-leaves-everything" = refuser, unless RefusesHalfway:
        "Who refuses because it must not sleep still has what it had, and follows when it may.";
        "drivers/gpu/drm/nouveau/nouveau_svm.c, nouveau_svmm_invalidate_range_start (-EAGAIN)";
    "initiator-keeps-its-mapping" = initiator, unless OwnerIgnored:
        "Whoever began a migration or an exclusive access leaves its own mapping alone, and follows those of others.";
        "drivers/gpu/drm/nouveau/nouveau_svm.c; mm/migrate_device.c (mmu_notifier_range_init_owner)";
    "pinned-pages-go-when-unmapped" = pinned, unless EveryEventUnpins:
        "A driver whose pages are pinned gives them up when they are unmapped, and on no other event.";
        "drivers/infiniband/hw/hfi1/user_exp_rcv.c, tid_rb_invalidate (MMU_NOTIFY_UNMAP)";
    "exit-is-no-eviction" = exit_is_none, unless ReleaseEvicts:
        "A driver that restores what was evicted ignores RELEASE, after which nothing is restored.";
        "drivers/gpu/drm/amd/amdkfd/kfd_svm.c, svm_range_cpu_invalidate_pagetables";
    "unmapping-is-no-eviction" = unmap_is_none, unless UnmapEvicts:
        "It forgets what is unmapped, and evicts what any other event takes away.";
        "drivers/gpu/drm/amd/amdkfd/kfd_svm.c, svm_range_unmap_from_cpu, svm_range_evict";
    "flushes-of-several-devices-overlap" = flushes_overlap, unless WaitsAtOnce:
        "A driver in two passes begins its flush in the first and waits in the second, so that all are under way before one is waited for.";
        "20250821114626.89818-2-thomas.hellstrom@linux.intel.com; drivers/gpu/drm/xe/xe_userptr.c";
    "mirror-is-erased-and-read-again" = erased, unless MirrorKeeps:
        "A mirror erases what is invalidated and a read from before is repeated; without its lock, and not allowed to sleep, it refuses and keeps both.";
        "lib/test_hmm.c, dmirror_interval_invalidate (trylock, mmu_interval_set_seq, erase)";
}

const AT: Bounds = Bounds::pages(18, 1);
const BESIDE: Gva = Gva::new(19 * PAGE);
const OTHER: OwnerId = OwnerId(99);

/// An address space with drivers of one kind, each of which has the two pages.
struct Bench {
    space: Arc<dyn Intervals>,
    mirrors: Vec<Arc<dyn Mirror>>,
    work: Arc<Mutex<Vec<Work>>>,
    intervals: Vec<Box<dyn Interval>>,
    _registrations: Vec<Box<dyn Registration>>,
}

impl Bench {
    fn new(implementation: &dyn Implementation, kind: MirrorKind) -> Result<Self, Failure> {
        Self::of_several(implementation, kind, 1)
    }

    fn of_several(
        implementation: &dyn Implementation,
        kind: MirrorKind,
        count: usize,
    ) -> Result<Self, Failure> {
        let mut bench = Self {
            space: offered(implementation.intervals())?,
            mirrors: Vec::new(),
            work: Arc::default(),
            intervals: Vec::new(),
            _registrations: Vec::new(),
        };
        for _ in 0..count {
            let work = Arc::clone(&bench.work);
            let saw = move |did| {
                work.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(did)
            };
            let mirror = offered(implementation.mirror(kind, Box::new(saw)))?;
            bench.register(Arc::clone(&mirror).subscriber())?;
            bench.mirrors.push(mirror);
        }
        bench.fill();
        Ok(bench)
    }

    fn register(&mut self, subscriber: Subscriber) -> Result<(), Refused> {
        match subscriber {
            Subscriber::Callbacks(callbacks) => {
                self._registrations.push(self.space.register(callbacks)?);
            }
            Subscriber::Interval(callbacks) => {
                self.intervals
                    .push(self.space.insert(SLOT.into(), callbacks)?);
            }
        }
        Ok(())
    }

    fn fill(&self) {
        for mirror in &self.mirrors {
            mirror.fill(AT.start);
            mirror.fill(BESIDE);
        }
    }

    /// What has become of the page and of its neighbour, of the first.
    fn pages(&self) -> [Page; 2] {
        [AT.start, BESIDE].map(|page| self.mirrors[0].page(page))
    }

    fn take_work(&self) -> Vec<Work> {
        std::mem::take(&mut *self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What it has of both pages inside a window of the one.
    fn during(&self, event: Event) -> Result<[Page; 2], Failure> {
        self.fill();
        let mut pages = None;
        self.space
            .invalidate(event, AT, &mut || pages = Some(self.pages()))?;
        pages.ok_or_else(|| Failure::Broken("the window was not opened".into()))
    }
}

const GONE: [Page; 2] = [Page::Absent, Page::Held];
const KEPT: [Page; 2] = [Page::Held; 2];

fn at_start(implementation: &dyn Implementation) -> Outcome {
    for kind in MirrorKind::OWN_TABLES {
        let bench = Bench::new(implementation, kind)?;
        let what = format!("what {kind:?} has inside a window");
        equal(&what, bench.during(Event::Unmap)?, GONE)?;
        let what = format!("what {kind:?} has after it");
        equal(&what, bench.pages(), GONE)?;
    }
    Ok(())
}

fn pfn_caches(implementation: &dyn Implementation) -> Outcome {
    let bench = Bench::new(implementation, MirrorKind::Kvm)?;
    bench.during(Event::Unmap)?;
    let right = vec![Work::PfnsDropped, Work::Locked];
    equal("what it did, in order", bench.take_work(), right)?;
    let elsewhere = Bounds::pages(64, 1);
    bench
        .space
        .invalidate(Event::Unmap, elsewhere, &mut || ())?;
    let dropped = bench.take_work().contains(&Work::PfnsDropped);
    holds(dropped, "page numbers without a slot stay cached")
}

fn lock_if_slot(implementation: &dyn Implementation) -> Outcome {
    let bench = Bench::new(implementation, MirrorKind::Kvm)?;
    let last = Bounds::new(Gva::new(SLOT.end.raw() - PAGE), SLOT.end);
    for (bounds, overlaps) in [
        (AT, true),
        (last, true),
        (Bounds::ALL, true),
        (Bounds::pages(14, 2), false),
        (Bounds::pages(32, 4), false),
    ] {
        bench.space.invalidate(Event::Clear, bounds, &mut || ())?;
        let locked = bench.take_work().contains(&Work::Locked);
        equal(&format!("{bounds} takes the lock"), locked, overlaps)?;
    }
    Ok(())
}

fn refuser(implementation: &dyn Implementation) -> Outcome {
    let bench = Bench::new(implementation, MirrorKind::Nouveau)?;
    let tried = bench.space.try_invalidate(Event::Clear, AT, &mut || ());
    equal("what the caller is told", tried, Err(Refused::Again))?;
    equal("what is left", bench.pages(), KEPT)?;
    equal("what is left then", bench.during(Event::Clear)?, GONE)
}

fn initiator(implementation: &dyn Implementation) -> Outcome {
    let bench = Bench::new(implementation, MirrorKind::Nouveau)?;
    let own = bench.mirrors[0].owner();
    for event in [Event::Migrate, Event::Exclusive] {
        let what = format!("what is left by {:?}", event(own));
        equal(&what, bench.during(event(own))?, KEPT)?;
        let what = format!("what is left by {:?}", event(OTHER));
        equal(&what, bench.during(event(OTHER))?, GONE)?;
    }
    Ok(())
}

fn pinned(implementation: &dyn Implementation) -> Outcome {
    let bench = Bench::new(implementation, MirrorKind::Hfi1)?;
    for event in Event::ANNOUNCED {
        let right = if event == Event::Unmap { GONE } else { KEPT };
        let what = format!("what is left by {event:?}");
        equal(&what, bench.during(event)?, right)?;
    }
    Ok(())
}

fn exit_is_none(implementation: &dyn Implementation) -> Outcome {
    let bench = Bench::new(implementation, MirrorKind::Amdkfd)?;
    bench.space.exit()?;
    let evicted = bench.pages().contains(&Page::Evicted);
    holds(!evicted, "what will never be restored was evicted")
}

fn unmap_is_none(implementation: &dyn Implementation) -> Outcome {
    let bench = Bench::new(implementation, MirrorKind::Amdkfd)?;
    for event in Event::ANNOUNCED {
        let right = match event {
            Event::Unmap => GONE,
            _ => [Page::Evicted, Page::Held],
        };
        let what = format!("what is left by {event:?}");
        equal(&what, bench.during(event)?, right)?;
    }
    Ok(())
}

fn flushes_overlap(implementation: &dyn Implementation) -> Outcome {
    const DEVICES: usize = 3;
    let bench = Bench::of_several(implementation, MirrorKind::Xe, DEVICES)?;
    let inside = bench.during(Event::Clear)?;
    let flushes = [Work::FlushBegun, Work::FlushDone].map(|work| [work; DEVICES]);
    equal("what they did", bench.take_work(), flushes.concat())?;
    equal("what is left", inside, GONE)
}

fn erased(implementation: &dyn Implementation) -> Outcome {
    let bench = Bench::new(implementation, MirrorKind::Hmm)?;
    let interval = bench.intervals.first();
    let interval = interval.ok_or_else(|| Failure::Broken("it watches no interval".into()))?;
    let read = interval.read_begin()?;
    let mut tried = None;
    interval.with_user_lock(&mut || {
        let space = Arc::clone(&bench.space);
        let invalidate = move || space.try_invalidate(Event::Clear, AT, &mut || ());
        tried = Some(Task::spawn(invalidate).finish("a start that must not sleep"));
    });
    let tried = tried.transpose()?;
    equal("what the caller is told", tried, Some(Err(Refused::Again)))?;
    equal("what is left after a refusal", bench.pages(), KEPT)?;
    let mut left = None;
    let invalidated = bench
        .space
        .try_invalidate(Event::Clear, AT, &mut || left = Some(bench.pages()));
    invalidated?;
    equal("what is left", left, Some(GONE))?;
    holds(read.retry(&mut || ()), "a read from before was installed")
}
