//! DMA as a driver in the guest does it.

use guest::abi::dma::{self, Descriptor};
use guest::abi::layout;
use guest::abi::op::Op;

use crate::op;

/// Bytes from one descriptor to the next.
const STRIDE: u64 = 128;

/// Where descriptor `number` is.
pub const fn descriptor(number: u64) -> u64 {
    layout::DESCRIPTORS + number * STRIDE
}

/// A read of `length` bytes through the SMMU, not tried again if it faults.
pub fn read(iova: u64, length: u64) -> Descriptor {
    Descriptor {
        command: dma::READ,
        iova,
        length,
        ..Descriptor::default()
    }
}

/// A write of `length` bytes of the pattern with this seed, likewise.
pub fn write(iova: u64, length: u64, seed: u64) -> Descriptor {
    Descriptor {
        command: dma::WRITE,
        seed,
        ..read(iova, length)
    }
}

/// The same transfer by the device behind the shadow MMU.
pub fn shadowed(wanted: Descriptor) -> Descriptor {
    Descriptor {
        stream: dma::STREAM_SHADOW,
        ..wanted
    }
}

/// The same transfer as the stream that the guest's own SMMU driver configures.
pub fn driven(wanted: Descriptor) -> Descriptor {
    Descriptor {
        stream: dma::STREAM_DRIVEN,
        ..wanted
    }
}

/// The same transfer, whose first access is held open until the word is cleared.
pub fn held(wanted: Descriptor) -> Descriptor {
    Descriptor { hold: 1, ..wanted }
}

/// The word of descriptor `number` that holds its first access open.
pub const fn hold_word(number: u64) -> u64 {
    descriptor(number) + dma::DESCRIPTOR_HOLD
}

/// The word of descriptor `number` that says that its held access has begun.
pub const fn begun_word(number: u64) -> u64 {
    descriptor(number) + dma::DESCRIPTOR_BEGUN
}

/// Writes descriptor `number` and starts it on a channel.
pub fn start(channel: u64, number: u64, wanted: Descriptor) -> Vec<Op> {
    let bytes = wanted.to_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    let places = (descriptor(number)..).step_by(8);
    let stores = places.zip(words);
    let stores = stores.map(|(place, word)| op::store(place, u64::from_le_bytes(*word), 8));
    stores.chain(ring(channel, descriptor(number))).collect()
}

/// Starts the descriptor at `address` on a channel.
pub fn ring(channel: u64, address: u64) -> [Op; 2] {
    [
        op::store(dma::register(channel, dma::DESCRIPTOR), address, 8),
        op::ring(dma::register(channel, dma::DOORBELL)),
    ]
}

/// Waits for the end of descriptor `number`.
pub fn finish(number: u64) -> Op {
    op::wait_while(
        descriptor(number) + dma::DESCRIPTOR_STATUS,
        dma::STATUS_PENDING,
    )
}

/// All of it, on channel 0.
pub fn whole(number: u64, wanted: Descriptor) -> Vec<Op> {
    let mut ops = start(0, number, wanted);
    ops.push(finish(number));
    ops
}
