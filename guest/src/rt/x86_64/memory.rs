//! Loads and stores that survive a fault.

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;

use super::fault::recorded;
use crate::abi::x86_64;
use crate::rt::{Fault, Width};

/// Guest-virtual memory as one vCPU sees it. Each access is one instruction of the given width.
pub struct Memory {
    words: *mut u64,
}

/// Does one memory instruction with a recovery point behind it. A fault in it leaves the recovery
/// point's address in `faulted`; the stub has then taken the point back itself.
macro_rules! attempt {
    ($words:expr, $instruction:literal, $($operands:tt)*) => {{
        let faulted: u64;
        asm!(
            "lea {faulted}, [rip + 2f]",
            "mov qword ptr [{words} + {recover}], {faulted}",
            $instruction,
            "mov qword ptr [{words} + {recover}], 0",
            "xor {faulted:e}, {faulted:e}",
            "2:",
            words = in(reg) $words,
            faulted = out(reg) faulted,
            recover = const x86_64::RECOVER,
            $($operands)*
            options(nostack),
        );
        faulted != 0
    }};
}

impl Memory {
    /// Memory as seen by vCPU `vcpu`.
    ///
    /// # Safety
    ///
    /// This runs on that vCPU.
    pub unsafe fn of_vcpu(vcpu: u64) -> Self {
        let words = x86_64::system(vcpu) + x86_64::STUB_STACK;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "usize is 64 bits wide here"
        )]
        let words = with_exposed_provenance_mut(words as usize);
        Self { words }
    }

    /// Loads `width` bytes from `address`, zero-extended.
    ///
    /// # Errors
    ///
    /// The fault that the load raised; nothing was read.
    pub fn load(&self, address: u64, width: Width) -> Result<u64, Fault> {
        let value: u64;
        // SAFETY: a load changes nothing, a fault ends at the recovery point, and the stack words
        // are those of this vCPU, as `of_vcpu` asked.
        let faulted = unsafe {
            match width {
                Width::One => attempt!(self.words, "movzx {value:e}, byte ptr [{address}]",
                    address = in(reg) address, value = out(reg) value,),
                Width::Two => attempt!(self.words, "movzx {value:e}, word ptr [{address}]",
                    address = in(reg) address, value = out(reg) value,),
                Width::Four => attempt!(self.words, "mov {value:e}, dword ptr [{address}]",
                    address = in(reg) address, value = out(reg) value,),
                Width::Eight => attempt!(self.words, "mov {value}, qword ptr [{address}]",
                    address = in(reg) address, value = out(reg) value,),
            }
        };
        self.outcome(faulted).map(|()| value)
    }

    /// Stores the low `width` bytes of `value` at `address`.
    ///
    /// A scenario may aim this anywhere, the payload itself included; that is its author's
    /// business and can't hurt the machine outside.
    ///
    /// # Errors
    ///
    /// The fault that the store raised; nothing was stored.
    pub fn store(&self, address: u64, value: u64, width: Width) -> Result<(), Fault> {
        // SAFETY: the payload keeps no state of Rust's where a scenario places its pages, a fault
        // ends at the recovery point, and the stack words are those of this vCPU.
        let faulted = unsafe {
            match width {
                Width::One => attempt!(self.words, "mov byte ptr [{address}], {value:l}",
                    address = in(reg) address, value = in(reg) value,),
                Width::Two => attempt!(self.words, "mov word ptr [{address}], {value:x}",
                    address = in(reg) address, value = in(reg) value,),
                Width::Four => attempt!(self.words, "mov dword ptr [{address}], {value:e}",
                    address = in(reg) address, value = in(reg) value,),
                Width::Eight => attempt!(self.words, "mov qword ptr [{address}], {value}",
                    address = in(reg) address, value = in(reg) value,),
            }
        };
        self.outcome(faulted)
    }

    /// Adds 1 to the eight-byte word at `address` by one locked instruction.
    ///
    /// # Errors
    ///
    /// The fault that it raised; the word is as it was.
    pub fn increment(&self, address: u64) -> Result<(), Fault> {
        // SAFETY: as for `store`.
        let faulted = unsafe {
            attempt!(self.words, "lock inc qword ptr [{address}]", address = in(reg) address,)
        };
        self.outcome(faulted)
    }

    fn outcome(&self, faulted: bool) -> Result<(), Fault> {
        if !faulted {
            return Ok(());
        }
        // SAFETY: the stack words are those of this vCPU, as `of_vcpu` asked.
        Err(unsafe { recorded(self.words) })
    }
}
