//! A second implementation of the contract, plain and slow: one lock, one condition variable.
//!
//! Without a fault it passes every case, which shows that the cases are not made for one
//! implementation. With a [`Fault`] it fails those that name it as their twin. Nothing but cases uses
//! it.

mod age;
mod aged;
mod binding;
mod commands;
mod detector;
mod dispatch;
mod distort;
mod domains;
mod fault_gate;
mod held;
mod interval;
mod interval_handle;
mod membership;
mod progress;
mod seat;
mod single;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};

use crate::faulty::Fault;
use crate::mirrors;
use crate::mm::Mm;
use crate::subject::{
    Aged, Aging, Binding, Commands, Context, Domains, FaultGate, Implementation, Intervals,
    Lifetime, Mirror, MirrorKind, Operations, Platform, Primary, Progress, Ranges, Refusals,
    Refused, Tell, Witness, Work,
};
use detector::{Inside, Kind};
use interval::IntervalState;
use seat::{Seat, lock};
use single::Single;

/// Makes address spaces of the model, with or without a fault.
#[derive(Clone, Default)]
pub struct Model {
    fault: Option<Fault>,
    spaces: Arc<Mutex<Vec<Weak<Space>>>>,
}

impl Model {
    /// The model without a fault.
    pub fn correct() -> Self {
        Self::default()
    }

    /// The model with one.
    pub fn with(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    fn space(&self) -> Arc<Space> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let space = Arc::new_cyclic(|myself| Space {
            myself: Weak::clone(myself),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            fault: self.fault,
            spaces: Arc::clone(&self.spaces),
            state: Mutex::new(State::new(self.fault)),
            changed: Condvar::new(),
            page_table: Mutex::new(()),
        });
        lock(&self.spaces).push(Arc::downgrade(&space));
        space
    }
}

impl Implementation for Model {
    fn ranges(&self) -> Option<Arc<dyn Ranges>> {
        Some(self.space())
    }

    fn refusals(&self) -> Option<Arc<dyn Refusals>> {
        Some(self.space())
    }

    fn lifetime(&self) -> Option<Arc<dyn Lifetime>> {
        Some(self.space())
    }

    fn intervals(&self) -> Option<Arc<dyn Intervals>> {
        Some(self.space())
    }

    fn aging(&self) -> Option<Arc<dyn Aging>> {
        Some(self.space())
    }

    fn context(&self) -> Option<Arc<dyn Context>> {
        Some(self.space())
    }

    fn primary(&self, platform: Platform, witness: Arc<dyn Witness>) -> Option<Arc<dyn Primary>> {
        Some(Mm::new(self.fault, platform, witness))
    }

    fn commands(&self) -> Option<Arc<dyn Commands>> {
        Some(Arc::new(commands::Drivers(self.fault)))
    }

    fn fault_gate(&self) -> Option<Arc<dyn FaultGate>> {
        Some(Arc::new(fault_gate::Gate::new(self.fault)))
    }

    fn domains(&self) -> Option<Arc<dyn Domains>> {
        Some(Arc::new(domains::Domains::new(self.fault)))
    }

    fn aged(&self) -> Option<Arc<dyn Aged>> {
        Some(Arc::new(aged::Aged::new(self.fault)))
    }

    fn progress(&self) -> Option<Arc<dyn Progress>> {
        Some(Arc::new(progress::Progress::new(self.fault)))
    }

    fn mirror(&self, kind: MirrorKind, saw: Tell<Work>) -> Option<Arc<dyn Mirror>> {
        Some(mirrors::new(self.fault, kind, saw))
    }

    fn binding(&self) -> Option<Arc<dyn Binding>> {
        Some(Arc::new(binding::Bench::new(self.fault)))
    }
}

struct Space {
    myself: Weak<Self>,
    id: usize,
    fault: Option<Fault>,
    spaces: Arc<Mutex<Vec<Weak<Self>>>>,
    state: Mutex<State>,
    changed: Condvar,
    page_table: Mutex<()>,
}

struct State {
    seats: Vec<Arc<Seat>>,
    /// Windows that are open.
    windows: u32,
    /// Who waits until none is.
    joining: u32,
    /// Releases that run; only a fault looks at them.
    releasing: u32,
    /// Windows that are open and have an owner; only a fault looks at them.
    owned: u32,
    exited: bool,
    singles: HashMap<Operations, Single>,
    intervals: IntervalState,
}

impl State {
    fn new(fault: Option<Fault>) -> Self {
        Self {
            seats: Vec::new(),
            windows: 0,
            joining: 0,
            releasing: 0,
            owned: 0,
            exited: false,
            singles: HashMap::new(),
            intervals: IntervalState::new(fault),
        }
    }
}

impl Space {
    fn has(&self, fault: impl Into<Fault>) -> bool {
        self.fault == Some(fault.into())
    }

    /// Refuses in such a context, unless this fault is there.
    fn refuse_unless(
        &self,
        fault: impl Into<Fault>,
        what: &str,
        which: impl Fn(Inside) -> bool,
    ) -> Result<(), Refused> {
        if self.has(fault) {
            return Ok(());
        }
        detector::refuse(what, which)
    }

    fn not_locked(&self, fault: impl Into<Fault>, what: &str) -> Result<(), Refused> {
        self.refuse_unless(fault, what, |inside| matches!(inside, Inside::Lock(_)))
    }

    fn others(&self) -> Vec<Arc<Self>> {
        let spaces = lock(&self.spaces);
        let others = spaces.iter().filter_map(Weak::upgrade);
        others.filter(|space| space.id != self.id).collect()
    }

    /// Frees a subscriber that was given back, on whichever thread comes last.
    fn free(&self, seat: &Seat) {
        let _inside = detector::Entered::new(Inside::Atomic(self.id, Kind::Free));
        if let Some(free) = &seat.callbacks.free {
            free();
            if self.has(crate::faulty::LifetimeFault::FreeTwice) {
                free();
            }
        }
    }

    /// Calls a subscriber unless it is gone, and frees it if that was what it waited for.
    fn call<R>(
        &self,
        seat: &Seat,
        inside: Inside,
        body: impl FnOnce(&crate::subject::Callbacks) -> R,
    ) -> Option<R> {
        let (result, free) = seat.call(|callbacks| {
            let _inside = detector::Entered::new(inside);
            body(callbacks)
        });
        if free {
            self.free(seat);
        }
        result
    }
}
