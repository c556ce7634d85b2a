//! The processor's clock, and the loop that the guest runs, too.
#![expect(unsafe_code, reason = "neither can be said otherwise")]

use std::arch::asm;

/// The time-stamp counter, once everything before it is done.
pub fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: both instructions only read; Linux lets every process read the clock.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, nomem)) }
    u64::from(high) << 32 | u64::from(low)
}

/// Counts down from `rounds`, two instructions a round, as the guest's own loop does.
pub fn count(rounds: u64) {
    let rounds = rounds.max(1);
    // SAFETY: changes one register.
    unsafe { asm!("2: dec {0}", "jnz 2b", inout(reg) rounds => _, options(nostack, nomem)) }
}
