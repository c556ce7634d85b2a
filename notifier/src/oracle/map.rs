//! What the page table says now, by address.

use std::collections::BTreeMap;

use crate::addr::{AddrRange, Gva};
use crate::paging::Leaf;

/// Disjoint ranges, each with the page it lies in.
#[derive(Debug, Default)]
pub(super) struct LeafMap(BTreeMap<Gva, (Gva, Leaf)>);

impl LeafMap {
    /// The page that `address` is in.
    pub(super) fn get(&self, address: Gva) -> Option<Leaf> {
        let (_, (last, leaf)) = self.0.range(..=address).next_back()?;
        (address <= *last).then_some(*leaf)
    }

    /// Makes `range` be in this page, or in none, whatever it was in before.
    pub(super) fn set(&mut self, range: AddrRange<Gva>, leaf: Option<Leaf>) {
        self.cut(range.start());
        if let Some(after) = range.last().raw().checked_add(1) {
            self.cut(Gva::new(after));
        }
        let within = self.0.range(range.start()..=range.last());
        let starts: Vec<_> = within.map(|(start, _)| *start).collect();
        for start in starts {
            self.0.remove(&start);
        }
        if let Some(leaf) = leaf {
            self.0.insert(range.start(), (range.last(), leaf));
        }
    }

    /// Makes no range contain both `at` and the address before it.
    fn cut(&mut self, at: Gva) {
        let Some((_, part)) = self.0.range_mut(..at).next_back() else {
            return;
        };
        let (last, leaf) = *part;
        if at <= last {
            part.0 = Gva::new(at.raw() - 1);
            self.0.insert(at, (last, leaf));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gpa, PageSize, Permissions};

    fn leaf(output: u64) -> Leaf {
        Leaf::page(Gpa::new(output), PageSize::M2, Permissions::READ_ONLY)
    }

    #[test]
    fn setting_part_of_a_range_leaves_both_sides() {
        let range = |start, end| AddrRange::new(Gva::new(start), Gva::new(end)).unwrap();
        let mut map = LeafMap::default();
        map.set(range(0x1000, 0x9000), Some(leaf(0)));
        map.set(range(0x3000, 0x5000), Some(leaf(0x20_0000)));
        map.set(range(0x4000, 0x6000), None);
        let found = [
            0xfff, 0x1000, 0x2fff, 0x3000, 0x4000, 0x5fff, 0x6000, 0x8fff, 0x9000,
        ]
        .map(|at| map.get(Gva::new(at)).map(|leaf| leaf.output.raw()));
        let (old, new) = (Some(0), Some(0x20_0000));
        assert_eq!(found, [None, old, old, new, None, None, old, old, None]);
    }

    #[test]
    fn the_top_of_the_address_space_can_be_set() {
        let mut map = LeafMap::default();
        map.set(AddrRange::all(), Some(leaf(0)));
        map.set(AddrRange::page(Gva::new(u64::MAX), PageSize::K4), None);
        assert_eq!(map.get(Gva::new(u64::MAX)), None);
        assert!(map.get(Gva::new(u64::MAX - 0x1000)).is_some());
    }
}
