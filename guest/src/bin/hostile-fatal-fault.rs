//! Faults without having asked to survive it.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(run);

#[cfg(payload)]
fn run(_: guest::rt::Vcpu) -> ! {
    // Page zero is part of the identity map; this is the first address that never is.
    guest::rt::arch::jump(guest::abi::layout::IDENTITY_END)
}
