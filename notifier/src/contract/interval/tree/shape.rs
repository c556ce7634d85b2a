//! The nodes and how they hang together: an AVL tree in an arena without holes.

use std::ops::{Index, IndexMut};

use super::node::{Node, NodeId, Side};
use crate::addr::{AddrRange, Gva};

/// A balanced tree of intervals, in order of start, those of one start in order of insertion.
///
/// AVL and not red-black: the rule is one comparison, and no path is longer than 1.44 log2(n). A
/// removal moves the arena's last node into the hole, so that the arena needs no free list and can
/// be cut to size at any time; nothing outside may keep a [`NodeId`] over a change.
#[derive(Debug)]
pub(super) struct Shape {
    nodes: Vec<Node>,
    root: Option<NodeId>,
}

impl Shape {
    pub(super) const EMPTY: Self = Self {
        nodes: Vec::new(),
        root: None,
    };

    pub(super) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    pub(super) fn root(&self) -> Option<NodeId> {
        self.root
    }

    pub(super) fn shrink_to(&mut self, capacity: usize) {
        self.nodes.shrink_to(capacity);
    }

    /// Adds an interval at the end of the arena, behind all with the same start.
    pub(super) fn insert(&mut self, range: AddrRange<Gva>, serial: u64) {
        let place = self.place_for(range.start());
        let id = NodeId::at(self.nodes.len());
        let node = Node::new(range, serial, place.map(|(parent, _)| parent));
        let summary = node.summary(id);
        self.nodes.push(node);
        match place {
            None => self.root = Some(id),
            Some((parent, side)) => {
                self[parent][side] = summary;
                self.rebalance(Some(parent));
            }
        }
    }

    /// Below which node, and on which side, a new interval with this start belongs.
    fn place_for(&self, start: Gva) -> Option<(NodeId, Side)> {
        let mut place = None;
        let mut next = self.root;
        while let Some(id) = next {
            let node = &self[id];
            let side = if start < node.range.start() {
                Side::Left
            } else {
                Side::Right
            };
            place = Some((id, side));
            next = node[side].root;
        }
        place
    }

    /// Takes out the interval at `id`. For whoever keeps values at the same positions: the
    /// interval of the returned node is now at `id`, and then the arena's last at that node
    /// (`swap`, then `swap_remove`).
    pub(super) fn remove(&mut self, id: NodeId) -> NodeId {
        let hole = self.stand_in(id);
        self[id].range = self[hole].range;
        self[id].serial = self[hole].serial;
        let above = self.unlink(hole);
        self.rebalance(above);
        if hole != id {
            // The interval at `id` is another, even where its subtrees' summaries are the same.
            self.rebalance(Some(id));
        }
        self.fill(hole);
        hole
    }

    /// The node that can leave in the place of `id`, having at most one child: itself, or the
    /// next in order.
    fn stand_in(&self, id: NodeId) -> NodeId {
        let node = &self[id];
        match (node[Side::Left].root, node[Side::Right].root) {
            (Some(_), Some(right)) => self.leftmost(right),
            _ => id,
        }
    }

    fn leftmost(&self, mut id: NodeId) -> NodeId {
        while let Some(left) = self[id][Side::Left].root {
            id = left;
        }
        id
    }

    /// Puts the only child of `id`, if any, in its place; the node above.
    fn unlink(&mut self, id: NodeId) -> Option<NodeId> {
        let node = &self[id];
        let [left, right] = Side::BOTH.map(|side| node[side]);
        let only = if left.root.is_some() { left } else { right };
        let parent = node.parent;
        match parent {
            None => self.root = only.root,
            Some(parent) => {
                let side = self[parent].side_of(id);
                self[parent][side] = only;
            }
        }
        self.set_parent(only.root, parent);
        parent
    }

    /// Makes the arena whole again after `hole` was unlinked.
    fn fill(&mut self, hole: NodeId) {
        self.nodes.swap_remove(hole.position());
        let moved = NodeId::at(self.nodes.len());
        if moved == hole {
            return;
        }
        for side in Side::BOTH {
            self.adopt(hole, side);
        }
        self.relink(self[hole].parent, moved, hole);
    }

    /// Restores height, augmentation and balance from this node upward, as far as they change.
    fn rebalance(&mut self, from: Option<NodeId>) {
        let mut next = from;
        while let Some(id) = next {
            let top = self.balance(id);
            next = self.report(top);
        }
    }

    /// Tells the node above what is below; that node, if this was news to it.
    fn report(&mut self, id: NodeId) -> Option<NodeId> {
        let summary = self[id].summary(id);
        let parent = self[id].parent?;
        let side = self[parent].side_of(id);
        let known = &mut self[parent][side];
        let news = *known != summary;
        *known = summary;
        news.then_some(parent)
    }

    /// Rotates where one side of `id` is two higher; the root of the subtree afterwards.
    fn balance(&mut self, id: NodeId) -> NodeId {
        let Some(heavy) = self[id].heavy_side() else {
            return id;
        };
        if let Some(child) = self[id][heavy].root {
            let inner = heavy.other();
            // An inner grandchild would stay as deep as it is: it becomes the outer one first.
            if self[child][inner].height > self[child][heavy].height {
                self.raise(child, inner);
            }
        }
        self.raise(id, heavy)
    }

    /// Rotates so that the child of `id` on this side is above it; that child.
    fn raise(&mut self, id: NodeId, side: Side) -> NodeId {
        let Some(child) = self[id][side].root else {
            return id;
        };
        let inner = self[child][side.other()];
        let parent = self[id].parent;
        self[id][side] = inner;
        self.adopt(id, side);
        let below = self[id].summary(id);
        self[child][side.other()] = below;
        self.adopt(child, side.other());
        self.relink(parent, id, child);
        child
    }

    /// Links `new` below `parent` (or on top) where `old` was. Only the link: whether the rest is
    /// news to `parent` decides how far up [`report`](Self::report) goes.
    fn relink(&mut self, parent: Option<NodeId>, old: NodeId, new: NodeId) {
        match parent {
            None => self.root = Some(new),
            Some(parent) => {
                let side = self[parent].side_of(old);
                self[parent][side].root = Some(new);
            }
        }
        self[new].parent = parent;
    }

    /// Tells the child of `id` on this side who is above it.
    fn adopt(&mut self, id: NodeId, side: Side) {
        self.set_parent(self[id][side].root, Some(id));
    }

    fn set_parent(&mut self, child: Option<NodeId>, parent: Option<NodeId>) {
        if let Some(child) = child {
            self[child].parent = parent;
        }
    }
}

impl Index<NodeId> for Shape {
    type Output = Node;

    fn index(&self, id: NodeId) -> &Node {
        &self.nodes[id.position()]
    }
}

impl IndexMut<NodeId> for Shape {
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.position()]
    }
}
