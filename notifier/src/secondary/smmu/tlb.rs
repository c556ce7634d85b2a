//! The TLB: set-associative, tagged by ASID, of bounded capacity.

#[cfg(test)]
mod tests;

use crate::addr::{AddrRange, Asid, Iova, PageSize};
use crate::contract::Step;
use crate::paging::Leaf;
use crate::secondary::Cached;

/// Entries in a set.
pub const WAYS: usize = 4;

/// A translation cache. An entry stays until it is invalidated or another needs its place; in a full
/// set the ways take turns at being replaced, which is oldest first as long as nothing of the set is
/// invalidated.
///
/// Tags and translations are kept apart: a set's tags fill one cache line, and a look-up that
/// finds none of them right reads nothing else.
#[derive(Debug)]
pub struct Tlb {
    tags: Vec<[Tag; WAYS]>,
    slots: Vec<[Slot; WAYS]>,
    /// Per set, the way that is replaced next.
    victims: Vec<u8>,
    /// How many entries there are of each page size, by shift.
    population: [usize; 64],
    /// The sizes of which there is any: bit *n* for pages of 2^*n* bytes.
    sizes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tag {
    /// Page number in units of the page's own size.
    number: u64,
    asid: u16,
    /// Shift of the page size; 0 marks an empty way.
    shift: u8,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    leaf: Leaf,
    filled: Step,
}

impl Slot {
    const EMPTY: Self = Self {
        leaf: Leaf {
            output: crate::addr::Gpa::new(0),
            size: PageSize::K4,
            permissions: crate::addr::Permissions::empty(),
            accessed: false,
            dirty: false,
            global: false,
            memory_type: 0,
            software: 0,
            hints: crate::paging::LeafHints::empty(),
        },
        filled: Step(0),
    };
}

impl Tag {
    const EMPTY: Self = Self {
        number: 0,
        asid: 0,
        shift: 0,
    };

    fn new(asid: Asid, iova: Iova, size: PageSize) -> Self {
        Self {
            number: iova.raw() >> size.shift(),
            asid: asid.0,
            shift: size.shift(),
        }
    }

