//! The ports through which the payload says where it is: its end, markers on the way, and waits.

use std::sync::Arc;

use guest::abi::port;
use guest::abi::program::{self, Control};
use notifier::addr::Gpa;
use notifier::oracle::Oracle;

use crate::bus::{BusDevice, Flow, written};
use crate::memory::Ram;
use crate::vcpu::{VcpuEnd, VcpuIndex};

/// Ends a vCPU's run. Reads as zero.
pub(crate) struct ExitPort {
    ram: Ram,
}

impl ExitPort {
    pub(crate) fn new(ram: Ram) -> Self {
        Self { ram }
    }

    /// The fault that the payload left in its program block.
    fn fatal(&self, from: VcpuIndex) -> VcpuEnd {
        let mut bytes = [0; Control::SIZE];
        let block = Gpa::new(program::block(from.0) + program::CONTROL);
        if self.ram.read(block, &mut bytes).is_err() {
            return VcpuEnd::StubFault;
        }
        let control = Control::from_bytes(&bytes);
        VcpuEnd::Fatal {
            vector: control.fatal_vector,
            error: control.fatal_error,
            address: control.fatal_address,
        }
    }
}

impl BusDevice for ExitPort {
    fn read(&self, _: u64, data: &mut [u8]) -> Flow {
        data.fill(0);
        Flow::Continue(())
    }

    fn write(&self, from: VcpuIndex, _: u64, data: &[u8]) -> Flow {
        let code = written(data);
        Flow::Break(match u32::try_from(code) {
            Ok(port::EXIT_DONE) => VcpuEnd::Done,
            Ok(port::EXIT_FATAL) => self.fatal(from),
            Ok(port::EXIT_PANIC) => VcpuEnd::Panicked,
            Ok(port::EXIT_STUB) => VcpuEnd::StubFault,
            _ => VcpuEnd::BadExit(code),
        })
    }
}

/// Puts a marker into the run's order of events. Reads as zero.
pub(crate) struct ReportPort {
    oracle: Arc<Oracle>,
}

impl ReportPort {
    pub(crate) fn new(oracle: Arc<Oracle>) -> Self {
        Self { oracle }
    }
}

impl BusDevice for ReportPort {
    fn read(&self, _: u64, data: &mut [u8]) -> Flow {
        data.fill(0);
        Flow::Continue(())
    }

    fn write(&self, from: VcpuIndex, _: u64, data: &[u8]) -> Flow {
        let marker = u32::try_from(written(data)).unwrap_or(u32::MAX);
        log::debug!("{from} reports {marker}");
        self.oracle.mark(marker);
        Flow::Continue(())
    }
}

/// Lets other threads run before the vCPU goes on. Reads as zero.
pub(crate) struct YieldPort;

impl BusDevice for YieldPort {
    fn read(&self, _: u64, data: &mut [u8]) -> Flow {
        data.fill(0);
        Flow::Continue(())
    }

    fn write(&self, _: VcpuIndex, _: u64, _: &[u8]) -> Flow {
        std::thread::yield_now();
        Flow::Continue(())
    }
}
