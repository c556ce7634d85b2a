//! Changes of the page table, in windows of every shape.

use std::ops::RangeInclusive;

use fastrand::Rng;
use notifier::contract::{
    Again, Blocking, Event, Holder, Owner, PageTableGuard, RangeEvent, Window,
};

use crate::pages::{Table, range, some};
use crate::report::doing;
use crate::world::World;
use crate::{delivered, jitter};

pub(crate) struct Mutator<'a> {
    pub(crate) thread: usize,
    pub(crate) rng: &'a mut Rng,
    pub(crate) world: &'a World,
}

impl Mutator<'_> {
    /// One mutation, of one window or several, some with another inside.
    pub(crate) fn mutate(&mut self) {
        doing(self.thread, "begin a mutation");
        let mut mutation = self.world.space.mutate();
        delivered::mutation_has_begun();
        for _ in 0..self.rng.u32(1..=3) {
            let blocking = self.blocking();
            let announced = self.announce(blocking);
            let window = match announced.blocking {
                Blocking::Allowed => Ok(mutation.start(announced.event, announced.range)),
                Blocking::Forbidden => mutation.try_start(announced.event, announced.range),
            };
            self.finish(window, |mutator, window| mutator.nest(window));
        }
    }

    /// One mutation that is one window.
    pub(crate) fn mutate_once(&mut self) {
        doing(self.thread, "begin a mutation of one window");
        let mutation = self.world.space.mutate();
        delivered::mutation_has_begun();
        let announced = self.announce(Blocking::Allowed);
        let window = mutation.into_window(announced.event, announced.range);
        self.finish(Ok(window), |mutator, window| mutator.nest(window));
    }

    fn nest<H: Holder<PageTable = Table>>(&mut self, outer: &mut Window<H>) {
        if self.rng.u32(..3) > 0 {
            return;
        }
        let blocking = self.blocking();
        let announced = self.announce(blocking);
        let window = match announced.blocking {
            Blocking::Allowed => Ok(outer.nest(announced.event, announced.range)),
            Blocking::Forbidden => outer.try_nest(announced.event, announced.range),
        };
        self.finish(window, |_, _| ());
    }

    /// Mostly the usual one.
    fn blocking(&mut self) -> Blocking {
        match self.rng.u32(..3) {
            0 => Blocking::Forbidden,
            _ => Blocking::Allowed,
        }
    }

    /// Chooses what is announced next.
    fn announce(&mut self, blocking: Blocking) -> RangeEvent {
        let event = match self.rng.u32(..6) {
            0 => Event::Unmap,
            1 => Event::Clear,
            2 => Event::ProtectionPage,
            3 => Event::Migrate(Owner::unique()),
            // With a name of its own, so that no other window's end can pass for this one's.
            _ => Event::Exclusive(Owner::unique()),
        };
        let range = range(&some(self.rng));
        let announced = RangeEvent {
            event,
            range,
            blocking,
        };
        doing(self.thread, "start a window");
        delivered::begin(announced);
        announced
    }

    /// Changes pages of a window that was not refused, and ends it.
    fn finish<H: Holder<PageTable = Table>>(
        &mut self,
        window: Result<Window<H>, Again>,
        then: impl FnOnce(&mut Self, &mut Window<H>),
    ) {
        if let Ok(mut window) = window {
            let pages = crate::pages::pages(window.event().range);
            doing(self.thread, "change pages of a window");
            self.change(&mut window.lock_page_table(), pages);
            then(self, &mut window);
            jitter::pause();
            doing(self.thread, "end a window");
            drop(window);
        }
        delivered::finish();
    }

    fn change(&mut self, table: &mut PageTableGuard<'_, Table>, pages: RangeInclusive<usize>) {
        for page in pages.clone() {
            table[page] = self.world.next_version();
            self.world.own_page_tables.publish(page, table[page]);
        }
        doing(self.thread, "invalidate secondary TLBs");
        table.invalidate_secondary_tlbs(range(&pages));
        for page in pages {
            self.world.secondary_tlbs.publish(page, table[page]);
        }
    }
}
