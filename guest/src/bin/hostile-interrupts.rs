//! Sends every kind of interrupt to everybody, then jumps into nonsense with interrupts on.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(run);

#[cfg(payload)]
fn run(vcpu: guest::rt::Vcpu) -> ! {
    use guest::abi::layout::{MAX_VCPUS, WINDOW};
    use guest::abi::x86_64::{APIC_COMMAND, APIC_DESTINATION, LOCAL_APIC};
    use guest::rt::{Width, arch};

    /// Delivery modes of an interrupt command, from bit 8 on.
    const MODES: u64 = 8;
    /// Logical destination, assert.
    const COMMAND: u64 = 1 << 11 | 1 << 14;

    let register = |offset, value| {
        let _ = vcpu.memory.store(LOCAL_APIC + offset, value, Width::Four);
    };
    register(APIC_DESTINATION, 0xff << 24);
    // Each begins elsewhere: some interrupts leave nothing behind that could send the others.
    for number in 0..MODES {
        let mode = (vcpu.index + number) % MODES;
        for number in 0..0x100 / (MAX_VCPUS + 1) {
            let vector = number * (MAX_VCPUS + 1);
            register(APIC_COMMAND, COMMAND | mode << 8 | vector);
        }
    }
    arch::jump(WINDOW)
}
