//! The TLB.

mod invalidate;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::sync::{Arc, Mutex};

use super::Inserted;
use super::packed::{pack_leaf, unpack_leaf};
use super::registry::Registry;
use super::residents::Residents;
use super::sets::{Moving, Place, Sets, Words};
use super::space::{FillTicket, Space, SpaceKey};
use super::tag::{Key, Tag, shifts};
use crate::addr::{AddrRange, Iova, PageSize};
use crate::contract::Step;
use crate::paging::Leaf;
use crate::secondary::Cached;
use crate::sync::lock;

/// How often a look-up meets a set that is being written before it waits for the writer.
const ATTEMPTS: usize = 16;

/// A translation cache: set-associative, of bounded capacity, for many threads.
///
/// An entry stays until it is invalidated or another needs its place. In a full set what was
/// invalidated along with its whole space is replaced first; then the ways take turns, which is
/// oldest first as long as nothing of the set is invalidated.
#[derive(Debug)]
pub struct Tlb {
    sets: Sets,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    registry: Registry,
    residents: Residents,
}

impl Tlb {
    /// An empty TLB for at least this many entries: the number of sets is rounded up to a power of
    /// two.
    pub fn new(entries: usize) -> Self {
        Self::from_generation(entries, 1)
    }

    fn from_generation(entries: usize, first: u32) -> Self {
        let books = Books {
            registry: Registry::default(),
            residents: Residents::new(first),
        };
        Self {
            sets: Sets::new(entries),
            books: Mutex::new(books),
        }
    }

    /// The most entries it can hold.
    pub fn capacity(&self) -> usize {
        self.sets.capacity()
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        lock(&self.books).residents.live()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The space with this key: the same for everybody, for as long as anybody holds it or it has
    /// entries.
    pub fn space(&self, key: SpaceKey) -> Arc<Space> {
        lock(&self.books).registry.space(key)
    }

    /// Every space whose key is wanted: what an invalidation of more than one space goes through.
    pub fn spaces(&self, mut wanted: impl FnMut(SpaceKey) -> bool) -> Vec<Arc<Space>> {
        let books = lock(&self.books);
        let spaces = books.registry.iter();
        spaces.filter(|space| wanted(space.key())).collect()
    }

    /// The entry that translates `iova`: one of its own space, else a global one; of several sizes
    /// the smallest. It takes no lock, unless a writer keeps changing what it looks at.
    #[inline]
    pub fn lookup(&self, own: &Space, global: Option<&Space>, iova: Iova) -> Option<Cached> {
        let further = || self.find(global?, iova);
        let found = match self.attempt(own, iova) {
            Ok(Some(found)) => Some(found),
            Ok(None) => further(),
            Err(Moving) => self.insist(own, iova).or_else(further),
        };
        let (tag, words) = found?;
        unpack_leaf(tag, words)
    }

    /// A walk for `space` begins: to be called before it reads any table or the walk cache.
    pub fn fill_began(&self, space: &Space) -> FillTicket {
        space.ticket()
    }

    /// Puts in what a walk found for all of `page`, unless it was invalidated since it began. An
    /// entry for the same page is replaced.
    ///
    /// The page may be larger than the leaf's own: that of a group of contiguous entries, of which
    /// `leaf` is the first. Look-ups return the leaf as it is given here.
    pub fn insert(
        &self,
        space: &Space,
        ticket: FillTicket,
        page: AddrRange<Iova>,
        leaf: Leaf,
        filled: Step,
    ) -> Inserted {
        self.insert_piece(space, ticket, page, (page, leaf), filled)
    }

    /// The same for a piece of `whole`, which is mapped as one: it goes with any address of that.
    pub fn insert_piece(
        &self,
        space: &Space,
        ticket: FillTicket,
        whole: AddrRange<Iova>,
        (page, leaf): (AddrRange<Iova>, Leaf),
        filled: Step,
    ) -> Inserted {
        let Some(tag) = Tag::of(page) else {
            return Inserted::Unfit;
        };
        let words = pack_leaf(&leaf, filled);
        let mut books = lock(&self.books);
        if space.overtook(ticket, whole) {
            return Inserted::Overtaken;
        }
        let Some(id) = self.generation(&mut books, space) else {
            return Inserted::Unfit;
        };
        if whole != page
            && let Some(size) = Tag::of(whole).and_then(|it| PageSize::from_shift(it.shift()))
        {
            space.has_pieces_of(size);
        }
        let key = Key { tag, id };
        let place = self.room(&books.residents, key);
        let before = self.sets.key(place);
        self.sets.write(place, key, words);
        if before != key {
            books.residents.came(key);
            books.residents.went(before);
        }
        Inserted::Kept
    }

    /// Empties it. Counts as an invalidation of every space. Returns how many entries went.
    pub fn clear(&self) -> u64 {
        let mut books = lock(&self.books);
        let gone = books.residents.live();
        self.restart(&mut books.residents);
        for space in books.registry.iter() {
            space.invalidated(AddrRange::all());
        }
        gone as u64
    }

    fn find(&self, space: &Space, iova: Iova) -> Option<(Tag, Words)> {
        match self.attempt(space, iova) {
            Ok(found) => found,
            Err(Moving) => self.insist(space, iova),
        }
    }

    /// Generations are compared once more at the end: the number of one that has ended means
    /// another after all numbers were used up.
    ///
    /// Part of whoever calls it: an entry that is passed through memory costs as much as its look-up.
    #[inline(always)]
    fn attempt(&self, space: &Space, iova: Iova) -> Result<Option<(Tag, Words)>, Moving> {
        let id = space.id();
        for shift in shifts(space.sizes()) {
            let tag = Tag::around(iova, shift);
            if let Some(words) = self.sets.read(Key { tag, id })? {
                let same = space.id() == id;
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
        let _writers_wait = lock(&self.books);
        self.attempt(space, iova).ok().flatten()
    }

    /// The generation that an entry of `space` is to belong to; `None` if the space is not of this
    /// TLB.
    fn generation(&self, books: &mut Books, space: &Space) -> Option<u32> {
        if space.id() != 0 {
            return books.residents.is_own(space).then(|| space.id());
        }
        let own = books.registry.get(space.key())?;
        if !std::ptr::eq(&*own, space) {
            return None;
        }
        books.residents.begin(own.clone()).or_else(|| {
            self.restart(&mut books.residents);
            books.residents.begin(own)
        })
    }

    fn restart(&self, residents: &mut Residents) {
        residents.restart();
        self.sets.wipe();
    }

    fn room(&self, residents: &Residents, key: Key) -> Place {
        let any = residents.any_ended();
        self.sets.room(key, |id| any && residents.has_ended(id))
    }
}
