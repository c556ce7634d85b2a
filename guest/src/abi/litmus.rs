//! Scenarios in a batch: many runs of a short bytecode program on each vCPU, without an exit.
//!
//! Everything is in the area [`LITMUS`]: control words, one vCPU's state words each, the scenario's
//! words, initial values, look-up tables, each vCPU's code, the schedule of a replay and its log, and
//! the histogram. The machine writes all of it before the run, and reads the outcomes afterwards.
//! Offsets are from [`LITMUS`].
//!
//! A run is: `reset` on vCPU 0, a barrier, `prime` on each, a barrier, `body` on each, a barrier,
//! `collect` on vCPU 0. Each of these is a section of a vCPU's code, and ends with [`END`]. If no vCPU
//! has a `prime`, there is no barrier for it.
//!
//! The code is for a stack machine. An instruction is one 64-bit word: bits 0 to 7 the operation,
//! bits 8 to 31 its operand `a`, bits 32 to 63 its operand `b`. Values on the stack are 64-bit
//! two's-complement numbers; truth is 1 or 0, and everything but 0 is true. What is popped last was
//! pushed first; `x y -> z` below has the top of the stack on the right. A stack, register, slot or
//! jump out of range ends the operation as `STATUS_BAD`, and so does an operation that is none, or
//! one that is not where it belongs. The result's `instruction` is then the index of that word, and
//! the other vCPUs give up where they wait next. Registers are 0 when the batch begins and keep what
//! they have from run to run; what a section leaves on the stack is gone.

mod fields;
mod random;

pub use fields::{Fields, MOST_FIELDS};
pub use random::{Beginning, Random};

use super::layout::{MAX_VCPUS, PAGE};
use super::words::words;

/// Where the area begins.
pub const LITMUS: u64 = 0x60_0000;
/// End (exclusive) of the area.
pub const LITMUS_END: u64 = 0x80_0000;

/// The [`Control`] words.
pub const CONTROL: u64 = 0;
/// Words that the vCPUs use among themselves: barriers, the step lock. The machine writes zeros here
/// before each batch.
pub const MEETING: u64 = 0x800;
/// One [`Standing`] for each vCPU, [`STANDING_STRIDE`] apart.
pub const STANDINGS: u64 = 0x1000;
/// Bytes from one to the next: two cache lines, since neighbouring lines are fetched together.
pub const STANDING_STRIDE: u64 = 0x80;
/// The scenario's words, at most [`SLOTS`], `8 << alignment` bytes apart (see [`Control`]).
pub const WORDS: u64 = 0x2000;
/// The most words of a scenario.
pub const SLOTS: u64 = 256;
/// The most that an address is shifted by for alignment: words are 8 to 128 bytes apart.
pub const MOST_ALIGNMENT: u64 = 4;
/// Initial values: for each initial state, one word for each of `initial_width` values.
pub const INITIAL: u64 = 0x1_0000;
/// End (exclusive) of those.
pub const INITIAL_END: u64 = 0x2_0000;
/// Tables of [`LOOK_UP`]: bits, 64 in a word.
pub const TABLES: u64 = 0x2_0000;
/// End (exclusive) of those.
pub const TABLES_END: u64 = 0x8_0000;
/// Each vCPU's code: first its [`Sections`], then instructions. A jump's target is an index of words
/// from the beginning of this vCPU's code.
pub const CODE: u64 = 0x8_0000;
/// Bytes from one vCPU's code to the next.
pub const CODE_STRIDE: u64 = 0x1_0000;
/// The schedule of a replay: [`Turn`]s.
pub const SCHEDULE: u64 = 0x10_0000;
/// End (exclusive) of the schedule.
pub const SCHEDULE_END: u64 = 0x12_0000;
/// What the words were after each turn of a replay: for each turn `log_width` words, which the `log`
/// section makes of them (see [`LOG`]).
pub const REPLAY_LOG: u64 = 0x12_0000;
/// End (exclusive) of the log.
pub const REPLAY_LOG_END: u64 = 0x18_0000;
/// The histogram: [`Outcome`]s, filled from the first on. A batch adds to what the control word
/// `outcomes` says is there already.
pub const HISTOGRAM: u64 = 0x18_0000;
/// Room for so many different outcomes.
pub const OUTCOMES: u64 = 0x2000;

