//! The end of a vCPU's run.

use super::arch;
use crate::abi::port;

/// Ends this vCPU's run with one of the `port::EXIT_*` codes.
pub fn exit(code: u32) -> ! {
    arch::Mailbox::of_vcpu(arch::this_vcpu()).go_offline();
    arch::port::write_u32(port::EXIT, code);
    // A machine that lets a vCPU run on after that gets a quiet one.
    loop {
        core::hint::spin_loop();
    }
}
