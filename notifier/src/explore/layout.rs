//! Where in the packed state each thing is.

/// The most 64-bit words that a state may take.
pub(super) const MAX_WORDS: usize = 4;

/// Some bits of one word of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    word: u8,
    shift: u8,
    /// As many ones as there are bits.
    mask: u64,
}

impl Field {
    /// The number of the 64-bit word that it is in.
    pub fn word(self) -> usize {
        self.word.into()
    }

    /// Its lowest bit in that word, 0 to 63.
    pub fn shift(self) -> u32 {
        self.shift.into()
    }

    /// As many ones as it has bits; 0 if it can only be 0.
    pub fn mask(self) -> u64 {
        self.mask
    }

    pub(super) fn get<const W: usize>(self, state: &[u64; W]) -> u64 {
        (state[usize::from(self.word)] >> self.shift) & self.mask
    }

    pub(super) fn bits(self) -> u32 {
        self.mask.count_ones()
    }

    pub(super) fn set<const W: usize>(self, state: &mut [u64; W], value: u64) {
        let word = &mut state[usize::from(self.word)];
        *word = *word & !(self.mask << self.shift) | (value & self.mask) << self.shift;
    }
}

/// The bits of all these fields.
pub(super) fn bits_of<const W: usize>(fields: impl IntoIterator<Item = Field>) -> [u64; W] {
    let mut bits = [0; W];
    fields
        .into_iter()
        .for_each(|field| field.set(&mut bits, u64::MAX));
    bits
}

/// Hands out bits. A field never crosses from one word to the next, so that reading one is a shift
/// and a mask; the first word with room takes it.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Bits in use of each word.
    used: Vec<u8>,
}

impl Layout {
    /// Room for the numbers from 0 to `most`, or `None` if the state would be too large.
    pub(super) fn add(&mut self, most: u64) -> Option<Field> {
        let bits = bits_for(most);
        let word = match self.used.iter().position(|used| used + bits <= 64) {
            Some(word) => word,
            None if self.used.len() == MAX_WORDS => return None,
            None => {
                self.used.push(0);
                self.used.len() - 1
            }
        };
        let shift = self.used[word];
        self.used[word] += bits;
        let mask = if bits == 0 {
            0
        } else {
            u64::MAX >> (64 - bits)
        };
        // A field without bits may be asked for behind the last bit.
        let shift = shift.min(63);
        let word = u8::try_from(word).ok()?;
        Some(Field { word, shift, mask })
    }

    /// Words in use, at least one.
    pub(super) fn words(&self) -> usize {
        self.used.len().max(1)
    }

    /// Bits up to the last one in use.
    pub(super) fn bits(&self) -> usize {
        let last = self.used.last().map_or(0, |used| usize::from(*used));
        (self.words() - 1) * 64 + last
    }
}

/// How many bits the numbers from 0 to `most` take.
fn bits_for(most: u64) -> u8 {
    u8::try_from(64 - most.leading_zeros()).unwrap_or(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_what_is_put_there_and_touch_nothing_else() {
        let mut layout = Layout::default();
        let most = [1, 0, 3, 65_535, u64::from(u32::MAX), 7, 8_191, 1];
        let fields: Vec<Field> = most.iter().map(|most| layout.add(*most).unwrap()).collect();
        assert_eq!((layout.words(), layout.bits()), (2, 77));
        for (field, most) in fields.iter().zip(most) {
            let mut state = [0; 2];
            field.set(&mut state, most);
            for other in &fields {
                let expected = if field == other { most } else { 0 };
                assert_eq!(other.get(&state), expected);
            }
            field.set(&mut state, 0);
            assert_eq!(state, [0; 2]);
        }
    }

    #[test]
    fn a_state_that_is_too_large_is_refused() {
        let mut layout = Layout::default();
        for _ in 0..MAX_WORDS {
            assert!(layout.add(u64::MAX).is_some());
        }
        assert!(layout.add(1).is_none());
    }
}
