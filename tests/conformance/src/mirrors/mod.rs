//! Drivers, most of them of devices with page tables of their own, as small as can be: each keeps the rules that
//! set it apart from the others. They are the built-in ones, and with a fault twins.

mod intervals;
mod ranges;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notifier::addr::Gva;

use crate::faulty::{ConsumerFault, Fault};
use crate::subject::{Bounds, Leaving, Mirror, MirrorKind, OwnerId, Page, Subscriber, Tell, Work};

/// As whom they begin what has an owner.
const OWNER: OwnerId = OwnerId(7);

/// A driver with nothing mapped.
pub(crate) fn new(fault: Option<Fault>, kind: MirrorKind, saw: Tell<Work>) -> Arc<dyn Mirror> {
    let pages = Mutex::default();
    Arc::new(Driver {
        kind,
        fault,
        saw,
        pages,
    })
}

struct Driver {
    kind: MirrorKind,
    fault: Option<Fault>,
    saw: Tell<Work>,
    /// By address; what is not in here is absent.
    pages: Mutex<BTreeMap<Gva, Page>>,
}

impl Driver {
    fn has(&self, fault: ConsumerFault) -> bool {
        self.fault == Some(fault.into())
    }

    fn did(&self, work: Work) {
        (self.saw)(work);
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<Gva, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device's pages of the range are gone.
    fn zap(&self, bounds: Bounds) {
        self.pages().retain(|page, _| !has(bounds, *page));
    }

    fn evict(&self, bounds: Bounds) {
        for (page, state) in self.pages().iter_mut() {
            if has(bounds, *page) {
                *state = Page::Evicted;
            }
        }
    }
}

fn has(bounds: Bounds, page: Gva) -> bool {
    bounds.start <= page && page < bounds.end
}

impl Mirror for Driver {
    fn subscriber(self: Arc<Self>) -> Subscriber {
        match self.kind {
            MirrorKind::Kvm => Subscriber::Callbacks(self.kvm()),
            MirrorKind::Nouveau => Subscriber::Callbacks(self.nouveau()),
            MirrorKind::Amdkfd => Subscriber::Interval(self.amdkfd()),
            MirrorKind::Hfi1 => Subscriber::Interval(self.hfi1()),
            MirrorKind::Xe => Subscriber::Interval(self.xe()),
            MirrorKind::Hmm => Subscriber::Interval(self.hmm()),
            MirrorKind::Amd => Subscriber::Callbacks(self.amd()),
        }
    }

    fn fill(&self, page: Gva) {
        self.pages().insert(page, Page::Held);
    }

    fn page(&self, page: Gva) -> Page {
        self.pages().get(&page).copied().unwrap_or(Page::Absent)
    }

    fn leaving(&self) -> Leaving {
        match self.has(ConsumerFault::PutsWithoutWaiting) {
            true => Leaving::Put,
            false => Leaving::Unregister,
        }
    }

    fn owner(&self) -> OwnerId {
        OWNER
    }
}
