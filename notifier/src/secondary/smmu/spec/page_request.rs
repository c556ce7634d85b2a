//! Page request records, 16 bytes each (`IHI0070` 8, figure of the PPR).

use super::bits::Bits;
use crate::addr::{Iova, StreamId, SubstreamId};

/// A PCIe page request message, or a Stop Marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Whose.
    pub stream: StreamId,
    /// With which PASID, if any.
    pub substream: Option<SubstreamId>,
    /// The page that is asked for, a multiple of 4096.
    pub address: Iova,
    /// The group that the answer names, 9 bits.
    pub group: u16,
    /// It is to be read.
    pub read: bool,
    /// It is to be written.
    pub write: bool,
    /// It is to be executed.
    pub execute: bool,
    /// On behalf of the system.
    pub privileged: bool,
    /// The group is complete with it, and expects an answer.
    pub last: bool,
}

/// Where the fields are.
mod field {
    use super::Bits;

    pub(super) const STREAM: Bits = Bits::new(31, 0);
    pub(super) const SUBSTREAM: Bits = Bits::new(51, 32);
    pub(super) const PRIVILEGED: Bits = Bits::bit(58);
    pub(super) const EXECUTE: Bits = Bits::bit(59);
    pub(super) const READ: Bits = Bits::bit(60);
    pub(super) const WRITE: Bits = Bits::bit(61);
    pub(super) const LAST: Bits = Bits::bit(62);
    pub(super) const SSV: Bits = Bits::bit(63);
    pub(super) const GROUP: Bits = Bits::new(8, 0);
    pub(super) const ADDRESS: Bits = Bits::new(63, 12);
}

impl PageRequest {
    /// Its size in memory, in bytes.
    pub const BYTES: u64 = 16;

    /// Whether it says that a PASID is no longer used: neither read nor write, and the last. It
    /// expects no answer.
    pub fn is_stop_marker(&self) -> bool {
        self.last && self.substream.is_some() && !self.read && !self.write
    }

    /// The two words, the first at the lower address.
    pub fn encode(&self) -> [u64; 2] {
        let substream = self.substream.map_or(0, |substream| {
            field::SSV.mask() | field::SUBSTREAM.put(u64::from(substream.0))
        });
        let first = field::STREAM.put(u64::from(self.stream.0))
            | substream
            | field::PRIVILEGED.flag(self.privileged)
            | field::EXECUTE.flag(self.execute)
            | field::READ.flag(self.read)
            | field::WRITE.flag(self.write)
            | field::LAST.flag(self.last);
        let group = field::GROUP.put(u64::from(self.group));
        [first, self.address.raw() & field::ADDRESS.mask() | group]
    }

    /// The request that these two words are: any are one.
    pub fn decode([first, second]: [u64; 2]) -> Self {
        let substream = SubstreamId(field::SUBSTREAM.u32(first));
        Self {
            stream: StreamId(field::STREAM.u32(first)),
            substream: field::SSV.is_set(first).then_some(substream),
            address: Iova::new(second & field::ADDRESS.mask()),
            group: field::GROUP.u16(second),
            read: field::READ.is_set(first),
            write: field::WRITE.is_set(first),
            execute: field::EXECUTE.is_set(first),
            privileged: field::PRIVILEGED.is_set(first),
            last: field::LAST.is_set(first),
        }
    }
}
