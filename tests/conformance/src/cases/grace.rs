//! What runs beside what: release beside other callbacks, callbacks beside a put.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::case::cases;
use crate::check::{Outcome, equal, offered};
use crate::log::Log;
use crate::subject::{Bounds, Callbacks, Event, Implementation, Operations};
use crate::task::{Hold, Task, eventually};

cases! { Lifetime, LifetimeFault:
    "release-runs-beside-callbacks" = beside_release, unless ReleaseExcludesCallbacks:
        "While a release runs, which may sleep, other callbacks are called and return: neither waits for the other.";
        "mm/mmu_notifier.c, mn_hlist_release (SRCU readers)";
    "nothing-after-free" = nothing_after_free, unless ToldAfterFree:
        "Callbacks may still run between the last put and the grace period; free comes after all of them, and none after free.";
        "mm/mmu_notifier.c, mmu_notifier_put, mmu_notifier_free_rcu";
}

const PAGES: Bounds = Bounds::pages(16, 4);

fn beside_release(implementation: &dyn Implementation) -> Outcome {
    for by_exit in [false, true] {
        let space = offered(implementation.lifetime())?;
        let hold: Arc<Hold> = Arc::default();
        let staying = Arc::clone(&hold);
        let callbacks = Callbacks {
            release: Some(Box::new(move || staying.stay())),
            ..Log::default().tlb(1)
        };
        let registration = space.register(callbacks)?;
        let _other = space.register(Log::default().ranges(2))?;
        let (ending, telling) = (Arc::clone(&space), Arc::clone(&space));
        let releasing = Task::spawn(move || match by_exit {
            true => ending.exit(),
            false => registration.unregister(),
        });
        hold.wait_entered("release")?;
        let beside = Task::spawn(move || {
            telling.invalidate_unlocked(PAGES)?;
            telling.invalidate(Event::Unmap, PAGES, &mut || ())
        });
        let told = beside.finish("an invalidation beside a release");
        hold.let_go();
        releasing.finish("a release")??;
        told??;
    }
    Ok(())
}

/// Callbacks inside now, those that began after free, and frees while one was inside.
#[derive(Default)]
struct Watch {
    inside: AtomicU64,
    freed: AtomicBool,
    wrong: AtomicU64,
}

impl Watch {
    fn called(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let late = self.freed.load(Ordering::SeqCst);
        std::thread::yield_now();
        let overtaken = self.freed.load(Ordering::SeqCst);
        self.wrong
            .fetch_add(u64::from(late || overtaken), Ordering::SeqCst);
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    fn free(&self) {
        let inside = self.inside.load(Ordering::SeqCst);
        self.wrong
            .fetch_add(u64::from(inside > 0), Ordering::SeqCst);
        self.freed.store(true, Ordering::SeqCst);
    }

    fn callbacks(self: &Arc<Self>) -> Callbacks {
        let (called, freed) = (Arc::clone(self), Arc::clone(self));
        Callbacks {
            secondary_tlb: Some(Box::new(move |_| called.called())),
            free: Some(Box::new(move || freed.free())),
            ..Callbacks::default()
        }
    }
}

/// Puts beside a thread that invalidates all the time.
fn nothing_after_free(implementation: &dyn Implementation) -> Outcome {
    const PUTS: usize = 200;
    let space = offered(implementation.lifetime())?;
    let (done, teller) = (Arc::new(AtomicBool::new(false)), Arc::clone(&space));
    let is_done = Arc::clone(&done);
    let telling = Task::spawn(move || {
        while !is_done.load(Ordering::SeqCst) {
            teller.invalidate_unlocked(PAGES)?;
        }
        teller.invalidate_unlocked(PAGES)
    });
    let watches: Vec<Arc<Watch>> = (0..PUTS).map(|_| Arc::default()).collect();
    let put = watches.iter().try_for_each(|watch| {
        let made = &mut || Ok(watch.callbacks());
        space.get(Operations::One, made)?.put()
    });
    let freed = eventually("a subscriber was never freed", || {
        let is_freed = |watch: &Arc<Watch>| watch.freed.load(Ordering::SeqCst);
        watches.iter().all(is_freed)
    });
    done.store(true, Ordering::SeqCst);
    telling.finish("the invalidations")??;
    put?;
    freed?;
    let wrong = watches
        .iter()
        .map(|watch| watch.wrong.load(Ordering::SeqCst));
    equal("callbacks beside or after free", wrong.sum(), 0)
}
