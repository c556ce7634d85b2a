//! The tree beside a plain list, after every step of random programs.

use proptest::prelude::*;
use proptest::sample::Index;

use super::node::{NodeId, Side, Subtree};
use super::shape::Shape;
use super::*;

fn through(start: u64, last: u64) -> AddrRange<Gva> {
    AddrRange::through(Gva::new(start), Gva::new(last)).unwrap()
}

/// The intervals that are there, in order of insertion, and the keys of those that were.
#[derive(Default)]
struct Model {
    tree: IntervalTree<u64>,
    list: Vec<(Key, AddrRange<Gva>, u64)>,
    gone: Vec<Key>,
    inserted: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Insert(AddrRange<Gva>),
    /// The same interval as one that is there.
    Repeat(Index),
    Remove(Index),
    /// By a key that was removed before.
    RemoveAgain(Index),
    Query(AddrRange<Gva>),
}

impl Model {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Insert(range) => self.insert(*range),
            Step::Repeat(which) if !self.list.is_empty() => {
                self.insert(which.get(&self.list).1);
            }
            Step::Remove(which) if !self.list.is_empty() => {
                self.remove(which.index(self.list.len()));
            }
            Step::RemoveAgain(which) if !self.gone.is_empty() => {
                assert_eq!(self.tree.remove(*which.get(&self.gone)), None);
            }
            Step::Query(range) => self.query(*range),
            Step::Repeat(_) | Step::Remove(_) | Step::RemoveAgain(_) => {}
        }
        check(&self.tree);
    }

    fn insert(&mut self, range: AddrRange<Gva>) {
        let value = self.inserted;
        self.inserted += 1;
        let key = self.tree.insert(range, value);
        self.list.push((key, range, value));
        self.query(range);
    }

    fn remove(&mut self, which: usize) {
        let (key, range, value) = self.list.remove(which);
        assert_eq!(self.tree.remove(key), Some(value));
        self.gone.push(key);
        self.query(range);
    }

    /// What the list says overlaps the range is what the tree says, in its order.
    fn query(&self, range: AddrRange<Gva>) {
        let mut expected = self.list.clone();
        expected.retain(|(_, interval, _)| interval.overlaps(range));
        // Stable: those of one start stay in order of insertion.
        expected.sort_by_key(|(_, interval, _)| interval.start());
        assert_eq!(listed(self.tree.overlapping(range)), expected);
    }

    fn keys_find_what_they_name(&self) {
        assert_eq!(self.tree.len(), self.list.len());
        assert_eq!(self.tree.is_empty(), self.list.is_empty());
        for (key, range, value) in &self.list {
            assert_eq!(self.tree.get(*key), Some((*range, value)));
        }
        for key in &self.gone {
            assert_eq!(self.tree.get(*key), None);
        }
    }
}

fn listed<'a>(
    found: impl Iterator<Item = (Key, AddrRange<Gva>, &'a u64)>,
) -> Vec<(Key, AddrRange<Gva>, u64)> {
    found
        .map(|(key, range, value)| (key, range, *value))
        .collect()
}

/// What must hold of the tree itself after every step.
fn check<T>(tree: &IntervalTree<T>) {
    let shape = &tree.shape;
    let mut order = Vec::new();
    let whole = check_subtree(shape, shape.root(), None, &mut order);
    assert!(order.is_sorted_by(|a, b| a < b), "out of order");
    assert_eq!(order.len(), tree.len(), "nodes lost");
    assert!(shape.capacity() >= tree.len());
    // Knuth, The Art of Computer Programming, volume 3, 6.2.3, theorem A.
    let nodes = u32::try_from(tree.len()).unwrap();
    let bound = 1.4405 * (f64::from(nodes) + 2.0).log2() - 0.3277;
    assert!(f64::from(whole.height) <= bound, "too deep");
}

/// Recomputes what the node above keeps of this subtree.
fn check_subtree(
    shape: &Shape,
    root: Option<NodeId>,
    parent: Option<NodeId>,
    order: &mut Vec<Key>,
) -> Subtree {
    let Some(id) = root else {
        return Subtree::EMPTY;
    };
    let node = &shape[id];
    assert_eq!(node.parent, parent, "wrong parent");
    let left = check_subtree(shape, node[Side::Left].root, root, order);
    order.push(node.key());
    let right = check_subtree(shape, node[Side::Right].root, root, order);
    assert_eq!(node[Side::Left], left, "stale on the left");
    assert_eq!(node[Side::Right], right, "stale on the right");
    assert!(left.height.abs_diff(right.height) <= 1, "out of balance");
    let mut max_last = node.range.last();
    for below in [left, right].iter().filter(|side| side.root.is_some()) {
        max_last = max_last.max(below.max_last);
    }
    Subtree {
        root,
        height: 1 + left.height.max(right.height),
        max_last,
    }
}

