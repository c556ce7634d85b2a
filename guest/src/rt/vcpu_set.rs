//! A set of vCPUs.

use crate::abi::layout::MAX_VCPUS;

/// Some of the vCPUs that a machine can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VcpuSet {
    bits: u64,
}

impl VcpuSet {
    /// Those whose bit is set; bits of no vCPU say nothing.
    pub const fn of_bits(bits: u64) -> Self {
        Self {
            bits: bits & ((1 << MAX_VCPUS) - 1),
        }
    }

    /// Bit *n* for vCPU *n*.
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// How many there are.
    pub fn count(self) -> u64 {
        self.bits.count_ones().into()
    }

    /// Their indices, lowest first.
    pub fn iter(self) -> impl Iterator<Item = u64> {
        (0..MAX_VCPUS).filter(move |vcpu| self.bits >> vcpu & 1 == 1)
    }

    /// Those of which it is true, and those of which it is not; asked in order.
    pub fn partition(self, mut is: impl FnMut(u64) -> bool) -> (Self, Self) {
        let chosen = self.iter().filter(|vcpu| is(*vcpu));
        let bits = chosen.fold(0, |bits, vcpu| bits | 1 << vcpu);
        (
            Self { bits },
            Self {
                bits: self.bits & !bits,
            },
        )
    }

    /// Those in either.
    pub const fn union(self, other: Self) -> Self {
        Self {
            bits: self.bits | other.bits,
        }
    }
}
