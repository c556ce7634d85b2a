//! The virtual processor that the payload runs on.

use super::arch::Memory;

/// What a payload's first function is given.
pub struct Vcpu {
    /// Its index in the machine, from 0.
    pub index: u64,
    /// Memory as it sees it.
    pub memory: Memory,
}
