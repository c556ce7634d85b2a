//! I/O ports, which the machine opens to ring 3 through the task state's permission bitmap.

use core::arch::asm;

/// Writes one byte.
pub fn write_u8(port: u16, value: u8) {
    // SAFETY: port writes reach devices, and none of the machine's changes the payload's memory
    // through a port. Not `nomem`: what was stored before must be there for the machine to see.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags)) }
}

/// Writes 32 bits.
pub fn write_u32(port: u16, value: u32) {
    // SAFETY: as for `write_u8`.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags))
    }
}
