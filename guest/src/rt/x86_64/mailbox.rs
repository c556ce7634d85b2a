//! The stack words through which vCPUs ask each other for invalidations.

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::abi::layout::{PAGE, VCPU_SYSTEM, VCPU_SYSTEM_STRIDE};
use crate::abi::x86_64::{ONLINE, REQUESTED, REQUESTS, STUB_STACK, system};

/// The vCPU that this runs on: whose stack it runs on.
pub fn this_vcpu() -> u64 {
    let stack: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags)) }
    stack.saturating_sub(VCPU_SYSTEM) / VCPU_SYSTEM_STRIDE
}

/// What others may ask of one vCPU.
#[derive(Clone, Copy)]
pub struct Mailbox {
    words: u64,
}

impl Mailbox {
    /// That of vCPU `vcpu`, which is below [`MAX_VCPUS`](crate::abi::layout::MAX_VCPUS).
    pub fn of_vcpu(vcpu: u64) -> Self {
        Self {
            words: system(vcpu) + STUB_STACK,
        }
    }

    /// Whether the vCPU exists and still runs.
    pub fn is_online(self) -> bool {
        self.word(ONLINE).load(Ordering::Acquire) != 0
    }

    /// The vCPU runs no more from here on: nobody is to wait for it.
    pub fn go_offline(self) {
        self.word(ONLINE).store(0, Ordering::Release);
    }

    /// Asks for the invalidation of `address` in the name of vCPU `from`, which must have no other
    /// request here. The interrupt has it carried out.
    pub fn request(self, from: u64, address: u64) {
        let request = address & !(PAGE - 1) | REQUESTED;
        self.word(REQUESTS + 8 * from)
            .store(request, Ordering::Release);
    }

    /// Whether the request of vCPU `from` has been carried out.
    pub fn is_answered(self, from: u64) -> bool {
        self.word(REQUESTS + 8 * from).load(Ordering::Acquire) == 0
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "usize is 64 bits wide here"
    )]
    fn word(self, offset: u64) -> &'static AtomicU64 {
        let word = with_exposed_provenance_mut((self.words + offset) as usize);
        // SAFETY: the layout sets these words aside for this, aligned and for as long as the guest
        // runs; all vCPUs use them as atomics, the stub with plain moves, which are as good here.
        unsafe { AtomicU64::from_ptr(word) }
    }
}
