//! How a driver goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::case::cases;
use crate::check::{Failure, Outcome, holds, offered};
use crate::subject::{
    Bounds, Callbacks, Implementation, Leaving, Lifetime, Mirror, MirrorKind, Operations, Refused,
    Subscriber,
};
use crate::task::{Hold, Task};

cases! { Consumers, ConsumerFault:
    "domain-outlives-its-callbacks" = outlives, unless PutsWithoutWaiting:
        "A driver whose callback uses its domain unregisters rather than puts: no callback runs when the domain is gone.";
        "drivers/iommu/amd/pasid.c, iommu_sva_domain_free (mmu_notifier_unregister)";
}

const PAGES: Bounds = Bounds::pages(16, 4);

/// What ends a subscription, whichever way it was begun.
type Leave = Box<dyn FnOnce() -> Result<(), Refused> + Send>;

fn join(
    space: &Arc<dyn Lifetime>,
    driver: &dyn Mirror,
    callbacks: Callbacks,
) -> Result<Leave, Refused> {
    match driver.leaving() {
        Leaving::Unregister => {
            let registration = space.register(callbacks)?;
            Ok(Box::new(move || registration.unregister()))
        }
        Leaving::Put => {
            let mut callbacks = Some(callbacks);
            let mut once = || callbacks.take().ok_or(crate::subject::AllocFailed);
            let shared = space.get(Operations::One, &mut once)?;
            Ok(Box::new(move || shared.put()))
        }
    }
}

fn outlives(implementation: &dyn Implementation) -> Outcome {
    let space = offered(implementation.lifetime())?;
    let (hold, ended) = (Arc::<Hold>::default(), Arc::new(AtomicBool::new(false)));
    let (staying, ending) = (Arc::clone(&hold), Arc::clone(&ended));
    let saw = move |_| {
        staying.stay();
        ending.store(true, Ordering::SeqCst);
    };
    let driver = offered(implementation.mirror(MirrorKind::Amd, Box::new(saw)))?;
    let Subscriber::Callbacks(callbacks) = Arc::clone(&driver).subscriber() else {
        return Err(Failure::Broken("it watches an interval".into()));
    };
    let leave = join(&space, &*driver, callbacks)?;
    let telling = Task::spawn(move || space.invalidate_unlocked(PAGES));
    hold.wait_entered("the callback")?;
    let leaving = Task::spawn(move || leave().map(|()| ended.load(Ordering::SeqCst)));
    std::thread::sleep(crate::task::A_WHILE);
    hold.let_go();
    telling.finish("an invalidation")??;
    let ended = leaving.finish("freeing the domain")??;
    holds(ended, "the domain was gone while its callback ran")
}
