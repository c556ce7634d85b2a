//! Where stream-table entries are: STRTAB_BASE, STRTAB_BASE_CFG, and the level-1 descriptor
//! (`IHI0070` 5.1, 6.3.24, 6.3.25).

use super::bits::Bits;
use super::ste::Ste;
use crate::addr::{Gpa, StreamId};

/// The stream table. Entries outside of it are `C_BAD_STREAMID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTable {
    /// The first entry, or the first level-1 descriptor.
    pub base: Gpa,
    /// Base-two logarithm of the number of streams.
    pub bits: u8,
    /// Bits of a StreamID that the second level resolves, 6, 8 or 10; `None` with one level.
    pub split: Option<u8>,
}

/// Where to look for a stream-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindStream {
    /// Here it is.
    Here(Gpa),
    /// First the level-1 descriptor here.
    Level1(Gpa),
}

/// What a level-1 descriptor says: a second-level table of 2^(span - 1) entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTableLevel1 {
    /// The second-level table, before it is aligned to its size.
    pub table: Gpa,
    /// Span: 0 for none, 12 to 31 reserved.
    pub span: u8,
}

const ADDRESS: Bits = Bits::new(51, 6);
const LOG2SIZE: Bits = Bits::new(5, 0);
const SPLIT: Bits = Bits::new(10, 6);
const FORMAT: Bits = Bits::new(17, 16);
const SPAN: Bits = Bits::new(4, 0);
const LEVEL1_BYTES: u64 = 8;

impl StreamTable {
    /// From STRTAB_BASE and STRTAB_BASE_CFG. The base is aligned as hardware does; a size over
    /// `stream_bits` is cut to it, a reserved format is a linear table, a reserved split is 6.
    pub fn decode(base: u64, config: u32, stream_bits: u8) -> Self {
        let config = u64::from(config);
        let bits = LOG2SIZE.u8(config).min(stream_bits).min(32);
        let split = (FORMAT.of(config) == 1).then(|| match SPLIT.u8(config) {
            split @ (8 | 10) => split,
            _ => 6,
        });
        let size = match split {
            None => Ste::BYTES << bits,
            Some(split) => (LEVEL1_BYTES << bits.saturating_sub(split)).max(64),
        };
        let base = Gpa::new(base & ADDRESS.mask() & !(size - 1));
        Self { base, bits, split }
    }

    /// STRTAB_BASE and STRTAB_BASE_CFG.
    pub fn encode(&self) -> (u64, u32) {
        let config = LOG2SIZE.put(u64::from(self.bits))
            | SPLIT.put(self.split.map_or(0, u64::from))
            | FORMAT.put(u64::from(self.split.is_some()));
        let config = Bits::new(31, 0).u32(config);
        (self.base.raw() & ADDRESS.mask(), config)
    }

    /// Where the entry of this stream is; `None` if it is none of them.
    pub fn find(&self, stream: StreamId) -> Option<FindStream> {
        let index = u64::from(stream.0);
        if index >> self.bits.min(63) != 0 {
            return None;
        }
        Some(match self.split {
            None => FindStream::Here(offset(self.base, index, Ste::BYTES)),
            Some(split) => FindStream::Level1(offset(self.base, index >> split, LEVEL1_BYTES)),
        })
    }
}

impl StreamTableLevel1 {
    /// The descriptor that this word is.
    pub fn decode(word: u64) -> Self {
        let table = Gpa::new(word & ADDRESS.mask());
        let span = SPAN.u8(word);
        Self { table, span }
    }

    /// The word.
    pub fn encode(&self) -> u64 {
        self.table.raw() & ADDRESS.mask() | SPAN.put(u64::from(self.span))
    }

    /// Where the entry of this stream is, in a table of this split; `None` for `C_BAD_STREAMID`: a
    /// span of 0, a reserved one, one over the split, or a stream outside of it.
    pub fn find(&self, stream: StreamId, split: u8) -> Option<Gpa> {
        let bits = self.span.checked_sub(1)?;
        let index = u64::from(stream.0) & ((1 << split.min(32)) - 1);
        if self.span > 11 || bits > split || index >> bits != 0 {
            return None;
        }
        let aligned = self.table.raw() & !((Ste::BYTES << bits) - 1);
        Some(offset(Gpa::new(aligned), index, Ste::BYTES))
    }
}

fn offset(base: Gpa, index: u64, bytes: u64) -> Gpa {
    Gpa::new(base.raw().wrapping_add(index.wrapping_mul(bytes)))
}
