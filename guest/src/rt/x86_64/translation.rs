//! Cached translations.

use core::arch::asm;

use crate::abi::x86_64::{CALL_INVALIDATE, CALL_INVALIDATE_ALL};

/// Invalidates this vCPU's translation of guest-virtual `address`. Only ring 0 may, so this calls
/// the stub, with the one exception that reaches it on every host.
pub fn invalidate(address: u64) {
    // SAFETY: the stub changes no register, continues after the instruction, and dropping a
    // cached translation changes no memory.
    unsafe { asm!("ud2", in("rax") CALL_INVALIDATE, in("rdi") address, options(nostack)) }
}

/// Invalidates all of this vCPU's translations that are not global; none of the payload's are.
pub fn invalidate_all() {
    // SAFETY: as for `invalidate`.
    unsafe { asm!("ud2", in("rax") CALL_INVALIDATE_ALL, options(nostack)) }
}

/// Continues at `address`, whatever is there.
pub fn jump(address: u64) -> ! {
    // SAFETY: nothing of this program is used again; what runs next runs in ring 3.
    unsafe { asm!("jmp {}", in(reg) address, options(noreturn)) }
}