/// Entries on the stack.
pub const STACK: u64 = 64;
/// Registers of a vCPU.
pub const REGISTERS: u64 = 512;
/// The most ways of a choice: a turn of a replay has 4 bits for each.
pub const WAYS: u64 = 16;
/// Subroutines within each other.
pub const DEPTH: u64 = 8;
/// Words of an outcome's key.
pub const KEY_WORDS: u64 = 4;
/// The most pages (page-table entries) of a scenario.
pub const PAGES: u64 = 16;
/// The most fields of an entry.
pub const FIELDS: u64 = 8;

const _: () = assert!(STANDINGS + MAX_VCPUS * STANDING_STRIDE <= WORDS);
const _: () = assert!(WORDS + (SLOTS << (3 + MOST_ALIGNMENT)) <= INITIAL);
const _: () = assert!(CODE + MAX_VCPUS * CODE_STRIDE <= SCHEDULE);
const _: () = assert!(LITMUS + HISTOGRAM + OUTCOMES * Outcome::SIZE as u64 <= LITMUS_END);
const _: () = assert!(LITMUS.is_multiple_of(PAGE) && LITMUS_END.is_multiple_of(PAGE));

words! {
    /// What the machine says of a batch, and vCPU 0 of what was done.
    pub struct Control {
        /// [`MODE_BATCH`] or [`MODE_REPLAY`].
        mode,
        /// How many vCPUs take part, from 0 on.
        vcpus,
        /// Number of the first run: what is random depends on `seed` and a run's number only (and on
        /// the vCPU), so that a run can be made again.
        first,
        /// How many runs.
        runs,
        /// Seed of everything that is random.
        seed,
        /// The most `pause`s (inclusive) before a run's body, and between steps; 0 for none.
        delay,
        /// Of so many steps one is delayed, at random; 0 for none.
        delay_one_in,
        /// 0 to [`MOST_ALIGNMENT`]: words are `8 << alignment` bytes apart; anything greater: random
        /// for each run.
        alignment,
        /// How many initial states there are, at least 1; a run begins with a random one.
        initial_states,
        /// Words of each.
        initial_width,
        /// Number of pages.
        pages,
        /// Guest-physical address of the page-table entry of page 0; the others follow it.
        entries,
        /// Guest-virtual address of page 0; the others follow it, a page each.
        window,
        /// Bits of a present entry that stand for no field of the scenario.
        present,
        /// Guest-physical address of frame 0; all frames are within
        /// [`FRAMES`](super::layout::FRAMES).
        frames,
        /// How many frames may be named; a page whose entry has no frame field has frame
        /// `frame_count` + its own number.
        frame_count,
        /// How many [`FieldMap`]s there are, directly behind these words at [`FIELD_MAPS`].
        fields,
        /// How many turns the schedule has.
        turns,
        /// Words of the replay log for each turn.
        log_width,
        /// Pauses in a spin before the vCPU gives the host's CPU away; 0 for never.
        patience,
        /// The machine writes 1 here to have the batch end with the run that is going on. If that
        /// does not end (a step that is tried again and again, a turn that does not come), it is
        /// broken off and not counted.
        stop,
        /// vCPU 0: runs that are over, of this batch.
        done,
        /// vCPU 0: different outcomes in the histogram; the machine writes how many are there before.
        outcomes,
        /// vCPU 0: 1 if the batch ended early because the histogram was full. The run that found it so
        /// is not counted: the machine may empty the histogram and go on with run `first + done`.
        full,
        /// Turns of a replay that were made.
        turn,
        /// A replay that can't go on: 1 + the vCPU that was elsewhere than the schedule says.
        diverged,
    }
}

/// Where the [`FieldMap`]s begin: behind the [`Control`] words.
pub const FIELD_MAPS: u64 = 0x200;

const _: () = assert!(Control::SIZE as u64 <= FIELD_MAPS);
const _: () = assert!(FIELD_MAPS + FIELDS * FieldMap::SIZE as u64 <= MEETING);

/// As fast as can be, with random delays.
pub const MODE_BATCH: u64 = 0;
/// Step by step, as the schedule says; one run.
pub const MODE_REPLAY: u64 = 1;

words! {
    /// How a field of a scenario's entry stands in the processor's.
    pub struct FieldMap {
        /// Lowest bit in the scenario's entry.
        scenario,
        /// As many ones as it has bits.
        ones,
        /// Lowest bit in the processor's entry.
        entry,
        /// 1 if it is the number of a frame: the processor's entry has its address, `frames` + 4096 ×
        /// number. `entry` is not used then.
        is_frame,
    }
}

