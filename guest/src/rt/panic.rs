//! What becomes of a payload that panics.

use core::panic::PanicInfo;

use super::exit;
use crate::abi::port;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crate::print!("payload {info}\n");
    exit(port::EXIT_PANIC)
}
