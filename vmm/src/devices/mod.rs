//! Devices: what answers on the buses, besides the trackers.

mod console;
mod control;
pub mod dma;
mod notify;
mod smmu;

pub use console::Console;
pub(crate) use console::PORTS as CONSOLE_PORTS;
pub(crate) use control::{ExitPort, ReportPort, YieldPort};
pub(crate) use notify::NotifyPort;
pub(crate) use smmu::Frame;