words! {
    /// Where a vCPU is, for who has to tell why a run does not end. Written by that vCPU.
    pub struct Standing {
        /// Number of the run.
        run,
        /// `b` of the last [`STEP`].
        step,
        /// How often it gave the host's CPU away.
        yields,
    }
}

words! {
    /// Where a vCPU's sections begin, as indices of words from the beginning of its code; 0 for none.
    pub struct Sections {
        /// vCPU 0: sets everything as it is at the beginning.
        reset,
        /// Fills this vCPU's TLB, or empties it.
        prime,
        /// The scenario.
        body,
        /// vCPU 0: makes the outcome's key with [`KEY`].
        collect,
        /// Any vCPU, after each of its turns in a replay: puts `log_width` values into the log with
        /// [`LOG`]. Only this section may.
        log,
        /// Code for turns of a replay that are no steps of this vCPU's program (an event): a table of
        /// indices of words begins here. Turn kind [`TURN_EVENT`] names the number in it.
        events,
        /// How many there are.
        event_count,
    }
}

words! {
    /// Somebody's turn.
    pub struct Turn {
        /// The vCPU.
        vcpu,
        /// [`TURN_STEP`], [`TURN_HANDLER`] or [`TURN_EVENT`].
        kind,
        /// The `b` of the [`STEP`] that it must be at; the number of the handler; of the event.
        at,
        /// Choices: 4 bits each from bit 0 up, in the order in which they are made. A turn that makes
        /// more than 16, or one that there is no such way of, is `STATUS_BAD`.
        choices,
    }
}

/// The vCPU makes the step at which it is.
pub const TURN_STEP: u64 = 0;
/// The vCPU enters a handler (whose first [`STEP`] is part of this turn).
pub const TURN_HANDLER: u64 = 1;
/// The vCPU carries out an event's code, wherever it is.
pub const TURN_EVENT: u64 = 2;

words! {
    /// An outcome and how often it was seen.
    pub struct Outcome {
        /// The first word of its key.
        key0,
        /// The second.
        key1,
        /// The third.
        key2,
        /// The last.
        key3,
        /// How often.
        count,
        /// Number of the first run with it.
        first,
        /// Not used.
        spare0,
        /// Not used.
        spare1,
    }
}

/// The end of a section.
pub const END: u64 = 0;
/// `-> n`: bits 8 to 63 of the word, sign-extended.
pub const CONST: u64 = 1;
/// `-> n`: word `a`.
pub const GET: u64 = 2;
/// `i -> n`: word `a + i`, 0 unless `0 <= i < b`.
pub const GET_AT: u64 = 3;
/// `-> n`: register `a`.
pub const REGISTER: u64 = 4;
/// `n -> m`: `n >> a & b`.
pub const PART: u64 = 5;
/// `n m -> k`: `n` with the bits `b << a` replaced by `(m & b) << a`.
pub const WITH: u64 = 6;
/// `n -> m`: 1 if `n` is not true, else 0.
pub const NOT: u64 = 7;
/// `n m -> k`: 1 if one of them is true, else 0.
pub const OR: u64 = 8;
/// `n m -> k`: 1 if both are true, else 0.
pub const AND: u64 = 9;
/// `n m -> k`: 1 if they are equal, else 0.
pub const EQUAL: u64 = 10;
/// `n m -> k`: 1 if `n < m`, signed, else 0.
pub const LESS: u64 = 11;
/// `n m -> k`: wraps.
pub const ADD: u64 = 12;
/// `n m -> k`: `n - m`, wraps.
pub const SUBTRACT: u64 = 13;
/// `c n m -> k`: `n` if `c`, else `m`.
pub const SELECT: u64 = 14;
/// `i -> n`: bit `i` of the table that begins with word `a` of [`TABLES`].
pub const LOOK_UP: u64 = 15;
/// `-> n`: the value numbered `a` of this run's initial state.
pub const INITIAL_VALUE: u64 = 16;

/// `-> n`: page `a`'s entry as the scenario has it, by one load.
pub const ENTRY: u64 = 20;
/// `n ->`: stores page `a`'s entry; `b` is [`STORE_LOCKED`] or [`STORE_PLAIN`].
pub const SET_ENTRY: u64 = 21;
/// `n m -> ok`: page `a`'s entry becomes `m` if it is `n`, by a locked compare-exchange. Bits that
/// stand for no field of the scenario stay if the entry is and was present.
pub const CAS_ENTRY: u64 = 22;
/// `f -> n`: the word of frame `f`.
pub const CONTENTS: u64 = 23;
/// `f n ->`: the word of frame `f` becomes `n`.
pub const SET_CONTENTS: u64 = 24;

