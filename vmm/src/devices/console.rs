//! The serial console.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};

use crate::bus::{BusDevice, Flow};
use crate::lock::lock;
use crate::vcpu::VcpuIndex;

/// Bytes of ports that a 16550 has.
pub(crate) const PORTS: u64 = 8;

/// Lines that are kept; the guest decides how many it writes.
const LINES: usize = 64;
/// Bytes after which a line is taken to be over.
const LINE: usize = 256;

/// A 16550 whose output goes to the log, line by line. The last lines are kept.
pub struct Console {
    serial: Mutex<Serial<NoInterrupt, NoEvents, Lines>>,
    kept: Arc<Mutex<VecDeque<String>>>,
}

/// The payload polls; there is no interrupt line.
struct NoInterrupt;

impl Trigger for NoInterrupt {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Cuts output into lines.
struct Lines {
    line: Vec<u8>,
    kept: Arc<Mutex<VecDeque<String>>>,
}

impl Console {
    /// A console that nothing was written to.
    pub fn new() -> Self {
        let kept = Arc::<Mutex<VecDeque<String>>>::default();
        let lines = Lines {
            line: Vec::new(),
            kept: Arc::clone(&kept),
        };
        Self {
            serial: Mutex::new(Serial::new(NoInterrupt, lines)),
            kept,
        }
    }

    /// The last lines, an unfinished one not included.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.kept).iter().cloned().collect()
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl BusDevice for Console {
    fn read(&self, offset: u64, data: &mut [u8]) -> Flow {
        let mut serial = lock(&self.serial);
        for (register, byte) in (offset..).zip(data) {
            *byte = u8::try_from(register).map_or(0, |register| serial.read(register));
        }
        Flow::Continue(())
    }

    fn write(&self, _: VcpuIndex, offset: u64, data: &[u8]) -> Flow {
        let mut serial = lock(&self.serial);
        for (register, byte) in (offset..).zip(data) {
            let written = u8::try_from(register).map(|register| serial.write(register, *byte));
            if let Ok(Err(error)) = written {
                log::debug!("the console lost a byte: {error:?}");
            }
        }
        Flow::Continue(())
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() == LINE {
                self.finish();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Control characters are escaped: what a guest writes must not steer a terminal.
    fn finish(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end_matches('\r').escape_debug().to_string();
        self.line.clear();
        log::info!("guest: {line}");
        let mut kept = lock(&self.kept);
        if kept.len() == LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(console: &Console, text: &[u8]) {
        for byte in text {
            assert!(console.write(VcpuIndex(0), 0, &[*byte]).is_continue());
        }
    }

    #[test]
    fn lines_are_kept_and_cleaned() {
        let console = Console::new();
        print(&console, b"one\r\n\x1b[2Jtwo\nunfinished");
        assert_eq!(console.lines(), ["one", "\\u{1b}[2Jtwo"]);
    }

    #[test]
    fn a_guest_that_never_stops_printing_fills_no_memory() {
        let console = Console::new();
        for _ in 0..LINES + 5 {
            print(&console, &[b'x'; LINE]);
        }
        assert_eq!(console.lines().len(), LINES);
        assert_eq!(console.lines()[0].len(), LINE);
    }

    #[test]
    fn the_transmitter_is_always_ready() {
        let console = Console::new();
        let mut status = [0];
        assert!(console.read(5, &mut status).is_continue());
        assert_eq!(status[0] & 0x60, 0x60);
    }
}
