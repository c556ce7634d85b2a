//! Rings the DMA engine with descriptors that make no sense.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(attack::run);

#[cfg(payload)]
mod attack {
    use guest::abi::dma::{
        DESCRIPTOR, DOORBELL, Descriptor, MAX_LENGTH, READ, STATUS, STATUS_PENDING, WRITE, register,
    };
    use guest::abi::layout::{DESCRIPTORS, FRAMES, MMIO, WINDOW};
    use guest::abi::port::EXIT_DONE;
    use guest::rt::arch::Memory;
    use guest::rt::{Vcpu, Width, exit};

    /// How often the status is looked at before the engine is given up on.
    const PATIENCE: usize = 1000;

    pub(super) fn run(vcpu: Vcpu) -> ! {
        let wrapping = Descriptor {
            command: WRITE,
            iova: u64::MAX - 7,
            length: MAX_LENGTH,
            ..Default::default()
        };
        let overlong = Descriptor {
            command: READ,
            iova: WINDOW,
            length: MAX_LENGTH + 8,
            ..Default::default()
        };
        let nonsense = Descriptor {
            command: 77,
            stream: 78,
            iova: FRAMES,
            ..Default::default()
        };
        for (descriptor, address) in [
            (wrapping, DESCRIPTORS),
            // Behind all memory, then across the end of the address space.
            (wrapping, MMIO - 8),
            (wrapping, u64::MAX - 15),
            (overlong, DESCRIPTORS),
            (nonsense, DESCRIPTORS),
        ] {
            submit(&vcpu.memory, descriptor, address);
        }
        exit(EXIT_DONE)
    }

    /// Hands channel 0 the descriptor, stored at `DESCRIPTORS`, as if it were at `address`.
    fn submit(memory: &Memory, descriptor: Descriptor, address: u64) {
        for (offset, bytes) in (0..).step_by(8).zip(descriptor.to_bytes().chunks_exact(8)) {
            let word = bytes
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            let _ = memory.store(DESCRIPTORS + offset, word, Width::Eight);
        }
        let _ = memory.store(register(0, DESCRIPTOR), address, Width::Eight);
        let _ = memory.store(register(0, DOORBELL), 1, Width::Four);
        for _ in 0..PATIENCE {
            if memory.load(register(0, STATUS), Width::Four) != Ok(STATUS_PENDING) {
                break;
            }
        }
    }
}
