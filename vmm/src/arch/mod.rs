//! What the machine must know of the processor architecture, behind one interface: system tables
//! in guest memory, the start state of a vCPU, and what diagnostics ask of a vCPU. An architecture
//! is a module that offers the functions which are re-exported here.

mod error;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use error::{ArchError, Result, Step};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{
    CONTROL, add_interrupt_controller, configure_vcpu, count, entry_bit, instruction_pointer,
    page_table_format, present_bits, ticks, write_system_tables,
};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("there is no machine for this architecture: add one beside arch/x86_64");
