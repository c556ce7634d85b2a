//! How this architecture reports a fault.

use crate::abi::x86_64;
use crate::rt::Fault;

/// #PF.
const PAGE_FAULT: u64 = 14;
/// Page-fault error code, SDM vol. 3 §4.7: the translation was present, so the access was denied.
const PRESENT: u64 = 1 << 0;
/// The access was a write.
const WRITE: u64 = 1 << 1;

impl Fault {
    /// Whether a page that is mapped did not allow a write.
    pub fn is_denied_write(&self) -> bool {
        self.vector == PAGE_FAULT && self.error & (PRESENT | WRITE) == PRESENT | WRITE
    }

    /// Whether there was no page.
    pub fn is_missing_page(&self) -> bool {
        self.vector == PAGE_FAULT && self.error & PRESENT == 0
    }
}

/// What the stub stored about the last fault.
///
/// # Safety
///
/// `words` are the stack words of the vCPU that this runs on.
pub(super) unsafe fn recorded(words: *const u64) -> Fault {
    #[expect(clippy::cast_possible_truncation, reason = "an offset in a page")]
    // SAFETY: the caller's; all offsets are within the page that holds the words.
    let word = |offset: u64| unsafe { words.add(offset as usize / 8).read_volatile() };
    Fault {
        vector: word(x86_64::VECTOR),
        error: word(x86_64::ERROR),
        address: word(x86_64::ADDRESS),
        instruction: word(x86_64::INSTRUCTION),
    }
}
