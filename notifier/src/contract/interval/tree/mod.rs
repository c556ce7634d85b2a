//! Intervals of an address space, and which of them a range overlaps.

mod node;
mod overlap;
mod shape;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use crate::addr::{AddrRange, Gva};

use node::{NodeId, Side};
use overlap::Overlapping;
use shape::Shape;

/// Below this many intervals memory is kept as it is.
const SMALL: usize = 16;

/// A set of intervals, each with a value, that answers which of them a range overlaps.
///
/// Intervals may overlap, be equal and reach both ends of the address space. Their order, wherever
/// they come in order, is that of their starts; among equal starts, that of insertion.
///
/// It is an augmented tree as in Linux (`include/linux/interval_tree_generic.h`): a search tree by
/// start in which every node knows how far the intervals below it reach. With *n* intervals an
/// insertion, a removal or a look-up by key takes O(log n) steps, a search O(log n) for each
/// interval that it finds and O(log n) to find that there is no more, and fewer where what it
/// finds lies close together. Only an insertion allocates. Memory follows the number of intervals
/// down again: less than a quarter full, it is halved or more.
#[derive(Debug)]
pub struct IntervalTree<T> {
    shape: Shape,
    /// The value of each node, at the same position: a search reads only those it finds.
    values: Vec<T>,
    /// What the next insertion is numbered. It counts insertions, not intervals: 64 bits last.
    next_serial: u64,
}

/// Names one interval of one [`IntervalTree`], from its insertion on.
///
/// No later interval of that tree ever has the same key, so a key whose interval was removed finds
/// nothing. What it finds in another tree means nothing. Keys are ordered as the intervals are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    // First, because the derived order is the tree's.
    start: Gva,
    serial: u64,
}

impl<T> IntervalTree<T> {
    /// A tree of no intervals, which has allocated nothing.
    pub const fn new() -> Self {
        Self {
            shape: Shape::EMPTY,
            values: Vec::new(),
            next_serial: 0,
        }
    }

    /// How many intervals it holds, equal ones counted each.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds an interval, even if it holds an equal one.
    ///
    /// # Panics
    /// With 2^32 - 1 intervals in it, whose nodes alone are 256 GiB.
    pub fn insert(&mut self, range: AddrRange<Gva>, value: T) -> Key {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.shape.insert(range, serial);
        self.values.push(value);
        let start = range.start();
        Key { start, serial }
    }

    /// Takes the interval with this key out; `None` if it is gone already.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let id = self.find(key)?;
        let hole = self.shape.remove(id).position();
        self.values.swap(id.position(), hole);
        let value = self.values.swap_remove(hole);
        self.give_back();
        Some(value)
    }

    /// The interval with this key and its value; `None` if it was removed.
    pub fn get(&self, key: Key) -> Option<(AddrRange<Gva>, &T)> {
        let (_, range, value) = self.entry(self.find(key)?);
        Some((range, value))
    }

    /// The intervals that have an address in common with `range`, in order.
    pub fn overlapping(
        &self,
        range: AddrRange<Gva>,
    ) -> impl Iterator<Item = (Key, AddrRange<Gva>, &T)> {
        Overlapping::new(self, range)
    }

    /// All intervals, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, AddrRange<Gva>, &T)> {
        self.overlapping(AddrRange::all())
    }

    fn find(&self, key: Key) -> Option<NodeId> {
        let mut next = self.shape.root();
        while let Some(id) = next {
            let node = &self.shape[id];
            next = match key.cmp(&node.key()) {
                Ordering::Less => node[Side::Left].root,
                Ordering::Greater => node[Side::Right].root,
                Ordering::Equal => return Some(id),
            };
        }
        None
    }

    fn entry(&self, id: NodeId) -> (Key, AddrRange<Gva>, &T) {
        let node = &self.shape[id];
        (node.key(), node.range, &self.values[id.position()])
    }

    /// Twice the length is kept, so that what is given back was paid for by as many removals.
    fn give_back(&mut self) {
        let worth_keeping = self.len().max(SMALL);
        if self.values.capacity().max(self.shape.capacity()) / 4 > worth_keeping {
            self.values.shrink_to(2 * worth_keeping);
            self.shape.shrink_to(2 * worth_keeping);
        }
    }
}

impl<T> Default for IntervalTree<T> {
    fn default() -> Self {
        Self::new()
    }
}
