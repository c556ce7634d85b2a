//! Inter-processor interrupts.

use core::arch::asm;

use crate::abi::x86_64::{APIC_COMMAND, APIC_DESTINATION, LOCAL_APIC, SHOOT_DOWN_VECTOR};
use crate::rt::VcpuSet;

/// Interrupt command: logical destination (Intel SDM vol. 3, §12.6.1). The machine gives each vCPU
/// the logical destination of its own bit, so one command reaches any set of them (§12.6.2.2).
const LOGICAL: u64 = 1 << 11;
/// Interrupt command: assert, which every command but one must say.
const ASSERT: u64 = 1 << 14;

/// Sends the shoot-down interrupt to these vCPUs. It comes after whatever this vCPU stored before.
pub fn interrupt(vcpus: VcpuSet) {
    write(APIC_DESTINATION, vcpus.bits() << 24);
    write(APIC_COMMAND, LOGICAL | ASSERT | SHOOT_DOWN_VECTOR);
}

/// Writes a 32-bit register of this vCPU's local APIC.
fn write(register: u64, value: u64) {
    // SAFETY: the machine maps the local APIC there for ring 3, and an interrupt that the stub
    // answers changes nothing that Rust code can see. Not `nomem`: requests must be stored before.
    unsafe {
        asm!("mov dword ptr [{register}], {value:e}", register = in(reg) LOCAL_APIC + register,
            value = in(reg) value, options(nostack, preserves_flags));
    }
}
