//! Destroys its own interrupt descriptors, then faults until the processor shuts down.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(run);

#[cfg(payload)]
fn run(vcpu: guest::rt::Vcpu) -> ! {
    use guest::abi::port::EXIT_DONE;
    use guest::abi::x86_64::{IDT, VECTORS};
    use guest::rt::{Width, arch, exit};

    for word in 0..2 * VECTORS {
        let _ = vcpu.memory.store(IDT + 8 * word, 0, Width::Eight);
    }
    // Any exception would do; this is a call to a stub that has no entry any more.
    arch::invalidate(0);
    exit(EXIT_DONE)
}
