//! A device before whose work the page tables are scanned.

use std::sync::Arc;

use super::Scanner;
use crate::bus::{BusDevice, Flow};
use crate::vcpu::{VcpuEnd, VcpuIndex};

/// A device on the bus. Whatever the guest wrote to page tables before it writes to the device is
/// known before the device hears of it.
pub(crate) struct Point {
    device: Arc<dyn BusDevice>,
    scanner: Arc<Scanner>,
}

impl Point {
    /// `device`, with a scan before it if there is a scanner.
    pub(crate) fn before(
        device: Arc<dyn BusDevice>,
        scanner: Option<&Arc<Scanner>>,
    ) -> Arc<dyn BusDevice> {
        match scanner {
            Some(scanner) => Arc::new(Self {
                device,
                scanner: Arc::clone(scanner),
            }),
            None => device,
        }
    }
}

impl BusDevice for Point {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        self.device.read(offset, data)
    }

    fn write(&self, from: VcpuIndex, offset: u64, data: &[u8]) -> Flow {
        match self.scanner.scan().now() {
            Ok(()) => self.device.write(from, offset, data),
            // Which vCPU wrote what can't be followed, nobody knows.
            Err(_) => Flow::Break(VcpuEnd::Stopped),
        }
    }
}
