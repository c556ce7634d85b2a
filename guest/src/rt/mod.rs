//! The payload's run-time: start, faults, ports, the console. What depends on the architecture is
//! behind [`arch`]; everything else is written against it.

#[cfg(target_arch = "x86_64")]
#[path = "x86_64/mod.rs"]
pub mod arch;
mod exit;
mod fault;
mod panic;
mod serial;
mod shoot_down;
mod spin;
mod vcpu;
mod vcpu_set;
mod width;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the payload has no run-time for this architecture: add one beside rt/x86_64");

pub use exit::exit;
pub use fault::Fault;
pub use serial::Serial;
pub use shoot_down::shoot_down;
pub use spin::{Spin, yield_host};
pub use vcpu::Vcpu;
pub use vcpu_set::VcpuSet;
pub use width::Width;
