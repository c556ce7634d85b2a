//! From a range of addresses to the commands that invalidate it (Linux:
//! `arm_smmu_domain_inv_range`).

#[cfg(test)]
mod tests;

use super::features::max_tlbi_ops;
use super::{AtcScope, Command, Features, Levels, RangeOperand, TlbiSpan, TlbiVa, Ttl};
use crate::addr::{AddrRange, Asid, Iova, StreamId, Vmid};
use crate::secondary::AlignedSpan;

/// The first address of a range command, and how many pages it is for.
type Piece = (Iova, Option<RangeOperand>);

/// What is to be invalidated of one SMMU.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// These addresses.
    pub range: AddrRange<Iova>,
    /// Pages alone, or the tables on the way too.
    pub levels: Levels,
    /// In the SMMU's TLB, what these are the tags of.
    pub tags: &'a [Asid],
    /// In the device TLBs, those behind these streams.
    pub ats: &'a [StreamId],
}

/// Commands that may take effect in any order, and the CMD_SYNC that completes them all. What a
/// later batch holds takes effect after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch(Vec<Command>);

impl Batch {
    /// `None` if there is nothing to complete.
    fn new(mut commands: Vec<Command>) -> Option<Self> {
        if commands.is_empty() {
            return None;
        }
        commands.push(Command::SYNC);
        Some(Self(commands))
    }

    /// The commands, the last of which is a CMD_SYNC.
    pub fn commands(&self) -> &[Command] {
        &self.0
    }
}

impl Features {
    /// The batches, in the order in which they are to be issued.
    ///
    /// Device TLBs come in a batch of their own, after the CMD_SYNC of the SMMU's TLB: they refill
    /// from there, and from an entry that is about to go they would get what nobody takes away from
    /// them again. `IHI0070` 3.9.
    pub fn plan(&self, request: &Request<'_>) -> Vec<Batch> {
        let tlbi = Batch::new(self.tlbi(request));
        let again = tlbi.clone().filter(|_| self.tlbi_twice);
        let atc = Batch::new(atc_inv(request));
        tlbi.into_iter().chain(again).chain(atc).collect()
    }

    fn tlbi(&self, request: &Request<'_>) -> Vec<Command> {
        let of_tag = |asid: &Asid| self.tlbi_of(*asid, request);
        request.tags.iter().flat_map(of_tag).collect()
    }

    fn tlbi_of(&self, asid: Asid, request: &Request<'_>) -> Vec<Command> {
        let whole = vec![Command::TlbiAsid(Vmid(0), asid)];
        if self.is_too_big(request.range) {
            return whole;
        }
        let command = |(address, pages)| {
            let vmid = Vmid(0);
            let span = span(address, request.levels, pages);
            Command::TlbiVa(TlbiVa { vmid, asid, span })
        };
        if self.range_invalidation {
            let ranges = self.ranges(request.range);
            ranges.map_or(whole, |ranges| ranges.map(command).collect())
        } else {
            let pages = self.pages(request.range);
            pages.map(|address| command((address, None))).collect()
        }
    }

    /// Whether one command for the whole ASID is better than one for each page (Linux:
    /// `arm_smmu_inv_size_too_big`).
    fn is_too_big(&self, range: AddrRange<Iova>) -> bool {
        let pages = range.pages(self.granule.page());
        let too_many = !self.range_invalidation && pages >= max_tlbi_ops(self.granule);
        too_many || range == AddrRange::all()
    }

    /// An address in each page.
    fn pages(&self, range: AddrRange<Iova>) -> impl Iterator<Item = Iova> {
        let shift = self.granule.page().shift();
        let (first, last) = (range.start().raw() >> shift, range.last().raw() >> shift);
        (first..=last).map(move |number| Iova::new(number << shift))
    }

    /// The range in pieces of five bits of its length each, the lowest first, as Linux cuts it
    /// (`arm_smmu_cmdq_batch_add_range`), so there are at most seven of them; `None` if SCALE can't
    /// name one, for 2^32 pages and more.
    ///
    /// A length whose lowest five bits are 1 would begin with a piece of one page, NUM = SCALE = 0;
    /// so it is made one page longer, at the end or, at the top of the address space, before the
    /// beginning.
    fn ranges(&self, range: AddrRange<Iova>) -> Option<impl Iterator<Item = Piece>> {
        let shift = self.granule.page().shift();
        let mut number = range.start().raw() >> shift;
        let mut left = range.pages(self.granule.page());
        if left & RangeOperand::MAX_MULTIPLIER == 1 {
            let is_at_the_top = range.last().raw() >> shift == u64::MAX >> shift;
            number -= u64::from(is_at_the_top);
            left += 1;
        }
        let mut pieces = Vec::new();
        while left != 0 {
            let scale = left.trailing_zeros();
            let multiplier = (left >> scale) & RangeOperand::MAX_MULTIPLIER;
            let operand = RangeOperand::new(self.granule, multiplier, scale)?;
            pieces.push((Iova::new(number << shift), Some(operand)));
            number += operand.pages();
            left -= operand.pages();
        }
        Some(pieces.into_iter())
    }
}

/// The last level alone is also the level that a range names (TTL).
fn span(address: Iova, levels: Levels, pages: Option<RangeOperand>) -> TlbiSpan<Iova> {
    let of_leaves = |pages: RangeOperand| pages.at(Ttl::Level3).unwrap_or(pages);
    let pages = match levels {
        Levels::All => pages,
        Levels::Leaf => pages.map(of_leaves),
    };
    TlbiSpan {
        address,
        levels,
        pages,
    }
}

/// One command for each device, whatever the range: they take one aligned power of two.
fn atc_inv(request: &Request<'_>) -> Vec<Command> {
    let span = AlignedSpan::covering(request.range);
    let of_stream = |stream: &StreamId| Command::AtcInv(*stream, AtcScope::Untagged, span);
    request.ats.iter().map(of_stream).collect()
}
