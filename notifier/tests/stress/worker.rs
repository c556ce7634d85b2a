//! A thread: what it has, and what it does next.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use fastrand::Rng;
use notifier::contract::{RegisterError, Shared, Subscription};

use crate::jitter;
use crate::mirror::Mirror;
use crate::mutator::Mutator;
use crate::pages::{PAGES, range, some};
use crate::ranges::{Ranges, Refuser};
use crate::record::{AfterExit, Record};
use crate::report::doing;
use crate::single::{OneMirror, OneTlb};
use crate::tlb::Tlb;
use crate::watch::Watched;
use crate::world::World;

/// Of each kind, in each address space.
const MOST: usize = 2;

pub(crate) struct Worker {
    number: usize,
    rng: Rng,
    places: Vec<Place>,
}

/// What a thread has in one address space.
struct Place {
    world: Arc<World>,
    ranges: Vec<(Subscription, Arc<Ranges>)>,
    refusers: Vec<(Subscription, Arc<Refuser>)>,
    tlbs: Vec<(Subscription, Arc<Tlb>)>,
    one_mirror: Vec<Shared<OneMirror>>,
    one_tlb: Vec<Shared<OneTlb>>,
    watched: Vec<Watched>,
}

impl Worker {
    pub(crate) fn new(number: usize, rng: Rng, worlds: &[Arc<World>]) -> Self {
        let places = worlds.iter().map(Place::new).collect();
        Self {
            number,
            rng,
            places,
        }
    }

    /// Makes random operations, `count` times; `ends`: and ends the address spaces towards the end.
    pub(crate) fn work(&mut self, count: u64, ends: bool) {
        jitter::seed(self.rng.u64(..));
        let end_at = self.rng.u64(count * 3 / 4..count);
        // Some operations count as several.
        for step in 0..count / 2 {
            let place = self.rng.usize(..self.places.len());
            let place = &mut self.places[place];
            if ends && step == end_at / 2 {
                doing(self.number, "exit");
                place.world.exit();
            }
            place.step(self.number, &mut self.rng);
        }
    }

    /// When nobody works any more: looks at what it has, and lets go of it.
    pub(crate) fn stop(mut self) {
        for place in &mut self.places {
            place.check_closed();
            place.leave_all(self.number);
        }
        doing(self.number, "nothing");
    }
}

impl Place {
    fn new(world: &Arc<World>) -> Self {
        Self {
            world: Arc::clone(world),
            ranges: Vec::new(),
            refusers: Vec::new(),
            tlbs: Vec::new(),
            one_mirror: Vec::new(),
            one_tlb: Vec::new(),
            watched: Vec::new(),
        }
    }

    fn step(&mut self, thread: usize, rng: &mut Rng) {
        if self.world.is_ending() {
            // Both want to release it.
            self.unregister(thread, rng);
        }
        let page = rng.usize(..PAGES);
        match rng.u32(..100) {
            0..25 => self.mutate(thread, rng),
            25..60 => self.access(thread, page, rng),
            60..66 => {
                doing(thread, "change a page of the kernel's half");
                self.world.change_kernel(page);
            }
            66..74 => self.age(thread, rng),
            74..80 => self.register(thread, rng),
            80..85 => self.unregister(thread, rng),
            85..88 => self.get(thread, rng),
            88..92 => self.put(thread, rng),
            92..96 => self.insert(thread, rng),
            _ => self.remove(thread, rng),
        }
    }

    fn mutate(&self, thread: usize, rng: &mut Rng) {
        let mut mutator = Mutator {
            thread,
            rng,
            world: &self.world,
        };
        if mutator.rng.bool() {
            mutator.mutate();
        } else {
            mutator.mutate_once();
        }
    }

    /// Every one of what it has accesses a page.
    fn access(&self, thread: usize, page: usize, rng: &mut Rng) {
        for (_, ranges) in &self.ranges {
            doing(thread, "access by ranges");
            ranges.0.access(page);
        }
        for (_, tlb) in &self.tlbs {
            doing(thread, "access by a TLB");
            tlb.access(page);
            tlb.access_kernel(page);
        }
        self.one_mirror.iter().for_each(|one| one.0.access(page));
        self.one_tlb.iter().for_each(|one| one.0.access(page));
        for watched in &self.watched {
            doing(thread, "read an interval");
            watched.access(page);
        }
        if rng.u32(..4) == 0 {
            self.check_released();
        }
    }

    fn age(&self, thread: usize, rng: &mut Rng) {
        doing(thread, "age");
        let table = self.world.space.lock_page_table();
        let range = range(&some(rng));
        let _young = match rng.u32(..3) {
            0 => table.clear_flush_young(range),
            1 => table.clear_young(range),
            _ => table.test_young(range),
        };
    }

