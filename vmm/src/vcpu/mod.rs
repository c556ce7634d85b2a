//! Virtual CPUs: one named thread each, from start to a known end, and a way to stop it in time.

mod end;
mod run;
mod thread;

pub use end::{EndedAt, VcpuEnd, VcpuIndex};
pub(crate) use run::{Buses, Refusals};
pub(crate) use thread::{Ended, Vcpu, VcpuStart, enable_kicks};
