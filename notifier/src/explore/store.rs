//! The states that were found: each once, exactly, in the order in which they were found.

use std::hint::black_box;

use super::machine::State;

/// States in a block of the list.
const BLOCK: usize = 1 << 14;
/// Lines of the index at first.
const FIRST: usize = 1 << 7;
/// States that a line of the index has room for.
const ROOM: usize = 12;

/// A list of states and an index to find one by what it is.
///
/// The list keeps a state's 32-bit words up to the last one in use. The index is a table with open
/// addressing whose buckets are lines of the processor's cache, on average at most seven eighths
/// full: the number of a state, 32 bits, and 8 bits of its hash, so that few states are compared that
/// are not the same. Together that is 24 bytes or less for states of up to 96 bits. No hash is taken
/// for a state: what is found is compared.
pub(super) struct Store<const W: usize> {
    blocks: Vec<Vec<u32>>,
    /// 32-bit words of a state.
    stride: usize,
    index: Vec<Line>,
    len: usize,
}

/// A bucket. It is filled from the front, and what no longer fits goes into the next one.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line {
    /// A byte of each state's hash; how many there are is in the last one.
    tags: [u8; 16],
    numbers: [u32; ROOM],
}

impl Line {
    const EMPTY: Self = Self {
        tags: [0; 16],
        numbers: [0; ROOM],
    };

    fn len(&self) -> usize {
        self.tags[15].into()
    }

    fn is_full(&self) -> bool {
        self.len() == ROOM
    }

    fn push(&mut self, number: u32, tag: u8) {
        let at = self.len();
        (self.tags[at], self.numbers[at]) = (tag, number);
        self.tags[15] += 1;
    }

    /// The numbers with this tag, and now and then another one.
    fn with(&self, tag: u8) -> impl Iterator<Item = usize> {
        const ONES: u128 = u128::MAX / 0xff;
        // A byte that is 0 becomes negative where it was not; a borrow can only make more of them.
        let differences = u128::from_le_bytes(self.tags) ^ (ONES * u128::from(tag));
        let zeroes = differences.wrapping_sub(ONES) & !differences & ONES << 7;
        let mut left = zeroes & ((1 << (8 * self.len())) - 1);
        std::iter::from_fn(move || {
            let at = left.trailing_zeros() as usize / 8;
            left &= left.wrapping_sub(1);
            self.numbers.get(at).map(|number| *number as usize)
        })
    }
}

impl<const W: usize> Store<W> {
    pub(super) fn new(bits: usize) -> Self {
        Self {
            blocks: Vec::new(),
            stride: bits.div_ceil(32).max(1),
            index: vec![Line::EMPTY; FIRST],
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK * self.stride * 4 + self.index.len() * size_of::<Line>()
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
        self.bytes() + block + index * size_of::<Line>()
    }

    fn is_full(&self) -> bool {
        self.len >= self.index.len() * (ROOM * 7) / 8
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

    fn line(&self, hash: u64) -> usize {
        // The high half of a product scales a hash to any size of the index.
        let line = high(u128::from(hash) * self.index.len() as u128);
        usize::try_from(line).unwrap_or(0)
    }

    /// Looks at the places of states that hash so, to bring them into the processor's cache: first
    /// all lines, then what they lead to, so that many loads are on their way at the same time.
    pub(super) fn touch(&self, hashes: &[u64]) {
        let line = |hash: &u64| &self.index[self.line(*hash)];
        let lines = hashes.iter().map(|hash| u32::from(line(hash).tags[15]));
        black_box(lines.fold(0, |all, one| all ^ one));
        let state = |hash: &u64| {
            let first = line(hash).with(tag(*hash)).next();
            first.map_or(0, |id| self.words(id)[0])
        };
        black_box(hashes.iter().map(state).fold(0, |all, one| all ^ one));
    }

    /// The number of `state`, if it was found before.
    pub(super) fn find(&self, state: &State<W>) -> Option<usize> {
        self.find_hashed(state, hash(state))
    }

    /// The number of `state`, which hashes so, if it was found before.
    pub(super) fn find_hashed(&self, state: &State<W>, hash: u64) -> Option<usize> {
        self.probe(state, hash).ok()
    }

    /// The number of `state`, or the line of the index where it belongs.
    fn probe(&self, state: &State<W>, hash: u64) -> Result<usize, usize> {
        let (mut at, tag) = (self.line(hash), tag(hash));
        loop {
            let line = &self.index[at];
            if let Some(id) = line.with(tag).find(|id| self.get(*id) == *state) {
                return Ok(id);
            }
            if !line.is_full() {
                return Err(at);
            }
            at = self.after(at);
        }
    }

    fn after(&self, line: usize) -> usize {
        if line + 1 == self.index.len() {
            0
        } else {
            line + 1
        }
    }

    /// Adds `state`, which hashes so, if it is new, and says whether it is.
    pub(super) fn insert(&mut self, state: &State<W>, hash: u64) -> bool {
        let Err(mut line) = self.probe(state, hash) else {
            return false;
        };
        if self.is_full() {
            self.grow();
            line = self.probe(state, hash).unwrap_or_else(|line| line);
        }
        self.index[line].push(number(self.len), tag(hash));
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

    /// The old index is gone before the new one is there: it is made from the list.
    fn grow(&mut self) {
        let size = self.grown();
        self.index = Vec::new();
        self.index = vec![Line::EMPTY; size];
        for id in 0..self.len {
            let hash = hash(&self.get(id));
            let mut line = self.line(hash);
            while self.index[line].is_full() {
                line = self.after(line);
            }
            self.index[line].push(number(id), tag(hash));
        }
    }
}

/// A state's number as the index keeps it; a search has at most as many states as fit.
fn number(id: usize) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}

/// Some bits of a hash that do not decide where it goes.
fn tag(hash: u64) -> u8 {
    hash.to_le_bytes()[0]
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
