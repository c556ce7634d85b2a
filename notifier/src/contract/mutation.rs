//! Changing an address space: mutations, and the windows in them.

use std::sync::Arc;

use super::context::{self, Context, Inside, MovableInside};
use super::panics::Panics;
use super::roster::Epoch;
use super::seat::Presence;
use super::{AddressSpace, Again, Blocking, Event, Member, Notice, PageTableGuard, RangeEvent};
use crate::addr::{AddrRange, Gva};

/// The right to invalidate ranges of an address space. It counts as held by the thread that began it,
/// also if it is moved to another: that thread can't register until it is dropped.
/// While it lives, nobody joins unseen: who
/// registers meanwhile is told of mutations that begin later, and waits for this one.
pub struct Mutation<P> {
    space: Arc<AddressSpace<P>>,
    /// Keeps whoever registers meanwhile waiting, and says who came before.
    epoch: Arc<Epoch>,
    is_followed: bool,
    _inside: MovableInside,
}

impl<P> Mutation<P> {
    #[track_caller]
    pub(super) fn new(space: Arc<AddressSpace<P>>) -> Self {
        context::not_in_callback(space.core.id);
        let epoch = Arc::clone(&space.core.registry.load().epoch);
        let _inside = MovableInside::new(Context::Mutation(space.core.id));
        Self {
            space,
            is_followed: epoch.is_followed,
            epoch,
            _inside,
        }
    }

    /// Tells range and interval subscribers that `range` is about to change, and on drop of the
    /// result that it has. They may sleep in both.
    ///
    /// # Panics
    /// If this thread holds a page-table lock.
    #[track_caller]
    #[inline]
    pub fn start(&mut self, event: Event, range: AddrRange<Gva>) -> Window<&mut Self> {
        Window::start(self, event, range)
    }

    /// As [`start`](Self::start), but nobody may sleep, so somebody may refuse.
    ///
    /// # Errors
    /// [`Again`] if somebody did. Then there is no window, every subscriber that was told a start
    /// and has an end has been told that too, and nothing may be changed.
    #[track_caller]
    pub fn try_start(
        &mut self,
        event: Event,
        range: AddrRange<Gva>,
    ) -> Result<Window<&mut Self>, Again> {
        Window::try_start(self, event, range)
    }

    /// As [`start`](Self::start), for a mutation of this one window.
    #[track_caller]
    pub fn into_window(self, event: Event, range: AddrRange<Gva>) -> Window<Self> {
        Window::start(self, event, range)
    }

    /// Takes the page-table lock; no window of this mutation can be opened or closed while it is
    /// held.
    ///
    /// ```compile_fail,E0499
    /// # use std::sync::Arc;
    /// # use notifier::addr::AddrRange;
    /// # use notifier::contract::{AddressSpace, Event};
    /// let space = Arc::new(AddressSpace::new(()));
    /// let mut mutation = space.mutate();
    /// let table = mutation.lock_page_table();
    /// let window = mutation.start(Event::Unmap, AddrRange::all()); // may sleep
    /// drop(table);
    /// ```
    ///
    /// # Panics
    /// If this thread holds it already.
    #[track_caller]
    pub fn lock_page_table(&mut self) -> PageTableGuard<'_, P> {
        self.space.lock_page_table()
    }

    /// Tells the start to everybody who was there when the mutation began, and each time who was told
    /// to `told`; whether anybody refused.
    #[track_caller]
    fn start_all(&self, event: &RangeEvent, mut told: impl FnMut(u64)) -> Result<(), Again> {
        let core = &self.space.core;
        let roster = core.registry.load();
        let _inside = Inside::new(core.context(event));
        let mut outcome = Ok(());
        for member in there_before(roster.ranges(), self.epoch.number) {
            let started = start_one(&member.seat.member, event);
            told(member.since);
            outcome = outcome.and(started);
        }
        outcome
    }

    /// Tells the end to everybody who is still there of those up to `last`.
    #[track_caller]
    fn end_all(&self, event: &RangeEvent, last: u64) {
        let core = &self.space.core;
        let roster = core.registry.load();
        let _inside = Inside::new(core.context(event));
        let mut panics = Panics::default();
        panics.catch_each(there_before(roster.ranges(), last), |member| {
            if let Member::Range(subscriber) = &member.seat.member {
                subscriber.invalidate_range_end(event);
            }
        });
        panics.resume();
    }
}

/// Those who came with this number or before; who is oldest comes first.
fn there_before(members: &[Arc<Presence>], number: u64) -> impl Iterator<Item = &Arc<Presence>> {
    members
        .iter()
        .take_while(move |member| member.since <= number)
}

fn start_one(member: &Member, event: &RangeEvent) -> Result<(), Again> {
    match (member, event.blocking) {
        (Member::Range(subscriber), _) => subscriber.invalidate_range_start(event),
        (Member::Refusing(subscriber), Blocking::Allowed) => {
            subscriber.invalidate_range_start(event);
        }
        (Member::Refusing(subscriber), Blocking::Forbidden) => {
            return subscriber.try_invalidate_range_start(event);
        }
        (Member::SecondaryTlb(_), _) => {}
    }
    Ok(())
}

/// A mutation, borrowed or owned.
pub trait Holder: sealed::Sealed {
    /// Its page table.
    type PageTable;

    #[doc(hidden)]
    fn mutation(&self) -> &Mutation<Self::PageTable>;
}

mod sealed {
    pub trait Sealed {}
}

