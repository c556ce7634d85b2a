//! A descriptor, checked.

use guest::abi::dma::{self, Descriptor};
use notifier::addr::{Access, AddrRange, Gpa, Iova, RangeError};

use crate::memory::OutsideMemory;

/// A transfer that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) access: Access,
    pub(super) stream: Stream,
    pub(super) range: AddrRange<Iova>,
    pub(super) seed: u64,
    pub(super) retries: u64,
    pub(super) hold: Hold,
}

/// Whether the first access stays open until the driver lets it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    No,
    First,
}

/// Which translation the device is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Smmu,
    Shadow,
    /// The SMMU, as the guest's own driver configured it.
    Driven,
}

/// Why a descriptor is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The descriptor, or what an access was translated to, is not in memory.
    #[error(transparent)]
    OutsideMemory(#[from] OutsideMemory),
    /// The device would write page tables behind the tracker's back.
    #[error("{0} is in the page-table pool, which devices may not write")]
    PageTable(Gpa),
    /// The transfer is no range of addresses.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// More at once than the device does.
    #[error("{0:#x} bytes at once: the most is {max:#x}", max = dma::MAX_LENGTH)]
    TooLong(u64),
    /// Not whole words.
    #[error("{length:#x} bytes at {iova}: both must be multiples of 8")]
    Unaligned {
        /// Where.
        iova: Iova,
        /// How many.
        length: u64,
    },
    /// Not a command.
    #[error("unknown command {0:#x}")]
    Command(u64),
    /// Not a stream.
    #[error("unknown stream {0:#x}")]
    Stream(u64),
    /// Only accesses through the SMMU can be held.
    #[error("an access behind the shadow MMU can't be held")]
    Hold,
    /// More retries than the device makes.
    #[error("{0} retries: the most is {max}", max = dma::MAX_RETRIES)]
    Retries(u64),
}

impl Request {
    pub(super) fn new(descriptor: &Descriptor) -> Result<Self, Refusal> {
        let Descriptor {
            iova,
            length,
            retries,
            ..
        } = *descriptor;
        let iova = Iova::new(iova);
        let range = AddrRange::from_length(iova, length)?;
        if length > dma::MAX_LENGTH {
            return Err(Refusal::TooLong(length));
        }
        if !(iova.raw() | length).is_multiple_of(8) {
            return Err(Refusal::Unaligned { iova, length });
        }
        if retries > dma::MAX_RETRIES {
            return Err(Refusal::Retries(retries));
        }
        let stream = stream(descriptor.stream)?;
        Ok(Self {
            access: access(descriptor.command)?,
            stream,
            range,
            seed: descriptor.seed,
            retries,
            hold: hold(descriptor.hold, stream)?,
        })
    }
}

fn access(command: u64) -> Result<Access, Refusal> {
    match command {
        dma::READ => Ok(Access::Read),
        dma::WRITE => Ok(Access::Write),
        other => Err(Refusal::Command(other)),
    }
}

fn stream(stream: u64) -> Result<Stream, Refusal> {
    match stream {
        dma::STREAM_SMMU => Ok(Stream::Smmu),
        dma::STREAM_SHADOW => Ok(Stream::Shadow),
        dma::STREAM_DRIVEN => Ok(Stream::Driven),
        other => Err(Refusal::Stream(other)),
    }
}

fn hold(hold: u64, stream: Stream) -> Result<Hold, Refusal> {
    match (hold, stream) {
        (0, _) => Ok(Hold::No),
        (_, Stream::Shadow) => Err(Refusal::Hold),
        _ => Ok(Hold::First),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Descriptor = Descriptor {
        command: dma::READ,
        stream: dma::STREAM_SMMU,
        iova: 0x1000,
        length: 8,
        seed: 0,
        retries: 0,
        status: 0,
        fault: 0,
        fault_iova: 0,
        faults: 0,
        checksum: 0,
        transferred: 0,
        hold: 0,
        begun: 0,
    };

    #[test]
    fn a_descriptor_that_makes_sense_is_taken() {
        let request = Request::new(&GOOD).unwrap();
        assert_eq!(request.access, Access::Read);
        assert_eq!(request.range.length(), Some(8));
    }

    #[test]
    fn each_field_that_makes_none_is_refused_for_itself() {
        let refused = |descriptor| Request::new(&descriptor).unwrap_err();
        let wrapped = Descriptor {
            iova: u64::MAX - 7,
            length: 1 << 20,
            ..GOOD
        };
        assert!(matches!(
            refused(wrapped),
            Refusal::Range(RangeError::Overflow { .. })
        ));
        let empty = Descriptor { length: 0, ..GOOD };
        assert!(matches!(
            refused(empty),
            Refusal::Range(RangeError::Empty { .. })
        ));
        let length = dma::MAX_LENGTH + 8;
        assert_eq!(
            refused(Descriptor { length, ..GOOD }),
            Refusal::TooLong(length)
        );
        let odd = Descriptor {
            iova: 0x1004,
            ..GOOD
        };
        assert!(matches!(refused(odd), Refusal::Unaligned { .. }));
        assert_eq!(
            refused(Descriptor { command: 7, ..GOOD }),
            Refusal::Command(7)
        );
        assert_eq!(
            refused(Descriptor { stream: 7, ..GOOD }),
            Refusal::Stream(7)
        );
        let held = Descriptor {
            hold: 1,
            stream: dma::STREAM_SHADOW,
            ..GOOD
        };
        assert_eq!(refused(held), Refusal::Hold);
        let retries = dma::MAX_RETRIES + 1;
        assert_eq!(
            refused(Descriptor { retries, ..GOOD }),
            Refusal::Retries(retries)
        );
    }
}
