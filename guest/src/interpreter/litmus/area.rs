//! Memory that the machine, the vCPUs and their page-table walkers share.
#![allow(
    unsafe_code,
    reason = "the area is memory that the machine shares with the payload"
)]

use core::mem::offset_of;
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::AtomicU64;

use crate::abi::dma::Descriptor;
use crate::abi::litmus::{
    CODE_STRIDE, CONTROL, Control, FIELD_MAPS, FieldMap, HISTOGRAM, LITMUS, MEETING, MOST_FIELDS,
    Outcome, SCHEDULE, STANDING_STRIDE, STANDINGS, Sections, Standing, Turn, code,
};

/// 64-bit words in memory, at equal distances.
#[derive(Clone, Copy)]
pub(super) struct Words {
    base: u64,
    count: u64,
    /// In powers of two.
    distance: u64,
}

impl Words {
    /// `count` words from the guest-physical address `base` on, `1 << distance` bytes apart. They are
    /// memory that holds nothing of Rust's: the area, frames, page-table entries.
    pub(super) const fn new(base: u64, count: u64, distance: u64) -> Self {
        Self {
            base,
            count,
            distance,
        }
    }

    /// Neighbouring words of the area from offset `from` to offset `to`.
    pub(super) const fn between(from: u64, to: u64) -> Self {
        Self::new(LITMUS + from, (to - from) / 8, 3)
    }

    /// The word at `index`, if there are so many.
    #[inline]
    pub(super) fn at(&self, index: u64) -> Option<&'static AtomicU64> {
        (index < self.count).then(|| word(self.base + (index << self.distance)))
    }
}

/// One vCPU's code.
pub(super) const fn code_words(vcpu: u64) -> Words {
    Words::new(code(vcpu), CODE_STRIDE / 8, 3)
}

macro_rules! control_word {
    ($name:ident) => {
        pub(super) fn $name() -> &'static AtomicU64 {
            word(LITMUS + CONTROL + offset_of!(Control, $name) as u64)
        }
    };
}

control_word!(stop);
control_word!(done);
control_word!(outcomes);
control_word!(full);
control_word!(turn);
control_word!(diverged);

macro_rules! standing_word {
    ($name:ident, $field:ident) => {
        pub(super) fn $name(vcpu: u64) -> &'static AtomicU64 {
            let standing = LITMUS + STANDINGS + vcpu * STANDING_STRIDE;
            word(standing + offset_of!(Standing, $field) as u64)
        }
    };
}

standing_word!(standing_run, run);
standing_word!(standing_step, step);
standing_word!(standing_yields, yields);

/// A word of what vCPUs use among themselves, two cache lines from the next.
pub(super) const fn meeting(number: u64) -> u64 {
    LITMUS + MEETING + number * STANDING_STRIDE
}

/// The word at a guest-physical address.
#[inline]
pub(super) fn word(address: u64) -> &'static AtomicU64 {
    // SAFETY: who names an address names memory that holds nothing of Rust's (see `Words::new`), and
    // each such word is only ever accessed atomically while vCPUs run.
    unsafe { AtomicU64::from_ptr(pointer(address)) }
}

pub(super) fn control() -> Control {
    // SAFETY: as for `word`; any bytes are valid words. So for all of what is read below.
    unsafe { pointer::<Control>(LITMUS + CONTROL).read_volatile() }
}

pub(super) fn field_maps() -> [FieldMap; MOST_FIELDS] {
    // SAFETY: as for `control`.
    unsafe { pointer::<[FieldMap; MOST_FIELDS]>(LITMUS + FIELD_MAPS).read_volatile() }
}

pub(super) fn sections(vcpu: u64) -> Sections {
    // SAFETY: as for `control`; `vcpu` is one.
    unsafe { pointer::<Sections>(code(vcpu)).read_volatile() }
}

/// The turn at `index`, which is in the schedule.
pub(super) fn scheduled(index: u64) -> Turn {
    let at = LITMUS + SCHEDULE + index * Turn::SIZE as u64;
    // SAFETY: as for `control`; the index was checked.
    unsafe { pointer::<Turn>(at).read_volatile() }
}

fn outcome(index: u64) -> *mut Outcome {
    pointer(LITMUS + HISTOGRAM + index * Outcome::SIZE as u64)
}

pub(super) fn read_outcome(index: u64) -> Outcome {
    // SAFETY: as for `control`; the histogram is vCPU 0's.
    unsafe { outcome(index).read_volatile() }
}

pub(super) fn write_outcome(index: u64, value: Outcome) {
    // SAFETY: as for `read_outcome`.
    unsafe { outcome(index).write_volatile(value) }
}

/// Writes a descriptor that is this vCPU's, at a guest-physical address.
pub(super) fn write_descriptor(address: u64, descriptor: Descriptor) {
    // SAFETY: the layout sets the place aside for descriptors.
    unsafe { pointer::<Descriptor>(address).write_volatile(descriptor) }
}

fn pointer<T>(address: u64) -> *mut T {
    with_exposed_provenance_mut(index(address))
}

/// A number as an index.
#[expect(
    clippy::cast_possible_truncation,
    reason = "every payload is a 64-bit one"
)]
pub(super) const fn index(number: u64) -> usize {
    number as usize
}