impl<P> sealed::Sealed for Mutation<P> {}
impl<H: Holder> sealed::Sealed for &mut H {}
impl<H: Holder> sealed::Sealed for Window<H> {}

impl<P> Holder for Mutation<P> {
    type PageTable = P;

    fn mutation(&self) -> &Mutation<P> {
        self
    }
}

impl<H: Holder> Holder for &mut H {
    type PageTable = H::PageTable;

    fn mutation(&self) -> &Mutation<H::PageTable> {
        (**self).mutation()
    }
}

impl<H: Holder> Holder for Window<H> {
    type PageTable = H::PageTable;

    fn mutation(&self) -> &Mutation<H::PageTable> {
        self.holder.mutation()
    }
}

/// A range that is being invalidated: from the start that its making was, to the end that its drop
/// is. So an end can't be forgotten, doubled or sent without a start.
#[must_use = "dropping this ends the invalidation"]
pub struct Window<H: Holder> {
    holder: H,
    event: RangeEvent,
    stage: Stage,
}

/// Who has been told the start.
#[derive(Clone, Copy)]
enum Stage {
    /// Nobody: there is nobody.
    Unfollowed,
    /// The interval subscribers if there are any, and of the others those up to this number.
    Told(u64),
}

impl<H: Holder> Window<H> {
    #[track_caller]
    #[inline]
    fn start(holder: H, event: Event, range: AddrRange<Gva>) -> Self {
        context::might_sleep();
        context::no_user_lock();
        let blocking = Blocking::Allowed;
        let event = RangeEvent {
            event,
            range,
            blocking,
        };
        if !holder.mutation().is_followed {
            return Self::unfollowed(holder, event);
        }
        let mut window = Self::unfollowed(holder, event);
        // A blockable start is never refused: none of the callbacks can say so.
        let _never = window.tell_start();
        window
    }

    #[track_caller]
    #[inline]
    fn try_start(holder: H, event: Event, range: AddrRange<Gva>) -> Result<Self, Again> {
        let blocking = Blocking::Forbidden;
        let event = RangeEvent {
            event,
            range,
            blocking,
        };
        if !holder.mutation().is_followed {
            return Ok(Self::unfollowed(holder, event));
        }
        let mut window = Self::unfollowed(holder, event);
        window.tell_start()?;
        Ok(window)
    }

    #[inline]
    fn unfollowed(holder: H, event: RangeEvent) -> Self {
        let stage = Stage::Unfollowed;
        Self {
            holder,
            event,
            stage,
        }
    }

    /// Another window inside this one.
    ///
    /// # Panics
    /// As [`Mutation::start`].
    #[track_caller]
    pub fn nest(&mut self, event: Event, range: AddrRange<Gva>) -> Window<&mut Self> {
        Window::start(self, event, range)
    }

    /// As [`nest`](Self::nest), but nobody may sleep.
    ///
    /// # Errors
    /// As [`Mutation::try_start`].
    #[track_caller]
    pub fn try_nest(
        &mut self,
        event: Event,
        range: AddrRange<Gva>,
    ) -> Result<Window<&mut Self>, Again> {
        Window::try_start(self, event, range)
    }

    /// Takes the page-table lock; the window can't be closed while it is held.
    ///
    /// ```compile_fail,E0505
    /// # use std::sync::Arc;
    /// # use notifier::addr::AddrRange;
    /// # use notifier::contract::{AddressSpace, Event};
    /// let space = Arc::new(AddressSpace::new(()));
    /// let mut window = space.mutate().into_window(Event::Unmap, AddrRange::all());
    /// let table = window.lock_page_table();
    /// drop(window); // may sleep
    /// drop(table);
    /// ```
    ///
    /// # Panics
    /// If this thread holds it already.
    #[track_caller]
    pub fn lock_page_table(&mut self) -> PageTableGuard<'_, H::PageTable> {
        self.holder.mutation().space.lock_page_table()
    }

    /// What was announced.
    pub fn event(&self) -> &RangeEvent {
        &self.event
    }

    /// Whoever can't be told without sleeping stops it: the interval side stops at the first, the
    /// other goes through all (Linux: `mn_itree_invalidate`, `mn_hlist_invalidate_range_start`).
    #[track_caller]
    #[inline(never)]
    fn tell_start(&mut self) -> Result<(), Again> {
        let mutation = self.holder.mutation();
        let core = &mutation.space.core;
        core.note(Notice::RangeStart(self.event));
        if mutation.epoch.has_intervals {
            core.intervals.start(&self.event)?;
        }
        let stage = &mut self.stage;
        *stage = Stage::Told(0);
        mutation.start_all(&self.event, |member| *stage = Stage::Told(member))
    }

    /// Tells the end to those who were told the start, up to the one with this number.
    #[track_caller]
    #[inline(never)]
    fn tell_end(&mut self, told: u64) {
        let mutation = self.holder.mutation();
        let core = &mutation.space.core;
        core.note(Notice::RangeEnd(self.event));
        if mutation.epoch.has_intervals {
            core.intervals.end();
        }
        mutation.end_all(&self.event, told);
    }
}

impl<H: Holder> Drop for Window<H> {
    #[inline]
    fn drop(&mut self) {
        // First of all the end is told: nobody is to be left without one, whatever is wrong here.
        if let Stage::Told(told) = self.stage {
            self.tell_end(told);
        }
        if self.event.blocking == Blocking::Allowed {
            context::might_sleep();
        }
    }
}
