//! A node of the tree, and what it knows of the two subtrees below it.

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use super::Key;
use crate::addr::{AddrRange, Gva};

/// Which node of the arena: its position plus one, so that "none" needs no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(NonZeroU32);

impl NodeId {
    /// The node at this position.
    ///
    /// # Panics
    /// Past 2^32 - 2. That many nodes are 256 GiB: memory ends first.
    pub(super) fn at(position: usize) -> Self {
        u32::try_from(position + 1)
            .ok()
            .and_then(NonZeroU32::new)
            .map(Self)
            .expect("an interval tree holds fewer than 2^32 intervals")
    }

    pub(super) fn position(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Left, Self::Right];

    pub(super) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// What a node knows of one of its subtrees.
///
/// Height and augmentation are kept here, above the subtree and not in its root, so that a search
/// never reads a node whose subtree holds nothing for it, and balancing reads no neighbour of the
/// path it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subtree {
    pub(super) root: Option<NodeId>,
    /// Nodes on its longest path; 0 for none.
    pub(super) height: u8,
    /// The last address (inclusive) that any of its intervals reaches; 0 means nothing when it is
    /// empty.
    pub(super) max_last: Gva,
}

impl Subtree {
    pub(super) const EMPTY: Self = Self {
        root: None,
        height: 0,
        max_last: Gva::new(0),
    };

    /// Its root, if any of its intervals ends at `address` or later.
    pub(super) fn reaching(&self, address: Gva) -> Option<NodeId> {
        self.root.filter(|_| self.max_last >= address)
    }
}

/// One interval and its place in the tree: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node {
    pub(super) range: AddrRange<Gva>,
    pub(super) serial: u64,
    subtrees: [Subtree; 2],
    pub(super) parent: Option<NodeId>,
}

const _: () = assert!(size_of::<Node>() == 64);

impl Node {
    pub(super) fn new(range: AddrRange<Gva>, serial: u64, parent: Option<NodeId>) -> Self {
        Self {
            range,
            serial,
            subtrees: [Subtree::EMPTY; 2],
            parent,
        }
    }

    pub(super) fn key(&self) -> Key {
        Key {
            start: self.range.start(),
            serial: self.serial,
        }
    }

    /// On which side its child `child` is.
    pub(super) fn side_of(&self, child: NodeId) -> Side {
        if self[Side::Left].root == Some(child) {
            Side::Left
        } else {
            Side::Right
        }
    }

    /// The side that is two higher than the other, which an AVL tree must not keep.
    pub(super) fn heavy_side(&self) -> Option<Side> {
        let higher = |side: Side| self[side].height > self[side.other()].height + 1;
        Side::BOTH.into_iter().find(|side| higher(*side))
    }

    /// What the node above has to know of the subtree that begins here.
    pub(super) fn summary(&self, id: NodeId) -> Subtree {
        let [left, right] = &self.subtrees;
        Subtree {
            root: Some(id),
            height: left.height.max(right.height) + 1,
            max_last: self.range.last().max(left.max_last).max(right.max_last),
        }
    }
}

impl Index<Side> for Node {
    type Output = Subtree;

    fn index(&self, side: Side) -> &Subtree {
        &self.subtrees[side as usize]
    }
}

impl IndexMut<Side> for Node {
    fn index_mut(&mut self, side: Side) -> &mut Subtree {
        &mut self.subtrees[side as usize]
    }
}