/// Few enough that intervals touch, repeat and miss each other by one; both ends of the space.
fn an_address() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..40_u64,
        2 => (u64::MAX - 5)..=u64::MAX,
        1 => any::<u64>(),
    ]
}

fn an_interval() -> impl Strategy<Value = AddrRange<Gva>> {
    let any = (an_address(), an_address()).prop_map(|(a, b)| through(a.min(b), a.max(b)));
    let short = (0..200_u64, 0..4_u64).prop_map(|(start, more)| through(start, start + more));
    prop_oneof![4 => short, 3 => any, 1 => Just(AddrRange::all())]
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => an_interval().prop_map(Step::Insert),
        1 => any::<Index>().prop_map(Step::Repeat),
        4 => any::<Index>().prop_map(Step::Remove),
        1 => any::<Index>().prop_map(Step::RemoveAgain),
        3 => an_interval().prop_map(Step::Query),
    ]
}

proptest! {
    /// Grows first, or a random walk would stay among trees too small to be interesting.
    #[test]
    fn it_does_what_a_list_does(
        first in prop::collection::vec(an_interval(), 0..80),
        steps in prop::collection::vec(a_step(), 1..120),
    ) {
        let mut model = Model::default();
        let insertions = first.into_iter().map(Step::Insert);
        for step in insertions.chain(steps) {
            model.step(&step);
        }
        model.keys_find_what_they_name();
    }
}

#[test]
fn intervals_in_rising_falling_or_equal_order_stay_shallow() {
    let orders: [fn(u64) -> u64; 3] = [|n| n, |n| 5_000 - n, |_| 7];
    for start in orders {
        let mut tree = IntervalTree::new();
        let keys: Vec<_> = (0..5_000)
            .map(|n| tree.insert(through(start(n), start(n)), n))
            .collect();
        check(&tree);
        for (n, key) in (0..).zip(keys) {
            assert_eq!(tree.remove(key), Some(n));
        }
        check(&tree);
    }
}

#[test]
fn both_ends_of_the_address_space_are_addresses() {
    let mut tree = IntervalTree::new();
    let first = tree.insert(through(0, 0), ());
    let last = tree.insert(through(u64::MAX, u64::MAX), ());
    let all = tree.insert(AddrRange::all(), ());
    let found = |range| {
        let keys = tree.overlapping(range).map(|(key, ..)| key);
        keys.collect::<Vec<_>>()
    };
    assert_eq!(found(through(0, 0)), [first, all]);
    assert_eq!(found(through(1, u64::MAX - 1)), [all]);
    assert_eq!(found(through(u64::MAX, u64::MAX)), [all, last]);
    assert_eq!(found(AddrRange::all()), [first, all, last]);
}

#[test]
fn the_end_of_a_page_is_outside() {
    let mut tree = IntervalTree::new();
    let page = AddrRange::new(Gva::new(0x1000), Gva::new(0x2000)).unwrap();
    tree.insert(page, ());
    let hits = |start, end| {
        let range = AddrRange::new(Gva::new(start), Gva::new(end)).unwrap();
        tree.overlapping(range).count()
    };
    assert_eq!([hits(0, 0x1000), hits(0x2000, 0x3000)], [0, 0]);
    assert_eq!([hits(0, 0x1001), hits(0x1fff, 0x3000)], [1, 1]);
}

/// The reuse of memory is what a stale key could be fooled by.
#[test]
fn a_key_outlives_its_interval_without_naming_the_next() {
    let mut tree = IntervalTree::new();
    let stale = tree.insert(through(1, 2), "old");
    assert_eq!(tree.remove(stale), Some("old"));
    let key = tree.insert(through(1, 2), "new");
    assert_eq!(tree.get(stale), None);
    assert_eq!(tree.remove(stale), None);
    assert_eq!(tree.get(key), Some((through(1, 2), &"new")));
}

#[test]
fn memory_follows_the_number_of_intervals_down() {
    let mut tree = IntervalTree::new();
    let mut keys: Vec<_> = (0..4_096).map(|n| tree.insert(through(n, n), n)).collect();
    while let Some(key) = keys.pop() {
        tree.remove(key);
        let most = 4 * tree.len().max(SMALL) + 3;
        assert!(tree.shape.capacity() <= most);
        assert!(tree.values.capacity() <= most);
    }
}

#[test]
fn a_search_that_is_over_stays_over() {
    let mut tree = IntervalTree::new();
    tree.insert(through(1, 1), ());
    let mut found = tree.iter();
    assert!(found.next().is_some());
    assert!(found.next().is_none());
    assert!(found.next().is_none());
}