    fn register(&mut self, thread: usize, rng: &mut Rng) {
        let (world, space) = (&self.world, &self.world.space);
        let record = |kind| Record::new(kind, AfterExit::Silent, &world.ending);
        match rng.u32(..3) {
            0 if self.ranges.len() < MOST => {
                doing(thread, "register ranges");
                let ranges = Arc::new(Ranges(Mirror::new(record("ranges"), world)));
                let registered = space.register_ranges(ranges.clone());
                self.ranges
                    .extend(registered.ok().map(|subscription| (subscription, ranges)));
            }
            1 if self.refusers.len() < MOST => {
                doing(thread, "register one that refuses");
                let refuser = Arc::new(Refuser(record("refuser")));
                let registered = space.register_refusing(refuser.clone());
                self.refusers
                    .extend(registered.ok().map(|subscription| (subscription, refuser)));
            }
            2 if self.tlbs.len() < MOST => {
                doing(thread, "register a TLB");
                let tlb = Arc::new(Tlb::new(record("TLB"), world));
                let registered = space.register_secondary_tlb(tlb.clone());
                self.tlbs
                    .extend(registered.ok().map(|subscription| (subscription, tlb)));
            }
            _ => {}
        }
    }

    fn unregister(&mut self, thread: usize, rng: &mut Rng) {
        match rng.u32(..3) {
            0 => self.leave_ranges(thread),
            1 => self.leave_refusers(thread),
            _ => self.leave_tlbs(thread),
        }
    }

    fn leave_ranges(&mut self, thread: usize) {
        if let Some((subscription, ranges)) = self.ranges.pop() {
            doing(thread, "unregister ranges");
            leave(subscription, &ranges.0.record);
        }
    }

    fn leave_refusers(&mut self, thread: usize) {
        if let Some((subscription, refuser)) = self.refusers.pop() {
            doing(thread, "unregister one that refuses");
            leave(subscription, &refuser.0);
        }
    }

    fn leave_tlbs(&mut self, thread: usize) {
        if let Some((subscription, tlb)) = self.tlbs.pop() {
            doing(thread, "unregister a TLB");
            leave(subscription, &tlb.record);
        }
    }

    fn get(&mut self, thread: usize, rng: &mut Rng) {
        let world = &self.world;
        if rng.bool() && self.one_mirror.len() < MOST {
            doing(thread, "get the one mirror");
            let new = || Mirror::new(world.new_single("the one mirror"), world);
            let got = world.space.get(|| Ok::<_, ()>(OneMirror(new())));
            self.one_mirror.extend(got.ok());
        } else if self.one_tlb.len() < MOST {
            doing(thread, "get the one TLB");
            let new = || Tlb::new(world.new_single("the one TLB"), world);
            let got = world.space.get(|| Ok::<_, ()>(OneTlb(new())));
            self.one_tlb.extend(got.ok());
        }
    }

    fn put(&mut self, thread: usize, rng: &mut Rng) {
        if rng.bool() {
            self.put_mirror(thread);
        } else {
            self.put_tlb(thread);
        }
    }

    fn put_mirror(&mut self, thread: usize) {
        if let Some(one) = self.one_mirror.pop() {
            doing(thread, "put the one mirror");
            one.0.record.give_back();
            one.0.let_go();
            drop(one);
        }
    }

    fn put_tlb(&mut self, thread: usize) {
        if let Some(one) = self.one_tlb.pop() {
            doing(thread, "put the one TLB");
            one.0.record.give_back();
            one.0.let_go();
            drop(one);
        }
    }

    fn insert(&mut self, thread: usize, rng: &mut Rng) {
        if self.watched.len() < MOST {
            doing(thread, "insert an interval");
            let lock = &self.world.locks[rng.usize(..self.world.locks.len())];
            let watched = Watched::insert(&self.world, lock, &some(rng));
            self.watched
                .extend(watched.inspect_err(|why| self.check_refused(*why)));
        }
    }

    fn check_refused(&self, why: RegisterError) {
        let begun = self.world.ending.begun.load(SeqCst);
        crate::check!(begun, "refused though nobody ends it: {why}");
    }

    fn remove(&mut self, thread: usize, rng: &mut Rng) {
        if !self.watched.is_empty() {
            doing(thread, "remove an interval");
            let at = rng.usize(..self.watched.len());
            self.watched.swap_remove(at).remove();
        }
    }

    /// Whoever was there when the address space ended was released by the time that it had.
    fn check_released(&self) {
        let records = self.ranges.iter().map(|(_, ranges)| &ranges.0.record);
        let records = records.chain(self.refusers.iter().map(|(_, refuser)| &refuser.0));
        let records = records.chain(self.tlbs.iter().map(|(_, tlb)| &tlb.record));
        records.for_each(|record| record.check_released_by_exit());
        self.watched
            .iter()
            .for_each(Watched::check_released_by_exit);
    }

    fn check_closed(&self) {
        self.check_released();
        self.ranges
            .iter()
            .for_each(|(_, ranges)| ranges.0.check_closed());
        self.one_mirror.iter().for_each(|one| one.0.check_closed());
    }

    fn leave_all(&mut self, thread: usize) {
        while !self.ranges.is_empty() {
            self.leave_ranges(thread);
        }
        while !self.refusers.is_empty() {
            self.leave_refusers(thread);
        }
        while !self.tlbs.is_empty() {
            self.leave_tlbs(thread);
        }
        while !self.one_mirror.is_empty() {
            self.put_mirror(thread);
        }
        while !self.one_tlb.is_empty() {
            self.put_tlb(thread);
        }
        self.watched.drain(..).for_each(Watched::remove);
    }
}

fn leave(subscription: Subscription, record: &Record) {
    record.leave(|| drop(subscription));
    record.check_released();
}
