//! The TLB against a list of what was put in and not taken out: what a look-up returns is in the
//! list, and what the list lacks is not returned. The list has no capacity, so the converse need not
//! hold, except where all of it fits.

use proptest::prelude::*;

use super::*;

const SIZES: [PageSize; 3] = [PageSize::K4, PageSize::K64, PageSize::M2];

#[derive(Clone, Debug)]
enum Step {
    Insert {
        space: usize,
        page: u64,
        size: usize,
    },
    Invalidate {
        space: usize,
        first: u64,
        pages: u64,
        size: Option<usize>,
    },
    InvalidateSpace {
        space: usize,
        shown: bool,
    },
    Evict {
        space: usize,
        page: u64,
    },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let (space, page, size) = (0..3usize, 0..1200u64, 0..SIZES.len());
    let pages = prop_oneof![1..4u64, 1..1300u64];
    let insert = (space.clone(), page.clone(), size.clone())
        .prop_map(|(space, page, size)| Step::Insert { space, page, size });
    let invalidate = (
        space.clone(),
        page.clone(),
        pages,
        proptest::option::of(size),
    )
        .prop_map(|(space, first, pages, size)| Step::Invalidate {
            space,
            first,
            pages,
            size,
        });
    let whole = (space.clone(), any::<bool>())
        .prop_map(|(space, shown)| Step::InvalidateSpace { space, shown });
    let evict = (space, page).prop_map(|(space, page)| Step::Evict { space, page });
    prop_oneof![12 => insert, 3 => invalidate, 1 => whole, 1 => evict, 1 => Just(Step::Clear)]
}

/// What should be there, unless it lost its place: by space.
#[derive(Default)]
struct List {
    spaces: [Vec<Cached>; 3],
}

impl List {
    fn insert(&mut self, space: usize, entry: Cached) {
        self.spaces[space].retain(|held| held.page != entry.page);
        self.spaces[space].push(entry);
    }

    fn remove(&mut self, space: usize, goes: impl Fn(&Cached) -> bool) -> Vec<Cached> {
        self.spaces[space]
            .extract_if(.., |held| goes(held))
            .collect()
    }

    fn find(&self, space: usize, iova: Iova) -> Option<&Cached> {
        let translate = self.spaces[space]
            .iter()
            .filter(|held| held.page.contains(iova));
        translate.min_by_key(|held| held.page.length())
    }
}

/// Both, side by side.
struct Pair {
    tlb: Tlb,
    spaces: [Arc<Space>; 3],
    list: List,
    now: u64,
}

impl Pair {
    fn new(entries: usize) -> Self {
        let tlb = Tlb::new(entries);
        let spaces = [1, 2, 3].map(|asid| tlb.space(key(asid)));
        Self {
            tlb,
            spaces,
            list: List::default(),
            now: 0,
        }
    }

    /// Does it to both, and compares what went if nothing can have lost its place.
    fn apply(&mut self, step: &Step, fits: bool) -> Result<(), TestCaseError> {
        self.now += 1;
        let (went, meant) = match *step {
            Step::Insert { space, page, size } => {
                self.insert(space, page, SIZES[size]);
                return Ok(());
            }
            Step::Invalidate {
                space,
                first,
                pages,
                size,
            } => {
                let range = range(first << 12, (first + pages) << 12);
                let size = size.map(|size| SIZES[size]);
                let mut shown = Vec::new();
                let went = self
                    .tlb
                    .invalidate(&self.spaces[space], range, size, &mut |entry| {
                        shown.push(*entry);
                        Fate::Goes
                    });
                let goes = |held: &Cached| {
                    held.page.overlaps(range) && size.is_none_or(|size| held.leaf.size == size)
                };
                let meant = self.list.remove(space, goes);
                prop_assert!(shown.iter().all(|entry| meant.contains(entry)));
                prop_assert_eq!(shown.len() as u64, went);
                (went, meant.len())
            }
            Step::InvalidateSpace { space, shown } => {
                let mut fate = drop_all;
                let fate: Option<&mut dyn FnMut(&Cached) -> Fate> =
                    if shown { Some(&mut fate) } else { None };
                let went = self.tlb.invalidate_space(&self.spaces[space], fate);
                (went, self.list.remove(space, |_| true).len())
            }
            Step::Evict { space, page } => {
                let iova = Iova::new(page << 12);
                let went = self.tlb.evict(&self.spaces[space], iova);
                (
                    went,
                    self.list
                        .remove(space, |held| held.page.contains(iova))
                        .len(),
                )
            }
            Step::Clear => {
                let meant = (0..3).map(|space| self.list.remove(space, |_| true).len());
                (self.tlb.clear(), meant.sum())
            }
        };
        prop_assert!(went <= meant as u64);
        prop_assert!(!fits || went == meant as u64);
        Ok(())
    }

    fn insert(&mut self, space: usize, number: u64, size: PageSize) {
        let page = page(number << 12, size);
        let leaf = leaf(size, self.now << 21);
        let filled = crate::contract::Step(self.now);
        let ticket = self.tlb.fill_began(&self.spaces[space]);
        let inserted = self
            .tlb
            .insert(&self.spaces[space], ticket, page, leaf, filled);
        assert_eq!(inserted, Inserted::Kept);
        self.list.insert(space, Cached { page, leaf, filled });
    }

    /// Every page that was ever meant, in every space.
    fn agree(&self, fits: bool) -> Result<(), TestCaseError> {
        let mut all = 0;
        for (index, space) in self.spaces.iter().enumerate() {
            for iova in (0..1300).map(|number| Iova::new(number << 12)) {
                let found = self.tlb.lookup(space, None, iova);
                let meant = self.list.find(index, iova);
                match found {
                    Some(found) => prop_assert!(self.list.spaces[index].contains(&found)),
                    None => prop_assert!(!fits || meant.is_none()),
                }
                prop_assert!(!fits || found.as_ref() == meant);
            }
            all += self.list.spaces[index].len();
        }
        prop_assert!(self.tlb.len() <= all.min(self.tlb.capacity()));
        prop_assert!(!fits || self.tlb.len() == all);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn small_it_holds_nothing_that_it_should_not(steps in prop::collection::vec(step(), 1..120)) {
        let mut pair = Pair::new(16);
        for step in &steps {
            pair.apply(step, false)?;
        }
        pair.agree(false)?;
    }

    /// So large that no set overflows with what 60 steps can put in.
    #[test]
    fn large_it_holds_all_that_it_should(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new(1 << 14);
        for step in &steps {
            pair.apply(step, true)?;
        }
        pair.agree(true)?;
    }
}
