//! Time, and loops to measure with it.

use core::arch::asm;

use crate::abi::x86_64::CALL_COUNT;

/// The time-stamp counter, once everything before it is done.
pub fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: both instructions only read; the machine leaves CR4.TSD clear.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, nomem)) }
    u64::from(high) << 32 | u64::from(low)
}

/// Counts down from `rounds` in ring 3, two instructions a round.
pub fn count_in_ring_3(rounds: u64) {
    let rounds = rounds.max(1);
    // SAFETY: changes one register.
    unsafe { asm!("2: dec {0}", "jnz 2b", inout(reg) rounds => _, options(nostack, nomem)) }
}

/// The same loop in ring 0.
pub fn count_in_ring_0(rounds: u64) {
    let rounds = rounds.max(1);
    // SAFETY: the stub counts RDI down, changes nothing else, and continues after the instruction.
    unsafe { asm!("ud2", in("rax") CALL_COUNT, inout("rdi") rounds => _, options(nostack)) }
}
