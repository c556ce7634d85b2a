//! The array: sets of ways, read without a lock.

use super::tag::{Key, Tag};
use crate::sync::model::{AtomicU32, AtomicU64, Ordering, fence};

/// Entries in a set.
pub const WAYS: usize = 4;

/// What an entry holds beside its key.
pub(super) type Words = [u64; 3];

/// A set. What a look-up compares fills the first cache line, and a look-up that finds nothing reads
/// nothing else; each entry's words are in one more.
///
/// It is a sequence lock: odd while a way is being written. Who reads a way between two equal even
/// values has read what was written in one piece.
#[derive(Debug)]
#[repr(C, align(64))]
struct Set {
    sequence: AtomicU64,
    tags: [AtomicU64; WAYS],
    ids: [AtomicU32; WAYS],
    /// The way that is replaced next.
    turn: AtomicU32,
    /// The fourth word keeps an entry from lying across two lines.
    words: [[AtomicU64; 4]; WAYS],
}

/// Sets of entries of any kind. Whatever takes `&mut` in spirit, which is all but
/// [`read`](Self::read), must be called under the owner's lock.
#[derive(Debug)]
pub(super) struct Sets {
    sets: Vec<Set>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    set: usize,
    way: usize,
}

/// The set was being written: what was read is worth nothing.
#[derive(Debug)]
pub(super) struct Moving;

impl Set {
    fn empty() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            tags: std::array::from_fn(|_| AtomicU64::new(0)),
            ids: std::array::from_fn(|_| AtomicU32::new(0)),
            turn: AtomicU32::new(0),
            words: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
        }
    }

    #[inline]
    fn key(&self, way: usize) -> Key {
        Key {
            tag: Tag::from_raw(self.tags[way].load(Ordering::Relaxed)),
            id: self.ids[way].load(Ordering::Relaxed),
        }
    }

    #[inline]
    fn words(&self, way: usize) -> Words {
        let [first, second, third, _] = &self.words[way];
        [first, second, third].map(|word| word.load(Ordering::Relaxed))
    }

    /// Compares all ways before it decides: which one it is can't be foretold, whether it is any can.
    #[inline]
    fn find(&self, key: Key) -> Option<usize> {
        let same = |way| usize::from(self.key(way) == key) << way;
        let found = same(0) | same(1) | same(2) | same(3);
        (found != 0).then(|| found.trailing_zeros() as usize & (WAYS - 1))
    }

    #[inline]
    fn read(&self, key: Key) -> Result<Option<Words>, Moving> {
        let before = self.sequence.load(Ordering::Acquire);
        let Some(way) = self.find(key) else {
            return Ok(None);
        };
        let words = self.words(way);
        fence(Ordering::Acquire);
        let after = self.sequence.load(Ordering::Relaxed);
        if before & 1 == 0 && before == after {
            Ok(Some(words))
        } else {
            Err(Moving)
        }
    }

    fn write(&self, way: usize, key: Key, words: Words) {
        let before = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(before.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.tags[way].store(key.tag.raw(), Ordering::Relaxed);
        self.ids[way].store(key.id, Ordering::Relaxed);
        for (to, word) in self.words[way].iter().zip(words) {
            to.store(word, Ordering::Relaxed);
        }
        self.sequence
            .store(before.wrapping_add(2), Ordering::Release);
    }

    /// The way whose turn it is to be replaced.
    fn next(&self) -> usize {
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
        turn as usize & (WAYS - 1)
    }
}

impl Sets {
    /// For at least this many entries: the number of sets is rounded up to a power of two.
    pub(super) fn new(entries: usize) -> Self {
        let count = entries.div_ceil(WAYS).max(1).next_power_of_two();
        let sets = std::iter::repeat_with(Set::empty).take(count).collect();
        Self { sets }
    }

    pub(super) fn count(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// The words of the entry with this key, for anybody at any time.
    ///
    /// # Errors
    /// [`Moving`] if it was there and something was written to its set meanwhile.
    #[inline]
    pub(super) fn read(&self, key: Key) -> Result<Option<Words>, Moving> {
        self.sets[self.set(key)].read(key)
    }

    /// Where the entry with this key is.
    pub(super) fn find(&self, key: Key) -> Option<Place> {
        let set = self.set(key);
        let way = self.sets[set].find(key)?;
        Some(Place { set, way })
    }

    /// Where an entry with this key is to go: where it is, to an empty way, to one whose generation
    /// has ended, or in the place of the one whose turn it is.
    pub(super) fn room(&self, key: Key, ended: impl Fn(u32) -> bool) -> Place {
        let index = self.set(key);
        let set = &self.sets[index];
        let way = set
            .find(key)
            .or_else(|| (0..WAYS).find(|way| set.key(*way) == Key::NONE))
            .or_else(|| (0..WAYS).find(|way| ended(set.key(*way).id)))
            .unwrap_or_else(|| set.next());
        Place { set: index, way }
    }

    pub(super) fn key(&self, place: Place) -> Key {
        self.sets[place.set].key(place.way)
    }

    pub(super) fn words(&self, place: Place) -> Words {
        self.sets[place.set].words(place.way)
    }

    pub(super) fn write(&self, place: Place, key: Key, words: Words) {
        self.sets[place.set].write(place.way, key, words);
    }

    pub(super) fn empty(&self, place: Place) {
        self.write(place, Key::NONE, [0; 3]);
    }

    /// Every way of this generation, in no order to be relied on.
    pub(super) fn of_generation(&self, id: u32) -> impl Iterator<Item = Place> {
        let ways = (0..self.sets.len()).flat_map(|set| (0..WAYS).map(move |way| (set, way)));
        ways.map(|(set, way)| Place { set, way })
            .filter(move |place| self.key(*place).id == id)
    }

    /// Empties every way that isn't.
    pub(super) fn wipe(&self) {
        for set in &self.sets {
            for way in (0..WAYS).filter(|way| set.key(*way) != Key::NONE) {
                set.write(way, Key::NONE, [0; 3]);
            }
        }
    }

    /// Neighbouring pages of one generation go to neighbouring sets; generations and page sizes are
    /// spread by an odd multiplier each.
    #[inline]
    fn set(&self, key: Key) -> usize {
        let spread = u64::from(key.id).wrapping_mul(0x9e37_79b9)
            ^ u64::from(key.tag.shift()).wrapping_mul(0x85eb_ca6b);
        let hash = key.tag.number().wrapping_add(spread);
        usize::try_from(hash & (self.sets.len() as u64 - 1)).unwrap_or(0)
    }
}
