//! Where ring 3 continues after a fault that nobody asked for.

use core::arch::global_asm;
use core::ptr::with_exposed_provenance_mut;

use super::fault::recorded;
use crate::abi::layout::{VCPU_SYSTEM, VCPU_SYSTEM_STRIDE};
use crate::abi::program::{CONTROL, Control, block};
use crate::abi::{port, x86_64};
use crate::rt::exit;

// The stub sets RDI and RSP; the direction flag alone may still be the fault's.
global_asm!(
    ".pushsection .text.fatal, \"ax\", @progbits",
    ".globl fatal_entry",
    "fatal_entry:",
    "cld",
    "xor ebp, ebp",
    "call {fatal}",
    ".popsection",
    fatal = sym fatal,
);

/// Leaves the fault, which is in the stack words at `words`, in the program block.
extern "C" fn fatal(words: *mut u64) -> ! {
    let area = words.expose_provenance() as u64 - x86_64::STUB_STACK;
    let vcpu = (area - VCPU_SYSTEM) / VCPU_SYSTEM_STRIDE;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an address is as wide as a usize here"
    )]
    let control = with_exposed_provenance_mut::<Control>((block(vcpu) + CONTROL) as usize);
    // SAFETY: the stub passes the stack words of this vCPU, which only it writes.
    let fault = unsafe { recorded(words) };
    // SAFETY: the layout sets the block aside for this vCPU's payload, and no reference into it
    // exists, since the rest of the payload uses raw pointers too.
    unsafe {
        (&raw mut (*control).fatal_vector).write_volatile(fault.vector);
        (&raw mut (*control).fatal_error).write_volatile(fault.error);
        (&raw mut (*control).fatal_address).write_volatile(fault.address);
        (&raw mut (*control).fatal_instruction).write_volatile(fault.instruction);
    }
    exit(port::EXIT_FATAL)
}
