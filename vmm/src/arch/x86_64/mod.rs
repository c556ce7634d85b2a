//! The x86-64 machine: a vCPU starts in 64-bit ring 3, on tables that the machine has written, so
//! the payload needs no mode-switch code.

mod clock;
mod cpuid;
mod descriptors;
mod entry;
mod interrupts;
mod registers;
mod tables;
mod task;

use crate::bus::Space;

/// Where the devices are by which the payload talks to the machine: x86 has a space of its own for
/// such.
pub const CONTROL: Space = Space::Port;

pub use clock::{count, ticks};
pub use cpuid::page_table_format;
pub use entry::{entry_bit, present_bits};
pub use interrupts::add_interrupt_controller;
pub use registers::{configure_vcpu, instruction_pointer};
pub use tables::write_system_tables;
