//! Waiting for another vCPU.

use super::arch;
use crate::abi::port;

/// How often to look before the host's CPU goes to somebody else.
const PAUSES: u32 = 128;

/// One wait, which ends when the waiter finds what it waits for. If vCPUs outnumber the host's
/// CPUs, whoever is waited for may need the CPU that this waits on.
#[derive(Default)]
pub struct Spin {
    pauses: u32,
}

impl Spin {
    /// Between one look and the next.
    pub fn wait(&mut self) {
        self.pauses += 1;
        if self.pauses.is_multiple_of(PAUSES) {
            yield_host();
        } else {
            core::hint::spin_loop();
        }
    }
}

/// Gives the host's CPU to whoever else wants it.
pub fn yield_host() {
    arch::port::write_u32(port::YIELD, 0);
}