    fn page(self) -> Option<AddrRange<Iova>> {
        let size = PageSize::from_shift(self.shift)?;
        Some(AddrRange::page(Iova::new(self.number << self.shift), size))
    }
}

impl Tlb {
    /// An empty TLB for at least this many entries: the number of sets is rounded up to a power
    /// of two.
    pub fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS).max(1).next_power_of_two();
        Self {
            tags: vec![[Tag::EMPTY; WAYS]; sets],
            slots: vec![[Slot::EMPTY; WAYS]; sets],
            victims: vec![0; sets],
            population: [0; 64],
            sizes: 0,
        }
    }

    /// The most entries it can hold.
    pub fn capacity(&self) -> usize {
        self.tags.len() * WAYS
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.population.iter().sum()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.sizes == 0
    }

    /// The entry that translates `iova` in this address space.
    pub fn lookup(&self, asid: Asid, iova: Iova) -> Option<Cached> {
        let mut sizes = self.sizes;
        while let Some(size) = smallest(sizes) {
            let tag = Tag::new(asid, iova, size);
            if let Some((set, way)) = self.find(tag) {
                return Some(cached(iova, size, &self.slots[set][way]));
            }
            sizes &= sizes - 1;
        }
        None
    }

    /// Puts in the page that contains `iova`. An entry for the same page of the same size is
    /// replaced.
    pub fn insert(&mut self, asid: Asid, iova: Iova, leaf: Leaf, filled: Step) {
        let tag = Tag::new(asid, iova, leaf.size);
        let set = self.set(tag);
        let way = self.way_for(set, tag);
        self.forget(set, way);
        self.tags[set][way] = tag;
        self.slots[set][way] = Slot { leaf, filled };
        self.population[usize::from(tag.shift)] += 1;
        self.sizes |= leaf.size.bytes();
    }

    /// Takes out every entry of this address space that translates any address of `range`, and
    /// shows each to `dropped`. Returns how many there were.
    ///
    /// A short range is looked up page by page, a long one by going through all sets, whichever
    /// is less.
    pub fn invalidate(
        &mut self,
        asid: Asid,
        range: AddrRange<Iova>,
        dropped: impl FnMut(&Cached),
    ) -> u64 {
        self.invalidate_of_size(asid, range, None, dropped)
    }

    /// The same for the entries of one page size, if one is given.
    pub fn invalidate_of_size(
        &mut self,
        asid: Asid,
        range: AddrRange<Iova>,
        size: Option<PageSize>,
        mut dropped: impl FnMut(&Cached),
    ) -> u64 {
        let mut removed = 0;
        let mut sizes = self.sizes & size.map_or(u64::MAX, PageSize::bytes);
        while let Some(size) = smallest(sizes) {
            if range.pages(size) <= self.tags.len() as u64 {
                removed += self.invalidate_pages(asid, range, size, &mut dropped);
                sizes &= sizes - 1;
            } else {
                return removed + self.sweep(asid, range, sizes, &mut dropped);
            }
        }
        removed
    }

    fn invalidate_pages(
        &mut self,
        asid: Asid,
        range: AddrRange<Iova>,
        size: PageSize,
        dropped: &mut impl FnMut(&Cached),
    ) -> u64 {
        let first = Tag::new(asid, range.start(), size);
        let mut removed = 0;
        for step in 0..range.pages(size) {
            let number = first.number + step;
            if let Some((set, way)) = self.find(Tag { number, ..first }) {
                removed += self.drop_way(set, way, dropped);
            }
        }
        removed
    }

    /// Goes through everything for entries of the sizes in `sizes`.
    fn sweep(
        &mut self,
        asid: Asid,
        range: AddrRange<Iova>,
        sizes: u64,
        dropped: &mut impl FnMut(&Cached),
    ) -> u64 {
        let mut removed = 0;
        for set in 0..self.tags.len() {
            for way in 0..WAYS {
                let tag = self.tags[set][way];
                let meant = tag.asid == asid.0 && sizes & (1 << tag.shift) != 0;
                if meant && tag.page().is_some_and(|page| page.overlaps(range)) {
                    removed += self.drop_way(set, way, dropped);
                }
            }
        }
        removed
    }

    fn drop_way(&mut self, set: usize, way: usize, dropped: &mut impl FnMut(&Cached)) -> u64 {
        let Some(page) = self.tags[set][way].page() else {
            return 0;
        };
        let Slot { leaf, filled } = self.slots[set][way];
        dropped(&Cached { page, leaf, filled });
        self.forget(set, way);
        1
    }

    /// Empties a way.
    fn forget(&mut self, set: usize, way: usize) {
        let tag = std::mem::replace(&mut self.tags[set][way], Tag::EMPTY);
        let population = &mut self.population[usize::from(tag.shift)];
        if tag.shift != 0 {
            *population -= 1;
            if *population == 0 {
                self.sizes &= !(1 << tag.shift);
            }
        }
    }

    fn find(&self, tag: Tag) -> Option<(usize, usize)> {
        let set = self.set(tag);
        let way = self.tags[set].iter().position(|held| *held == tag)?;
        Some((set, way))
    }

    /// Where `tag` is to go: where it is, an empty way, or the oldest.
    fn way_for(&mut self, set: usize, tag: Tag) -> usize {
        let tags = &self.tags[set];
        let same = tags.iter().position(|held| *held == tag);
        let empty = || tags.iter().position(|held| *held == Tag::EMPTY);
        same.or_else(empty).unwrap_or_else(|| {
            let victim = usize::from(self.victims[set]);
            self.victims[set] = u8::try_from((victim + 1) % WAYS).unwrap_or(0);
            victim
        })
    }

    /// Neighbouring pages of one address space go to neighbouring sets; address spaces and page
    /// sizes are spread by an odd multiplier each.
    fn set(&self, tag: Tag) -> usize {
        let spread = u64::from(tag.asid).wrapping_mul(0x9e37_79b9)
            ^ u64::from(tag.shift).wrapping_mul(0x85eb_ca6b);
        let hash = tag.number.wrapping_add(spread);
        usize::try_from(hash & (self.tags.len() as u64 - 1)).unwrap_or(0)
    }
}

/// The smallest size in a set of them.
fn smallest(sizes: u64) -> Option<PageSize> {
    PageSize::from_shift(u8::try_from(sizes.trailing_zeros()).ok()?)
}

fn cached(iova: Iova, size: PageSize, slot: &Slot) -> Cached {
    Cached {
        page: AddrRange::page(iova, size),
        leaf: slot.leaf,
        filled: slot.filled,
    }
}
