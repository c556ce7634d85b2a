//! A transfer, as a driver in the guest asks for it.

use guest::abi::dma::{self, Descriptor};
use guest::abi::layout;
use guest::abi::op::OpResult;
use notifier::addr::Gpa;

use super::{OpIndex, Program};
use crate::memory::Ram;

/// Room for one descriptor.
const STRIDE: u64 = 128;

/// How often the device tries a refused access again. Any number would do: a stale entry refuses
/// for ever, and what refuses for good reason does too.
const RETRIES: u64 = 7;

/// A transfer in a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    descriptor: Gpa,
    checksum: OpIndex,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransferDone {
    /// The descriptor as the device left it.
    pub(crate) descriptor: Descriptor,
    /// The checksum that the guest read from it.
    pub(crate) checksum: u64,
}

impl Transfer {
    /// Appends the driver's steps for descriptor `number` on channel 0: write the descriptor, ring,
    /// wait for completion, look at the checksum.
    pub(crate) fn push(program: &mut Program, number: u64, wanted: &Descriptor) -> Self {
        let descriptor = layout::DESCRIPTORS + number * STRIDE;
        let wanted = Descriptor {
            retries: RETRIES,
            status: dma::STATUS_PENDING,
            ..*wanted
        };
        for (place, word) in (descriptor..).step_by(8).zip(words_of(&wanted)) {
            program.store(place, word);
        }
        program.store(dma::register(0, dma::DESCRIPTOR), descriptor);
        program.ring(dma::register(0, dma::DOORBELL));
        program.wait_while(descriptor + dma::DESCRIPTOR_STATUS, dma::STATUS_PENDING);
        let checksum = program.load(descriptor + dma::DESCRIPTOR_CHECKSUM);
        Self {
            descriptor: Gpa::new(descriptor),
            checksum,
        }
    }

    /// What became of it.
    pub(crate) fn done(&self, ram: &Ram, results: &[OpResult]) -> TransferDone {
        let mut bytes = [0; Descriptor::SIZE];
        let read = ram.read(self.descriptor, &mut bytes);
        let descriptor = read.map_or_else(
            |_| Descriptor::default(),
            |()| Descriptor::from_bytes(&bytes),
        );
        let checksum = self.checksum.of(results).value;
        TransferDone {
            descriptor,
            checksum,
        }
    }
}

fn words_of(descriptor: &Descriptor) -> Vec<u64> {
    let bytes = descriptor.to_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}
