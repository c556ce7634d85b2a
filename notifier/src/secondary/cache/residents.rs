//! Who has entries in a TLB, and how many.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::space::Space;
use super::tag::Key;

/// The spaces that have entries, by generation. Each has a generation for as long as it has any.
#[derive(Debug)]
pub(super) struct Residents {
    spaces: BTreeMap<u32, Resident>,
    /// The generation that begins next.
    next: u32,
    /// Entries of generations that go on.
    live: usize,
    /// Entries of generations that have ended, which still take up their place.
    ended: usize,
}

#[derive(Debug)]
struct Resident {
    space: Arc<Space>,
    live: usize,
    of_size: [usize; 64],
}

impl Residents {
    pub(super) fn new(first: u32) -> Self {
        Self {
            spaces: BTreeMap::new(),
            next: first,
            live: 0,
            ended: 0,
        }
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// How many entries `space` has.
    pub(super) fn live_of(&self, space: &Space) -> usize {
        self.spaces
            .get(&space.id())
            .map_or(0, |resident| resident.live)
    }

    pub(super) fn any_ended(&self) -> bool {
        self.ended > 0
    }

    pub(super) fn has_ended(&self, id: u32) -> bool {
        !self.spaces.contains_key(&id)
    }

    /// Whether this is the space that it says it is, and not another TLB's with the same number.
    pub(super) fn is_own(&self, space: &Space) -> bool {
        let resident = self.spaces.get(&space.id());
        resident.is_some_and(|resident| std::ptr::eq(&*resident.space, space))
    }

    /// Begins a generation of a space that has none; `None` if the numbers are used up.
    pub(super) fn begin(&mut self, space: Arc<Space>) -> Option<u32> {
        let id = self.next;
        self.next = id.checked_add(1)?;
        space.set_id(id);
        let resident = Resident {
            space,
            live: 0,
            of_size: [0; 64],
        };
        self.spaces.insert(id, resident);
        Some(id)
    }

    /// Ends the generation of `space`. Returns how many entries went with it.
    pub(super) fn end(&mut self, space: &Space) -> usize {
        let gone = self
            .spaces
            .remove(&space.id())
            .map_or(0, |resident| resident.live);
        space.set_id(0);
        self.live -= gone;
        self.ended += gone;
        gone
    }

    /// Ends all generations and begins to number them anew; every entry must go too.
    pub(super) fn restart(&mut self) {
        for resident in self.spaces.values() {
            resident.space.set_id(0);
        }
        *self = Self::new(1);
    }

    /// An entry was put in; its generation goes on.
    pub(super) fn came(&mut self, key: Key) {
        let Some(resident) = self.spaces.get_mut(&key.id) else {
            return;
        };
        self.live += 1;
        resident.live += 1;
        let of_size = &mut resident.of_size[usize::from(key.tag.shift())];
        *of_size += 1;
        if *of_size == 1 {
            let sizes = resident.space.sizes() | 1 << key.tag.shift();
            resident.space.set_sizes(sizes);
        }
    }

    /// An entry was taken out, or another put in its place.
    pub(super) fn went(&mut self, key: Key) {
        let Some(resident) = self.spaces.get_mut(&key.id) else {
            self.ended -= usize::from(key != Key::NONE);
            return;
        };
        self.live -= 1;
        resident.live -= 1;
        let of_size = &mut resident.of_size[usize::from(key.tag.shift())];
        *of_size -= 1;
        if *of_size == 0 {
            let sizes = resident.space.sizes() & !(1 << key.tag.shift());
            resident.space.set_sizes(sizes);
        }
        if resident.live == 0 {
            resident.space.set_id(0);
            self.spaces.remove(&key.id);
        }
    }
}
