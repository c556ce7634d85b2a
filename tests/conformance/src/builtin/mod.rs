//! The implementation of this project, [`notifier::contract`], as the suite wants it.
//!
//! What its types can't say is refused with [`Refused::ByType`]; what its detector catches panics.

mod aged;
mod binding;
mod commands;
mod domains;
mod fault_gate;
mod interval;
mod progress;
mod single;
mod subscriber;
mod tables;

use std::sync::Arc;

use notifier::contract::{self, AddressSpace, PageTableGuard};

use crate::mirrors;
use crate::mm::Mm;
use crate::subject::{
    Age, Aged, Aging, Binding, Bounds, Callbacks, Commands, Context, Domains, Event, Exit,
    FaultGate, Implementation, Intervals, Lifetime, LockedTable, Mirror, MirrorKind, Platform,
    Primary, Progress, Ranges, Refusals, Refused, Registration, Tell, Witness, Work,
};
pub(crate) use subscriber::Owners;
use subscriber::member;

/// The built-in implementation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builtin;

impl Builtin {
    fn space() -> Arc<Space> {
        Arc::new(Space {
            space: Arc::new(AddressSpace::new(())),
            owners: Arc::default(),
        })
    }
}

impl Implementation for Builtin {
    fn ranges(&self) -> Option<Arc<dyn Ranges>> {
        Some(Self::space())
    }

    fn refusals(&self) -> Option<Arc<dyn Refusals>> {
        Some(Self::space())
    }

    fn lifetime(&self) -> Option<Arc<dyn Lifetime>> {
        Some(Self::space())
    }

    fn intervals(&self) -> Option<Arc<dyn Intervals>> {
        Some(Self::space())
    }

    fn aging(&self) -> Option<Arc<dyn Aging>> {
        Some(Self::space())
    }

    fn context(&self) -> Option<Arc<dyn Context>> {
        Some(Self::space())
    }

    fn primary(&self, platform: Platform, witness: Arc<dyn Witness>) -> Option<Arc<dyn Primary>> {
        Some(Mm::new(None, platform, witness))
    }

    fn commands(&self) -> Option<Arc<dyn Commands>> {
        Some(Arc::new(commands::Drivers))
    }

    fn fault_gate(&self) -> Option<Arc<dyn FaultGate>> {
        Some(Arc::new(fault_gate::Gate::default()))
    }

    fn domains(&self) -> Option<Arc<dyn Domains>> {
        Some(Arc::new(domains::Domains::new()))
    }

    fn aged(&self) -> Option<Arc<dyn Aged>> {
        Some(Arc::new(aged::Aged::new()?))
    }

    fn progress(&self) -> Option<Arc<dyn Progress>> {
        Some(Arc::new(progress::Progress::new()?))
    }

    fn mirror(&self, kind: MirrorKind, saw: Tell<Work>) -> Option<Arc<dyn Mirror>> {
        Some(mirrors::new(None, kind, saw))
    }

    fn binding(&self) -> Option<Arc<dyn Binding>> {
        Some(Arc::new(binding::Bench::new()?))
    }
}

struct Space {
    space: Arc<AddressSpace<()>>,
    owners: Arc<Owners>,
}

fn invalid(error: impl ToString) -> Refused {
    Refused::Invalid(error.to_string())
}

fn exited(_: contract::RegisterError) -> Refused {
    Refused::Exited
}

struct Registered(contract::Subscription);

impl Registration for Registered {
    fn unregister(self: Box<Self>) -> Result<(), Refused> {
        drop(self.0);
        Ok(())
    }
}

/// Registers with any address space of the contract.
pub(crate) fn register<P>(
    space: &AddressSpace<P>,
    callbacks: Callbacks,
    owners: &Arc<Owners>,
) -> Result<Box<dyn Registration>, Refused> {
    let member = member(callbacks, owners)?;
    let subscription = space.register(member).map_err(exited)?;
    Ok(Box::new(Registered(subscription)))
}

impl Ranges for Space {
    fn register(&self, callbacks: Callbacks) -> Result<Box<dyn Registration>, Refused> {
        register(&self.space, callbacks, &self.owners)
    }

    fn invalidate(
        &self,
        event: Event,
        bounds: Bounds,
        body: &mut dyn FnMut(),
    ) -> Result<(), Refused> {
        let event = self.owners.event(event)?;
        let range = bounds.range().map_err(invalid)?;
        let _window = self.space.mutate().into_window(event, range);
        body();
        Ok(())
    }

    /// An end is the drop of a start.
    fn end_without_start(&self, _: Event, _: Bounds) -> Result<(), Refused> {
        Err(Refused::ByType)
    }

    fn with_page_table(&self, body: &mut dyn FnMut(&dyn LockedTable)) -> Result<(), Refused> {
        let guard = self.space.lock_page_table();
        body(&Locked(&guard));
        Ok(())
    }

    fn invalidate_unlocked(&self, bounds: Bounds) -> Result<(), Refused> {
        let range = bounds.range().map_err(invalid)?;
        self.space.invalidate_unlocked(range);
        Ok(())
    }
}

struct Locked<'a>(&'a PageTableGuard<'a, ()>);

impl LockedTable for Locked<'_> {
    fn invalidate_secondary_tlbs(&self, bounds: Bounds) -> Result<(), Refused> {
        let range = bounds.range().map_err(invalid)?;
        self.0.invalidate_secondary_tlbs(range);
        Ok(())
    }
}

impl Refusals for Space {
    fn try_invalidate(
        &self,
        event: Event,
        bounds: Bounds,
        body: &mut dyn FnMut(),
    ) -> Result<(), Refused> {
        let event = self.owners.event(event)?;
        let range = bounds.range().map_err(invalid)?;
        let mut mutation = self.space.mutate();
        let started = mutation.try_start(event, range);
        let _window = started.map_err(|contract::Again| Refused::Again)?;
        body();
        Ok(())
    }
}

impl Exit for Space {
    fn exit(&self) -> Result<(), Refused> {
        self.space.exit();
        Ok(())
    }
}

impl Aging for Space {
    fn age(&self, question: Age, bounds: Bounds) -> Result<bool, Refused> {
        let range = bounds.range().map_err(invalid)?;
        let table = self.space.lock_page_table();
        Ok(match question {
            Age::ClearFlush => table.clear_flush_young(range),
            Age::Clear => table.clear_young(range),
            Age::Test => table.test_young(range),
        })
    }
}

impl Context for Space {
    fn might_sleep(&self) -> Result<(), Refused> {
        contract::might_sleep();
        Ok(())
    }

    /// Its secondary-TLB callback is handed nothing but a range.
    fn install(&self, _: Bounds) -> Result<(), Refused> {
        Err(Refused::ByType)
    }
}
