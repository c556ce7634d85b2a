//! What [`op::PROBE`](super::op::PROBE) can do, and the words that it takes and leaves. These batches
//! run inside the guest without an exit of their own, since what they look for does not survive one
//! on every host.

use super::layout::{FLAGS, FRAMES, FRAMES_END, PAGE, SHARED_END};
use super::words::words;

/// Carries out `c` rounds of an empty loop in ring 3; `value` is the clock ticks that they took.
pub const COUNT_RING_3: u64 = 0;
/// The same loop in ring 0.
pub const COUNT_RING_0: u64 = 1;
/// Writes the word 0 to the serial port's scratch register `c` times; ticks.
pub const WRITE_PORT: u64 = 2;
/// Stores 8 zero bytes at the device register `b`, `c` times; ticks.
pub const WRITE_DEVICE: u64 = 3;
/// Stores the 4 bytes 1 at the doorbell `b`, `c` times; ticks.
pub const RING_DOORBELL: u64 = 4;
/// Reads the clock `c` times; ticks.
pub const READ_CLOCK: u64 = 5;
/// Invalidates one page `c` times; ticks.
pub const INVALIDATE: u64 = 6;
/// Takes the permission to write from pages that [`STORE_TO_PAGES`] stores to; `b` is the address of
/// the [`Race`], `c` the number of rounds of [`PAGES`] tries.
pub const TAKE_WRITE: u64 = 7;
/// The other side of [`TAKE_WRITE`], with the same operands.
pub const STORE_TO_PAGES: u64 = 8;
/// Loads or stores, changes the entry, and loads or stores again, on one vCPU; `b` is the address of
/// the [`Stale`], `c` the number of rounds of [`PAGES`] tries.
pub const CHANGE_AND_USE: u64 = 9;
/// Loads before and after [`CHANGE_PAGES`] on another vCPU changes the entries; operands likewise.
pub const USE_PAGES: u64 = 10;
/// The other side of [`USE_PAGES`], with the same operands.
pub const CHANGE_PAGES: u64 = 11;

/// Pages, in a row, that a round tries.
pub const PAGES: u64 = 64;

/// Where a machine puts the [`Race`] or the [`Stale`].
pub const WORDS: u64 = FRAMES + 0x10 * PAGE;
/// What became of each page's stores, a word a page: bits `STORED_*`.
pub const OUTCOMES: u64 = WORDS + PAGE;
/// Words through which the two sides wait for each other, a cache line each: the round that the
/// entries are ready for...
pub const READY: u64 = FLAGS;
/// ...one more than the page that is being stored to...
pub const AT: u64 = FLAGS + 64;
/// ...the round whose first stores or loads are over...
pub const USED: u64 = FLAGS + 128;
/// ...the round whose entries are changed...
pub const CHANGED: u64 = FLAGS + 192;
/// ...and the round that is over.
pub const OVER: u64 = FLAGS + 256;

/// By a locked exchange-and-add, which returns the old entry (as `lock btr` clears one bit).
pub const LOCKED: u64 = 0;
/// By a compare-and-exchange loop that also moves the dirty bit into [`SAVED_DIRTY`], as Linux does
/// from 6.6 on.
pub const COMPARE_EXCHANGE: u64 = 1;
/// By a load and a store.
pub const PLAIN: u64 = 2;

/// Another frame.
pub const REMAP: u64 = 0;
/// Read-write to read-only.
pub const DOWNGRADE: u64 = 1;
/// No page any more.
pub const UNMAP: u64 = 2;

/// No invalidation.
pub const FLUSH_NOT: u64 = 0;
/// On the vCPU whose cached translations matter.
pub const FLUSH_USER: u64 = 1;
/// On the vCPU that changes the entry only, where that is another one.
pub const FLUSH_CHANGER: u64 = 2;

/// The first word of the frame that an entry leads to at first.
pub const OLD_WORD: u64 = u64::from_le_bytes(*b"oldframe");
/// The first word of the frame of [`REMAP`]'s new entry.
pub const NEW_WORD: u64 = u64::from_le_bytes(*b"newframe");

/// Writable, in an entry (Intel SDM vol. 3, table 4-20).
pub const WRITABLE: u64 = 1 << 1;
/// Dirty.
pub const DIRTY: u64 = 1 << 6;
/// Linux's `_PAGE_BIT_SAVED_DIRTY`: ignored by the processor.
pub const SAVED_DIRTY: u64 = 1 << 58;

words! {
    /// A race for a page's permission to write: what is wanted, and what was counted.
    pub struct Race {
        /// Where the first page's entry stands; those of the others follow it.
        slot,
        /// The first page's address.
        page,
        /// The entry that all start with: present, writable, accessed, clean.
        entry,
        /// How the permission is taken: [`LOCKED`], [`COMPARE_EXCHANGE`], [`PLAIN`].
        way,
        /// `FLUSH_NOT` or `FLUSH_USER`: whether the storing side invalidates before its second store.
        flush,
        /// Of the random delays.
        seed,
        /// Tries so far.
        tries,
        /// First stores that got through.
        stored,
        /// First stores that were refused.
        refused,
        /// Entries that were dirty when the permission was taken.
        dirty_before,
        /// Entries that were not, and became dirty afterwards: left with W=0, D=1 by nobody's store.
        dirty_after,
        /// Entries with W=0, D=1 at the end, for whatever reason.
        left_dirty,
        /// First stores that got through and of which no dirty bit remains, saved ones included.
        lost_dirty,
        /// Second stores, to pages whose first one got through and after the permission had been
        /// taken, that got through, too.
        late,
        /// Faults that are none of these.
        strange,
    }
}

words! {
    /// Uses of translations whose entries were changed: what is wanted, and what was counted.
    pub struct Stale {
        /// Where the first page's entry stands; those of the others follow it.
        slot,
        /// The first page's address.
        page,
        /// The entry that all start with.
        old,
        /// What it becomes.
        new,
        /// [`REMAP`], [`DOWNGRADE`] or [`UNMAP`].
        change,
        /// One of the `FLUSH_*`.
        flush,
        /// Tries so far.
        tries,
        /// Uses that went by the old entry.
        stale,
        /// Uses that went by the new one.
        fresh,
        /// Uses that went by neither.
        strange,
    }
}

/// In [`OUTCOMES`]: the first store got through.
pub const STORED_FIRST: u64 = 1;
/// The second store got through.
pub const STORED_LATE: u64 = 2;
/// A store ended otherwise than by getting through or by a denied write.
pub const STORED_STRANGE: u64 = 4;

const _: () = assert!(WORDS + Race::SIZE as u64 <= OUTCOMES);
const _: () = assert!(WORDS + Stale::SIZE as u64 <= OUTCOMES);
const _: () = assert!(OUTCOMES + 8 * PAGES <= FRAMES_END);
const _: () = assert!(OVER + 8 <= SHARED_END);
