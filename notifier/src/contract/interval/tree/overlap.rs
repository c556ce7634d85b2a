//! The search for intervals that overlap a range.

use std::iter::FusedIterator;

use super::node::{Node, NodeId, Side};
use super::shape::Shape;
use super::{IntervalTree, Key};
use crate::addr::{AddrRange, Gva};

/// The intervals of a tree that overlap a range, in order. It keeps a place in the tree and goes
/// on from there by the nodes' links to what is above them, without a stack.
pub(super) struct Overlapping<'a, T> {
    tree: &'a IntervalTree<T>,
    range: AddrRange<Gva>,
    place: Place,
}

enum Place {
    Before,
    At(NodeId),
    Behind,
}

impl<'a, T> Overlapping<'a, T> {
    pub(super) fn new(tree: &'a IntervalTree<T>, range: AddrRange<Gva>) -> Self {
        let place = Place::Before;
        Self { tree, range, place }
    }
}

impl<'a, T> Iterator for Overlapping<'a, T> {
    type Item = (Key, AddrRange<Gva>, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        let shape = &self.tree.shape;
        let found = match self.place {
            Place::Before => shape.first_overlap(shape.root(), self.range),
            Place::At(id) => shape.next_overlap(id, self.range),
            Place::Behind => None,
        };
        self.place = found.map_or(Place::Behind, Place::At);
        found.map(|id| self.tree.entry(id))
    }
}

impl<T> FusedIterator for Overlapping<'_, T> {}

impl Shape {
    /// The first interval in the subtree at `root` that overlaps `range`.
    fn first_overlap(&self, root: Option<NodeId>, range: AddrRange<Gva>) -> Option<NodeId> {
        let mut id = root?;
        loop {
            let node = &self[id];
            // Something on the left reaches the range. If it overlaps, the first is there. If not,
            // it starts behind the range, as everything on the right does. Either way the right
            // has nothing to add.
            id = match node[Side::Left].reaching(range.start()) {
                Some(left) => left,
                None => match node.compare(range) {
                    Relation::Overlaps => return Some(id),
                    Relation::Behind => return None,
                    Relation::Before => node[Side::Right].reaching(range.start())?,
                },
            };
        }
    }

    /// The next after `id` that overlaps `range`, if `id` does.
    fn next_overlap(&self, id: NodeId, range: AddrRange<Gva>) -> Option<NodeId> {
        // As on the left in `first_overlap`: what is above `id` on the right has nothing to add.
        if let Some(right) = self[id][Side::Right].reaching(range.start()) {
            return self.first_overlap(Some(right), range);
        }
        let mut above = self.next_above(id)?;
        loop {
            match self[above].compare(range) {
                Relation::Overlaps => return Some(above),
                Relation::Behind => return None,
                Relation::Before => {}
            }
            if let Some(right) = self[above][Side::Right].reaching(range.start()) {
                return self.first_overlap(Some(right), range);
            }
            above = self.next_above(above)?;
        }
    }

    /// The nearest node above `id` that is behind it in order.
    fn next_above(&self, mut id: NodeId) -> Option<NodeId> {
        loop {
            let above = self[id].parent?;
            if self[above].side_of(id) == Side::Left {
                return Some(above);
            }
            id = above;
        }
    }
}

/// Where an interval is, seen from a range.
enum Relation {
    Before,
    Overlaps,
    Behind,
}

impl Node {
    fn compare(&self, range: AddrRange<Gva>) -> Relation {
        if self.range.start() > range.last() {
            Relation::Behind
        } else if self.range.last() < range.start() {
            Relation::Before
        } else {
            Relation::Overlaps
        }
    }
}