/// `n ->`: word `a` becomes `n`; `b` is [`STORE_LOCKED`] or [`STORE_PLAIN`].
pub const SET: u64 = 28;
/// `i n ->`: word `a + i` becomes `n`, locked; nothing unless `0 <= i < b`.
pub const SET_AT: u64 = 29;
/// `n ->`: register `a` becomes `n`.
pub const SET_REGISTER: u64 = 30;
/// `n m -> ok`: word `a` becomes `m` if it is `n`, by a locked compare-exchange.
pub const CAS: u64 = 31;
/// `n ->`: word `a` grows by `n`, by a locked addition.
pub const GROW: u64 = 32;
/// Goes on at `b`.
pub const JUMP: u64 = 33;
/// `c ->`: goes on at `b` if not `c`.
pub const UNLESS: u64 = 34;
/// `-> i`: which of `a` (1 to 16) ways is gone: at random, or within a turn as that says.
pub const CHOOSE: u64 = 35;
/// Goes on at `b`, until [`RETURN`].
pub const CALL: u64 = 36;
/// Goes on behind the last [`CALL`].
pub const RETURN: u64 = 37;

/// A step begins, number `b`; only in a body, and the step lock is not held. In a batch perhaps a
/// delay. In a replay it waits for this vCPU's turn, carries out the events that come before, and has
/// diverged if the turn is at another step. The body ends here if the schedule is over. Whoever has come
/// to the end of its body goes on carrying out events until the schedule's end.
pub const STEP: u64 = 40;
/// A step is over; in a replay the log section is run, and it is the next one's turn.
pub const STEP_END: u64 = 41;
/// Takes the step lock.
pub const LOCK: u64 = 42;
/// Gives it back.
pub const UNLOCK: u64 = 43;
/// A step can't be made now: pauses, and goes on at `b`. The step lock is not held. In a turn of a
/// replay that is a divergence.
pub const RETRY: u64 = 44;
/// `-> c`: whether handler `a` is entered now, given that it may be: always in a batch. In a replay it
/// waits for this vCPU's turn, of whatever kind, and answers whether that is to enter this handler; the
/// handler's first [`STEP`] (of any number) is then part of the turn. The body ends here if the schedule
/// is over.
pub const ENTERS: u64 = 45;

/// `-> ok`: loads from page `a`; 0 if that faults.
pub const LOAD: u64 = 50;
/// `-> ok`: stores the run's number into page `a`, at offset 8.
pub const STORE: u64 = 51;
/// `-> ok`: increments the word at the beginning of page `a`, locked.
pub const INCREMENT: u64 = 52;
/// INVLPG of page `a`.
pub const INVALIDATE: u64 = 53;
/// Shoots down page `a` on the vCPUs of mask `b`, this one included if it is among them, and waits.
pub const SHOOT_DOWN: u64 = 54;
/// Has the machine invalidate what the SMMU holds of page `a`; `b` is one of the
/// [`notify`](super::port::NOTIFY) kinds. Complete when the instruction is.
pub const NOTIFY: u64 = 55;
/// `-> ok`: the device reads (`b` = 0) or writes (`b` = 1, the pattern with the run's number as seed)
/// 8 bytes at offset 16 of page `a`, on channel = vCPU, with the descriptor in page number vCPU of the
/// [`DESCRIPTORS`](super::layout::DESCRIPTORS).
pub const DMA: u64 = 56;

/// `n ->`: puts bits `b` of `n` into word `a >> 8` of the outcome's key, shifted left by `a & 0xff`;
/// only in `collect`. The key is 0 before.
pub const KEY: u64 = 60;
/// `n ->`: into the log, word `a` of this turn.
pub const LOG: u64 = 61;

/// [`SET`]: sequentially consistent (x86: `xchg`).
pub const STORE_LOCKED: u64 = 0;
/// [`SET`]: an ordinary store, which other CPUs may see later than what follows it.
pub const STORE_PLAIN: u64 = 1;

/// The word of an instruction.
pub const fn instruction(operation: u64, a: u64, b: u64) -> u64 {
    operation & 0xff | (a & 0xff_ffff) << 8 | b << 32
}

/// The word of [`CONST`]; the number has at most 56 bits.
pub const fn constant(number: i64) -> u64 {
    CONST | number.cast_unsigned() << 8
}

/// Guest-physical address of vCPU `index`'s code.
pub const fn code(index: u64) -> u64 {
    LITMUS + CODE + index * CODE_STRIDE
}
