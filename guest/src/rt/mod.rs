//! The payload's run-time: start, faults, ports, the console. What depends on the architecture is
//! behind [`arch`]; everything else is written against it.

#[cfg(target_arch = "x86_64")]
#[path = "x86_64/mod.rs"]
pub mod arch;
mod exit;
mod fault;
mod panic;
mod serial;
mod vcpu;
mod width;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the payload has no run-time for this architecture: add one beside rt/x86_64");

pub use exit::exit;
pub use fault::Fault;
pub use serial::Serial;
pub use vcpu::Vcpu;
pub use width::Width;
