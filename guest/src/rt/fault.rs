//! A fault, as data.

/// What the processor said about an exception that an instruction of the payload raised. The
/// numbers are the architecture's own; `arch` knows how to read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Exception vector.
    pub vector: u64,
    /// Error code, 0 where the exception has none.
    pub error: u64,
    /// Faulting address; only meaningful for a page fault.
    pub address: u64,
    /// Address of the instruction.
    pub instruction: u64,
}
