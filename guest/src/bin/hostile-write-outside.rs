//! Stores where there is device space but no device.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(run);

#[cfg(payload)]
fn run(vcpu: guest::rt::Vcpu) -> ! {
    use guest::abi::layout::MMIO;
    use guest::abi::port::EXIT_DONE;
    use guest::rt::{Width, exit};

    let _ = vcpu.memory.store(MMIO + 0x10_0000, u64::MAX, Width::Eight);
    exit(EXIT_DONE)
}
