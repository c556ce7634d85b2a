//! Panics.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(run);

#[cfg(payload)]
fn run(vcpu: guest::rt::Vcpu) -> ! {
    panic!("vCPU {} was told to", vcpu.index)
}
