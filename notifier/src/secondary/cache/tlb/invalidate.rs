//! Taking entries out.

use super::super::Fate;
use super::super::packed::unpack_leaf;
use super::super::residents::Residents;
use super::super::sets::Place;
use super::super::space::Space;
use super::super::tag::{Key, shifts, tags, touched};
use super::Tlb;
use crate::addr::{AddrRange, Iova, PageSize};
use crate::secondary::Cached;
use crate::sync::lock;

/// Decides about every entry that is met.
type Judge<'a> = dyn FnMut(&Cached) -> Fate + 'a;

impl Tlb {
    /// Takes out every entry of this space that translates any address of `range`, of whatever size
    /// it is, and every [piece](Self::insert_piece) of what is in it; with `size`, those whose leaf is of that size (what a TTL hint says). `fate` decides
    /// about each and must not use this TLB. Returns how many went.
    ///
    /// A short range is looked up page by page, a long one by going through all sets, whichever
    /// is less.
    pub fn invalidate(
        &self,
        space: &Space,
        range: AddrRange<Iova>,
        size: Option<PageSize>,
        fate: &mut dyn FnMut(&Cached) -> Fate,
    ) -> u64 {
        let mut judge = |entry: &Cached| match size {
            Some(size) if entry.leaf.size != size => Fate::Stays,
            _ => fate(entry),
        };
        let mut books = lock(&self.books);
        let range = space.with_pieces(range);
        let removed = self.remove(&mut books.residents, space, range, &mut judge);
        space.invalidated(range);
        removed
    }

    /// Takes out everything of this space: without `fate` in constant time, with it by going through
    /// all sets. Returns how many entries went.
    pub fn invalidate_space(
        &self,
        space: &Space,
        fate: Option<&mut dyn FnMut(&Cached) -> Fate>,
    ) -> u64 {
        let mut books = lock(&self.books);
        let residents = &mut books.residents;
        let removed = match fate {
            Some(fate) => self.remove(residents, space, AddrRange::all(), fate),
            None if residents.is_own(space) => residents.end(space) as u64,
            None => 0,
        };
        space.invalidated(AddrRange::all());
        removed
    }

    /// Takes out what translates `iova`, as any TLB may at any time; it is no invalidation. Returns
    /// how many entries went.
    pub fn evict(&self, space: &Space, iova: Iova) -> u64 {
        let mut books = lock(&self.books);
        let byte = AddrRange::through(iova, iova);
        byte.map_or(0, |byte| {
            self.remove(&mut books.residents, space, byte, &mut |_| Fate::Goes)
        })
    }

    fn remove(
        &self,
        residents: &mut Residents,
        space: &Space,
        range: AddrRange<Iova>,
        judge: &mut Judge<'_>,
    ) -> u64 {
        if !residents.is_own(space) {
            return 0;
        }
        if touched(range, space.sizes()) <= self.sets.count() as u64 {
            self.remove_pages(residents, space, range, judge)
        } else {
            self.sweep(residents, space, range, judge)
        }
    }

    fn remove_pages(
        &self,
        residents: &mut Residents,
        space: &Space,
        range: AddrRange<Iova>,
        judge: &mut Judge<'_>,
    ) -> u64 {
        let id = space.id();
        shifts(space.sizes())
            .flat_map(|shift| tags(range, shift))
            .filter_map(|tag| self.sets.find(Key { tag, id }))
            .map(|place| self.judge(residents, place, judge))
            .sum()
    }

    /// Goes through everything, until there can be no more.
    fn sweep(
        &self,
        residents: &mut Residents,
        space: &Space,
        range: AddrRange<Iova>,
        judge: &mut Judge<'_>,
    ) -> u64 {
        let meant = |place: &Place| {
            let page = self.sets.key(*place).tag.page();
            page.is_some_and(|page| page.overlaps(range))
        };
        self.sets
            .of_generation(space.id())
            .take(residents.live_of(space))
            .filter(meant)
            .map(|place| self.judge(residents, place, judge))
            .sum()
    }

    /// Takes one entry out, if it is to go.
    fn judge(&self, residents: &mut Residents, place: Place, judge: &mut Judge<'_>) -> u64 {
        let (key, words) = (self.sets.key(place), self.sets.words(place));
        let fate = unpack_leaf(key.tag, words).map_or(Fate::Goes, |entry| judge(&entry));
        if fate == Fate::Stays {
            return 0;
        }
        self.sets.empty(place);
        residents.went(key);
        1
    }
}
