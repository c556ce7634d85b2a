//! What is looked at in the end, packed.

use std::collections::BTreeSet;

use guest::abi::litmus as code;
use notifier::explore::program::{Field, Owner, Program, Shown};

use super::Refusal;
use super::places::{Place, Places};

/// Where in an outcome's key a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) field: Field,
    pub(super) word: u64,
    pub(super) shift: u8,
    /// As many ones as it has bits.
    pub(super) ones: u64,
}

/// How an outcome is packed: the values of variables, then one bit for each condition that a step can
/// break.
#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    parts: Vec<Part>,
    broken: Vec<Part>,
}

/// A key as the histogram has it.
pub(super) type Packed = [u64; WORDS];

/// Words of a key.
const WORDS: usize = 4;

const _: () = assert!(WORDS as u64 == code::KEY_WORDS);

impl Key {
    /// # Errors
    /// There are more values than a key has room for.
    pub(super) fn new(
        program: &Program,
        places: &Places,
        unknown: &BTreeSet<Field>,
    ) -> Result<Self, Refusal> {
        let mut key = Self::default();
        let mut room = Room::default();
        let shown = program.shown.iter().filter(|shown| is_seen(shown, places));
        for shown in shown.filter(|shown| {
            // What a device or a CPU does to an entry or a frame is seen there, whoever models it.
            let real = !matches!(places.of(shown.field), Some(Place::Slot(_)));
            real || !unknown.contains(&shown.field)
        }) {
            key.parts.push(room.part(shown.field, shown.most)?);
        }
        for _ in &program.properties {
            key.broken.push(room.part(Field::default(), 1)?);
        }
        Ok(key)
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn broken(&self) -> &[Part] {
        &self.broken
    }

    /// The variables in it.
    pub(super) fn fields(&self) -> Vec<Field> {
        self.parts.iter().map(|part| part.field).collect()
    }

    /// The values of the variables in an outcome.
    pub(super) fn values(&self, packed: &Packed) -> Vec<u64> {
        self.parts.iter().map(|part| part.of(packed)).collect()
    }

    /// Which conditions steps have broken, by their number.
    pub(super) fn broken_in(&self, packed: &Packed) -> Vec<usize> {
        let broken = self.broken.iter().enumerate();
        let broken = broken.filter(|(_, part)| part.of(packed) != 0);
        broken.map(|(number, _)| number).collect()
    }
}

impl Part {
    fn of(&self, packed: &Packed) -> u64 {
        let word = usize::try_from(self.word).ok();
        let word = word.and_then(|word| packed.get(word)).copied();
        word.unwrap_or(0) >> self.shift & self.ones
    }
}

/// Whether there is something to look at on a machine.
pub(super) fn is_seen(shown: &Shown, places: &Places) -> bool {
    let place = places.of(shown.field);
    let place = matches!(
        place,
        Some(Place::Slot(_) | Place::Page(_) | Place::Contents(_))
    );
    place && shown.owner != Owner::Register
}

/// Bits of a key that are still free.
#[derive(Default)]
struct Room {
    word: u64,
    used: u8,
}

impl Room {
    fn part(&mut self, field: Field, most: u64) -> Result<Part, Refusal> {
        let ones = u64::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        let bits = u8::try_from(ones.count_ones()).unwrap_or(64);
        if self.used + bits > 64 {
            self.word += 1;
            self.used = 0;
        }
        if self.word == code::KEY_WORDS {
            return Err(Refusal::cell(
                "there are more bits to look at in the end than 256",
            ));
        }
        let shift = self.used.min(63);
        self.used += bits;
        Ok(Part {
            field,
            word: self.word,
            shift,
            ones,
        })
    }
}
