//! The walk cache: pointers to the tables on the way.

#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Inserted;
use super::packed::{pack_table, unpack_table};
use super::sets::{Moving, Sets, Words};
use super::space::{FillTicket, Space};
use super::tag::{Key, Tag, shifts, tags, touched};
use crate::addr::{AddrRange, Gpa, Iova, Permissions};
use crate::contract::Step;
use crate::paging::Level;
use crate::sync::lock;

/// How often a look-up meets a set that is being written before it waits for the writer.
const ATTEMPTS: usize = 16;

/// A table that walks of some addresses come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedTable {
    /// Those addresses: what the entry that points to it spans.
    pub covers: AddrRange<Iova>,
    /// The table's level.
    pub level: Level,
    /// Where it is.
    pub next: Gpa,
    /// The most that any page below may allow, by all tables above it.
    pub limits: Permissions,
    /// When it was put there.
    pub filled: Step,
}

/// A cache of table pointers: set-associative, of bounded capacity, for many threads. It is replaced
/// and read like a [`Tlb`](super::Tlb).
#[derive(Debug)]
pub struct WalkCache {
    sets: Sets,
    /// Which time generations are numbered from 1 on. What a space says of its generation is this
    /// and the number; said of an earlier time it means nothing.
    round: AtomicU32,
    /// The number of the generation that begins next.
    next: Mutex<u32>,
}

impl WalkCache {
    /// An empty one for at least this many entries: the number of sets is rounded up to a power of
    /// two.
    pub fn new(entries: usize) -> Self {
        Self {
            sets: Sets::new(entries),
            round: AtomicU32::new(0),
            next: Mutex::new(1),
        }
    }

    /// The most entries it can hold.
    pub fn capacity(&self) -> usize {
        self.sets.capacity()
    }

    /// The last table on the way to `iova` that is known.
    #[inline]
    pub fn lookup(&self, space: &Space, iova: Iova) -> Option<CachedTable> {
        let found = match self.attempt(space, iova) {
            Ok(found) => found,
            Err(Moving) => self.insist(space, iova),
        };
        let (tag, words) = found?;
        unpack_table(tag, words)
    }

    /// Puts in a table that a walk came through, unless it was invalidated since the walk began.
    pub fn insert(&self, space: &Space, ticket: FillTicket, table: &CachedTable) -> Inserted {
        let Some(tag) = Tag::of(table.covers) else {
            return Inserted::Unfit;
        };
        let mut next = lock(&self.next);
        if space.overtook(ticket, table.covers) {
            return Inserted::Overtaken;
        }
        let id = self.generation(&mut next, space);
        let key = Key { tag, id };
        let place = self.sets.room(key, |_| false);
        self.sets.write(place, key, pack_table(table));
        space.spans.fetch_or(1 << tag.shift(), Ordering::Relaxed);
        Inserted::Kept
    }

    /// Takes out every table of this space that covers any address of `range`, of whatever level it
    /// is. Returns how many went.
    pub fn invalidate(&self, space: &Space, range: AddrRange<Iova>) -> u64 {
        let _writers_wait = lock(&self.next);
        let removed = self.remove(space, range);
        space.invalidated(range);
        removed
    }

    /// Takes out everything of this space, in constant time. To empty the cache, do it for every space
    /// ([`Tlb::spaces`](super::Tlb::spaces)): each must know of it, because of its walks in flight.
    pub fn invalidate_space(&self, space: &Space) {
        let _writers_wait = lock(&self.next);
        space.tables.store(0, Ordering::Release);
        space.spans.store(0, Ordering::Relaxed);
        space.invalidated(AddrRange::all());
    }

    /// As in the TLB.
    #[inline(always)]
    fn attempt(&self, space: &Space, iova: Iova) -> Result<Option<(Tag, Words)>, Moving> {
        let said = space.tables.load(Ordering::Acquire);
        let id = self.current(said);
        for shift in shifts(space.spans.load(Ordering::Relaxed)) {
            let tag = Tag::around(iova, shift);
            if let Some(words) = self.sets.read(Key { tag, id })? {
                let same = self.current(space.tables.load(Ordering::Relaxed)) == id;
                return same.then_some(Some((tag, words))).ok_or(Moving);
            }
        }
        Ok(None)
    }

    #[cold]
    fn insist(&self, space: &Space, iova: Iova) -> Option<(Tag, Words)> {
        for _ in 1..ATTEMPTS {
            std::hint::spin_loop();
            if let Ok(found) = self.attempt(space, iova) {
                return found;
            }
        }
        let _writers_wait = lock(&self.next);
        self.attempt(space, iova).ok().flatten()
    }

    fn remove(&self, space: &Space, range: AddrRange<Iova>) -> u64 {
        let id = self.current(space.tables.load(Ordering::Acquire));
        let spans = space.spans.load(Ordering::Relaxed);
        if id == 0 {
            return 0;
        }
        if touched(range, spans) > self.sets.count() as u64 {
            return self.sweep(id, range);
        }
        shifts(spans)
            .flat_map(|shift| tags(range, shift))
            .filter_map(|tag| self.sets.find(Key { tag, id }))
            .map(|place| self.sets.empty(place))
            .count() as u64
    }

    fn sweep(&self, id: u32, range: AddrRange<Iova>) -> u64 {
        let overlaps = |page: AddrRange<Iova>| page.overlaps(range);
        self.sets
            .of_generation(id)
            .filter(|place| self.sets.key(*place).tag.page().is_some_and(overlaps))
            .map(|place| self.sets.empty(place))
            .count() as u64
    }

    /// The generation that a space means by what it says; 0 for none.
    #[inline]
    fn current(&self, said: u64) -> u32 {
        let [round, id] = halves(said);
        if round == self.round.load(Ordering::Acquire) {
            id
        } else {
            0
        }
    }

    /// The generation of `space`, or a new one.
    fn generation(&self, next: &mut u32, space: &Space) -> u32 {
        let id = self.current(space.tables.load(Ordering::Acquire));
        if id != 0 {
            return id;
        }
        if *next == u32::MAX {
            self.restart(next);
        }
        let id = *next;
        *next += 1;
        let round = self.round.load(Ordering::Relaxed);
        space.spans.store(0, Ordering::Relaxed);
        let said = u64::from(round) << 32 | u64::from(id);
        space.tables.store(said, Ordering::Release);
        id
    }

    fn restart(&self, next: &mut u32) {
        self.round.fetch_add(1, Ordering::AcqRel);
        self.sets.wipe();
        *next = 1;
    }
}

fn halves(word: u64) -> [u32; 2] {
    let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
    [half(word >> 32), half(word)]
}
