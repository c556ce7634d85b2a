//! Jumps into device registers.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(run);

#[cfg(payload)]
fn run(_: guest::rt::Vcpu) -> ! {
    guest::rt::arch::jump(guest::abi::layout::MMIO)
}
