//! What runs inside the virtual machine.
//!
//! * [`abi`]: the numbers that both sides share.
//! * `images`: the payload images, for the machine to load.
//! * `rt`, `interpreter`: what the images are made of; only in the payload's own build, which
//!   `build.rs` starts.
#![cfg_attr(payload, no_std)]

pub mod abi;
#[cfg(not(payload))]
pub mod images;
#[cfg(payload)]
pub mod interpreter;
#[cfg(payload)]
pub mod rt;

/// Makes a binary a payload image that starts in the given `fn(Vcpu) -> !`. In a build for
/// the host the binary says what it is instead, and needs no such function.
#[cfg(payload)]
#[macro_export]
macro_rules! payload {
    ($main:path) => {
        $crate::start!($main);
    };
}

/// Makes a binary a payload image that starts in the given `fn(Vcpu) -> !`. In a build for
/// the host the binary says what it is instead, and needs no such function.
#[cfg(not(payload))]
#[macro_export]
macro_rules! payload {
    ($main:path) => {
        fn main() {
            eprintln!("this program only runs inside a virtual machine");
        }
    };
}
