//! One type for each kind of address, so that they can't be mixed up.

use std::fmt::{Debug, Display, LowerHex};

use super::PageSize;

/// What all kinds of address have in common: 64 bits, in bytes.
pub trait Address: Copy + Ord + Debug + Display + LowerHex + Send + Sync + 'static {
    /// The address with this raw value.
    fn new(raw: u64) -> Self;

    /// The raw value.
    fn raw(self) -> u64;

    /// The address `bytes` further on, or `None` past the end of the 64-bit space.
    fn checked_add(self, bytes: u64) -> Option<Self> {
        self.raw().checked_add(bytes).map(Self::new)
    }

    /// The first address of the page of this size that contains this one.
    fn align_down(self, size: PageSize) -> Self {
        Self::new(self.raw() & !size.offset_mask())
    }

    /// Bytes from the start of the page of this size.
    fn page_offset(self, size: PageSize) -> u64 {
        self.raw() & size.offset_mask()
    }

    /// Whether this is the first address of a page of this size.
    fn is_aligned(self, size: PageSize) -> bool {
        self.page_offset(size) == 0
    }
}

macro_rules! address {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The address with this raw value.
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// The raw value.
            pub const fn raw(self) -> u64 {
                self.0
            }
        }

        impl Address for $name {
            fn new(raw: u64) -> Self {
                Self(raw)
            }

            fn raw(self) -> u64 {
                self.0
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl LowerHex for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address! {
    /// Guest-physical: where something is in the machine's memory.
    Gpa
}
address! {
    /// Guest-virtual: what a CPU of the primary MMU's address space uses.
    Gva
}
address! {
    /// I/O-virtual: what a device uses.
    Iova
}
address! {
    /// Intermediate-physical: what stage 1 makes of an I/O-virtual address, and stage 2 translates.
    Ipa
}

impl Ipa {
    /// The same number as a guest-physical address: what it is where there is no stage 2.
    pub const fn to_gpa(self) -> Gpa {
        Gpa(self.0)
    }

    /// What a stage-1 table or page says, where there is a stage 2.
    pub const fn of(stage1_output: Gpa) -> Self {
        Self(stage1_output.0)
    }
}

impl Iova {
    /// The I/O-virtual address of `va` for a device that shares the address space's page tables
    /// (shared virtual addressing): the same number.
    pub const fn shared(va: Gva) -> Self {
        Self(va.0)
    }

    /// The way back from [`shared`](Self::shared).
    pub const fn to_gva(self) -> Gva {
        Gva(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_arithmetic_follows_the_size() {
        let address = Gpa::new(0x40_1234);
        assert_eq!(address.align_down(PageSize::K4), Gpa::new(0x40_1000));
        assert_eq!(address.align_down(PageSize::M2), Gpa::new(0x40_0000));
        assert_eq!(address.page_offset(PageSize::M2), 0x1234);
    }

    #[test]
    fn addition_past_the_end_is_none() {
        assert_eq!(Gva::new(u64::MAX).checked_add(1), None);
    }
}
