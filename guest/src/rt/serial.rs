//! The serial console.

use core::fmt;

use super::arch;
use crate::abi::port;

/// The console; writing to it never fails. The emulated port takes every byte at once, so there is
/// no line status to wait for.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            arch::port::write_u8(port::SERIAL, byte);
        }
        Ok(())
    }
}

/// Prints on the serial console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {{
        use ::core::fmt::Write as _;
        // The console can't fail; a `Display` that does has already been cut short.
        let _ = ::core::write!($crate::rt::Serial, $($argument)*);
    }};
}
