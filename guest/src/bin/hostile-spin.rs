//! Never ends.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(run);

#[cfg(payload)]
fn run(_: guest::rt::Vcpu) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
