//! The first instructions of an image, and its header.

use core::arch::global_asm;

use crate::abi::VERSION;
use crate::abi::header::MAGIC;

// The order of the words is that of `abi::header::Header`.
global_asm!(
    ".pushsection .header, \"a\", @progbits",
    ".quad {magic}, {version}, stub_vectors, fatal_entry",
    ".popsection",
    magic = const MAGIC,
    version = const VERSION,
);

/// Defines `_start`, which the machine enters in ring 3 with the vCPU's index in RDI and an aligned
/// stack, to continue in the given function.
#[macro_export]
macro_rules! start {
    ($main:path) => {
        #[allow(unsafe_code, reason = "assembly is the only way to enter Rust")]
        mod start {
            use super::*;

            ::core::arch::global_asm!(
                ".pushsection .text.start, \"ax\", @progbits",
                ".globl _start",
                "_start:",
                // Ends the chain of frame pointers.
                "xor ebp, ebp",
                "call {enter}",
                ".popsection",
                enter = sym enter,
            );

            extern "C" fn enter(index: u64) -> ! {
                // SAFETY: the machine enters each vCPU with that vCPU's own index.
                let memory = unsafe { $crate::rt::arch::Memory::of_vcpu(index) };
                $main($crate::rt::Vcpu { index, memory })
            }
        }
    };
}
