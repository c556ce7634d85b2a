//! Where a stream's context descriptors are: STE.S1Fmt, S1ContextPtr, S1CDMax, and the level-1
//! descriptor (`IHI0070` 5.2, 5.3).

use super::bits::Bits;
use super::cd::Cd;
use crate::addr::{Ipa, SubstreamId};

/// A stream's context descriptors. Its addresses are intermediate ones if stage 2 translates, else
/// physical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextTable {
    /// How they are arranged; it counts only if there is more than one.
    pub format: ContextFormat,
    /// The first of them, or the first level-1 descriptor. A multiple of 64.
    pub base: Ipa,
    /// Base-two logarithm of how many there are; 0 for one, and no substreams.
    pub bits: u8,
}

/// How context descriptors are arranged (S1Fmt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextFormat {
    /// One table.
    Linear,
    /// Two levels, the second of which has 64 descriptors.
    TwoLevel4K,
    /// Two levels, the second of which has 1024 descriptors.
    TwoLevel64K,
}

impl ContextFormat {
    pub(super) fn of(field: u64) -> Self {
        match field {
            1 => Self::TwoLevel4K,
            2 => Self::TwoLevel64K,
            // 3 is reserved and behaves as 0.
            _ => Self::Linear,
        }
    }

    pub(super) fn field(self) -> u64 {
        match self {
            Self::Linear => 0,
            Self::TwoLevel4K => 1,
            Self::TwoLevel64K => 2,
        }
    }

    /// Bits of a SubstreamID that the second level resolves; `None` with one level.
    pub fn split(self) -> Option<u8> {
        match self {
            Self::Linear => None,
            Self::TwoLevel4K => Some(6),
            Self::TwoLevel64K => Some(10),
        }
    }
}

/// Where to look for a context descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindContext {
    /// Here it is.
    Here(Ipa),
    /// First the level-1 descriptor here.
    Level1(Ipa),
}

/// What a level-1 descriptor says: the second-level table, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextTableLevel1 {
    /// The second level; `None` if V is 0: `C_BAD_SUBSTREAMID`.
    pub table: Option<Ipa>,
}

const VALID: Bits = Bits::bit(0);
const POINTER: Bits = Bits::new(51, 12);
const LEVEL1_BYTES: u64 = 8;

impl ContextTable {
    /// Whether transactions may have a SubstreamID.
    pub fn has_substreams(&self) -> bool {
        self.bits > 0
    }

    /// Where the descriptor of this substream is; `None` if it is none of them. Address bits that
    /// the size makes reserved are added to, not cleared.
    pub fn find(&self, substream: SubstreamId) -> Option<FindContext> {
        let index = u64::from(substream.0);
        if index >> self.bits.min(63) != 0 {
            return None;
        }
        let split = self.format.split().filter(|_| self.has_substreams());
        let Some(split) = split else {
            return Some(FindContext::Here(offset(self.base, index, Cd::BYTES)));
        };
        let first = offset(self.base, index >> split, LEVEL1_BYTES);
        Some(FindContext::Level1(first))
    }
}

impl ContextTableLevel1 {
    /// The descriptor that this word is.
    pub fn decode(word: u64) -> Self {
        let table = VALID
            .is_set(word)
            .then_some(Ipa::new(POINTER.mask() & word));
        Self { table }
    }

    /// The word.
    pub fn encode(&self) -> u64 {
        self.table
            .map_or(0, |table| VALID.mask() | POINTER.mask() & table.raw())
    }

    /// Where the context descriptor of this substream is.
    pub fn find(&self, substream: SubstreamId, format: ContextFormat) -> Option<Ipa> {
        let index = u64::from(substream.0) & ((1 << format.split()?) - 1);
        Some(offset(self.table?, index, Cd::BYTES))
    }
}

fn offset(base: Ipa, index: u64, bytes: u64) -> Ipa {
    Ipa::new(base.raw().wrapping_add(index.wrapping_mul(bytes)))
}
