//! The states that were found: each once, exactly, in the order in which they were found.

use super::machine::State;

/// States in a block of the list.
const BLOCK: usize = 1 << 14;
/// Places of the index at first.
const FIRST: usize = 1 << 10;
/// Bytes of a place of the index.
const SLOT: usize = 5;

/// A list of states and an index to find one by what it is.
///
/// The list keeps a state's 32-bit words up to the last one in use. The index is a table with open
/// addressing, at most four fifths full: the number of a state, 32 bits, and beside it 8 bits of its
/// hash, so that few states are compared that are not the same. Together that is 24 bytes or less for
/// states of up to 96 bits. No hash is taken for a state: what is found is compared.
pub(super) struct Store<const W: usize> {
    blocks: Vec<Vec<u32>>,
    /// 32-bit words of a state.
    stride: usize,
    index: Vec<u32>,
    /// 0 where the index is free.
    tags: Vec<u8>,
    len: usize,
}

impl<const W: usize> Store<W> {
    pub(super) fn new(bits: usize) -> Self {
        Self {
            blocks: Vec::new(),
            stride: bits.div_ceil(32).max(1),
            index: vec![0; FIRST],
            tags: vec![0; FIRST],
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK * self.stride * 4 + self.index.len() * SLOT
    }

    /// Bytes in use if one more state came.
    pub(super) fn bytes_with_one_more(&self) -> usize {
        let block = if self.len.is_multiple_of(BLOCK) {
            BLOCK * self.stride * 4
        } else {
            0
        };
        let index = if self.is_full() {
            self.grown() - self.index.len()
        } else {
            0
        };
        self.bytes() + block + index * SLOT
    }

    fn is_full(&self) -> bool {
        self.len >= self.index.len() / 5 * 4
    }

    /// Half as much again: doubling would leave most of the index empty half of the time.
    fn grown(&self) -> usize {
        self.index.len() + self.index.len() / 2
    }

    pub(super) fn get(&self, id: usize) -> State<W> {
        let mut state = [0; W];
        for (at, word) in self.words(id).iter().enumerate() {
            state[at / 2] |= u64::from(*word) << (at % 2 * 32);
        }
        state
    }

    fn words(&self, id: usize) -> &[u32] {
        let at = id % BLOCK * self.stride;
        &self.blocks[id / BLOCK][at..at + self.stride]
    }

    fn slot(&self, hash: u64) -> usize {
        // The high half of a product scales a hash to any size of the index.
        let slot = high(u128::from(hash) * self.index.len() as u128);
        usize::try_from(slot).unwrap_or(0)
    }

    /// What is at the place of a state that hashes so, which brings it into the processor's cache.
    pub(super) fn touch(&self, hash: u64) -> u32 {
        let slot = self.slot(hash);
        if self.tags[slot] == tag(hash) {
            self.words(self.index[slot] as usize)[0]
        } else {
            0
        }
    }

    /// The number of `state`, if it was found before.
    pub(super) fn find(&self, state: &State<W>) -> Option<usize> {
        self.probe(state, hash(state)).ok()
    }

    /// The number of `state`, or the place of the index where it belongs.
    fn probe(&self, state: &State<W>, hash: u64) -> Result<usize, usize> {
        let (mut slot, wanted) = (self.slot(hash), tag(hash));
        loop {
            let found = self.tags[slot];
            if found == 0 {
                return Err(slot);
            }
            let id = self.index[slot] as usize;
            if found == wanted && self.get(id) == *state {
                return Ok(id);
            }
            slot = self.after(slot);
        }
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.index.len() {
            0
        } else {
            slot + 1
        }
    }

    /// Adds `state`, which hashes so, if it is new, and says whether it is.
    pub(super) fn insert(&mut self, state: &State<W>, hash: u64) -> bool {
        let Err(mut slot) = self.probe(state, hash) else {
            return false;
        };
        if self.is_full() {
            self.grow();
            slot = self.probe(state, hash).unwrap_or_else(|slot| slot);
        }
        self.put(slot, self.len, hash);
        if self.len.is_multiple_of(BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK * self.stride));
        }
        let halves = state
            .iter()
            .flat_map(|word| [low_half(*word), low_half(*word >> 32)]);
        if let Some(block) = self.blocks.last_mut() {
            block.extend(halves.take(self.stride));
        }
        self.len += 1;
        true
    }

    fn put(&mut self, slot: usize, id: usize, hash: u64) {
        self.index[slot] = u32::try_from(id).unwrap_or(u32::MAX);
        self.tags[slot] = tag(hash);
    }

    /// The old index is gone before the new one is there: it is made from the list.
    fn grow(&mut self) {
        let size = self.grown();
        (self.index, self.tags) = (Vec::new(), Vec::new());
        (self.index, self.tags) = (vec![0; size], vec![0; size]);
        for id in 0..self.len {
            let hash = hash(&self.get(id));
            let mut slot = self.slot(hash);
            while self.tags[slot] != 0 {
                slot = self.after(slot);
            }
            self.put(slot, id, hash);
        }
    }
}

/// Some bits of a hash that do not decide where it goes; never 0.
fn tag(hash: u64) -> u8 {
    hash.to_le_bytes()[0] | 1
}

/// Multiplies and folds each word (as wyhash does); nothing depends on it but speed.
pub(super) fn hash<const W: usize>(state: &State<W>) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for word in state {
        let wide = u128::from(hash ^ word) * 0xa076_1d64_78bd_642f;
        hash = high(wide) ^ low(wide) ^ 0xe703_7ed1_a0b4_28db;
    }
    hash ^ hash >> 29
}

fn high(wide: u128) -> u64 {
    (wide >> 64) as u64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only the low half is wanted"
)]
fn low(wide: u128) -> u64 {
    wide as u64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only the low half is wanted"
)]
fn low_half(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_kept_once_and_comes_back_as_it_was() {
        let mut store = Store::<2>::new(96);
        let state = |number: u64| [number.wrapping_mul(0x9e37_79b9), number % 1000];
        for round in [true, false] {
            for number in 0..100_000 {
                let new = store.insert(&state(number), hash(&state(number)));
                assert_eq!(new, round);
            }
        }
        assert_eq!(store.len(), 100_000);
        for number in (0..100_000_u32).step_by(997) {
            let id = number as usize;
            assert_eq!(store.get(id), state(number.into()));
            assert_eq!(store.find(&state(number.into())), Some(id));
        }
        assert_eq!(store.find(&[1, 1]), None);
    }

    #[test]
    fn a_stored_state_of_96_bits_takes_at_most_24_bytes() {
        let mut store = Store::<2>::new(96);
        let mut most = 0.0_f64;
        for number in 0..1_000_000_u64 {
            let state = [number, 0];
            store.insert(&state, hash(&state));
            if number > 100_000 {
                most = most.max(store.bytes() as f64 / (number + 1) as f64);
            }
        }
        assert!(most <= 24.0, "{most}");
    }
}
