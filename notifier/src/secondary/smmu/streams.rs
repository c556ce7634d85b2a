//! What each stream is translated by: bound by hand, or found in the stream table and cached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};

use super::configuration::Fetched;
use super::regime::{Regime, Walks};
use super::structures::Structures;
use super::{Binding, Requester, Smmu, Traffic};
use crate::addr::{Asid, StreamId};
use crate::secondary::CacheId;
use crate::sync::lock;

/// What becomes of an access.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// It is translated.
    Translate(Regime),
    /// It goes to the address that it names.
    Bypass,
    /// It is terminated, and nobody hears of it.
    Abort,
}

/// Where a stream's configuration is from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Bound by hand; commands do not touch it.
    Hand(Binding),
    /// Read from these structures, as the so many-th that was.
    Tables(Structures, u64),
}

/// Configurations that are cached. With one more, the one that was read first goes: software decides
/// how many streams and substreams there are.
pub(super) const CONFIGURATIONS: usize = 64;

/// A stream's configuration.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) route: Route,
    pub(super) source: Source,
}

pub(super) type Map = BTreeMap<Requester, Arc<Known>>;

/// All configurations that are known. A look-up takes no lock: it sees a whole state, the last one or
/// the one before.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: ArcSwap<Map>,
    books: Mutex<Books>,
}

/// Held while the map is changed.
#[derive(Debug, Default)]
struct Books {
    /// How many were read.
    read: u64,
    /// How many invalidations there were.
    forgotten: u64,
}

/// What a look at the stream table takes along from its beginning, to be shown with what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FetchTicket(u64);

impl Streams {
    /// All there are at this moment.
    pub(super) fn all(&self) -> Guard<Arc<Map>> {
        self.known.load()
    }

    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Map) -> R) -> R {
        let _alone = lock(&self.books);
        self.change_alone(change)
    }

    fn change_alone<R>(&self, change: impl FnOnce(&mut Map) -> R) -> R {
        let mut map = Map::clone(&self.known.load());
        let result = change(&mut map);
        self.known.store(Arc::new(map));
        result
    }

    /// To be taken before the stream table is looked at.
    pub(super) fn fetch_began(&self) -> FetchTicket {
        FetchTicket(lock(&self.books).forgotten)
    }

    /// Caches what was read from the stream table, unless the stream was bound by hand meanwhile, or an
    /// invalidation came: what it is for would be left behind.
    pub(super) fn keep(&self, from: Requester, fetched: &Fetched, ticket: FetchTicket) {
        let mut books = lock(&self.books);
        if FetchTicket(books.forgotten) != ticket {
            return;
        }
        books.read += 1;
        let number = books.read;
        let known = Known {
            route: fetched.route.clone(),
            source: Source::Tables(fetched.structures, number),
        };
        self.change_alone(|map| {
            if !map.contains_key(&from) {
                make_room(map);
                map.insert(from, Arc::new(known));
            }
        });
    }

    /// Forgets what was read from the stream table for these; returns how many that were.
    pub(super) fn forget(&self, which: impl Fn(&Requester) -> bool) -> u64 {
        let mut books = lock(&self.books);
        books.forgotten += 1;
        self.change_alone(|map| {
            let before = map.len();
            let stays = |from: &Requester, known: &Arc<Known>| {
                matches!(known.source, Source::Hand(_)) || !which(from)
            };
            map.retain(|from, known| stays(from, known));
            (before - map.len()) as u64
        })
    }
}

/// Takes out the oldest of those that were read, if there are as many as there may be.
fn make_room(map: &mut Map) {
    let read = map.iter().filter_map(|(from, known)| match known.source {
        Source::Tables(_, number) => Some((number, *from)),
        Source::Hand(_) => None,
    });
    let (count, oldest) = read.fold((0, None::<(u64, Requester)>), |(count, oldest), one| {
        (count + 1, Some(oldest.map_or(one, |old| old.min(one))))
    });
    if let Some((_, from)) = oldest.filter(|_| count >= CONFIGURATIONS) {
        map.remove(&from);
    }
}

impl Smmu {
    /// Binds `stream` by hand to an address space, whatever it was bound to before. Invalidates
    /// nothing.
    pub fn attach(&self, stream: StreamId, binding: impl Into<Binding>) {
        self.bind(stream, binding.into(), Walks::Enabled);
    }

    /// The same for an address space that is gone already.
    pub(super) fn attach_without_walks(&self, stream: StreamId, binding: impl Into<Binding>) {
        self.bind(stream, binding.into(), Walks::Disabled);
    }

    fn bind(&self, stream: StreamId, binding: Binding, walks: Walks) {
        let known = self.bound(binding, walks);
        let from = Requester::from(stream);
        self.streams.change(|map| map.insert(from, Arc::new(known)));
    }

    fn bound(&self, binding: Binding, walks: Walks) -> Known {
        let regime = Regime::bound(&binding, &self.tlb, &self.knobs, walks);
        Known {
            route: Route::Translate(regime),
            source: Source::Hand(binding),
        }
    }

    /// Binds `stream` to nothing: its accesses get the fault `stream`. Invalidates nothing.
    pub fn detach(&self, stream: StreamId) {
        let from = Requester::from(stream);
        self.streams.change(|map| map.remove(&from));
    }

    /// The same for every stream that is bound by hand to this address space.
    pub(super) fn detach_all(&self, asid: Asid) {
        self.streams
            .change(|map| map.retain(|_, known| known.bound_to() != Some(asid)));
    }

    /// Lets every stream that is bound by hand to this address space translate by the TLB alone: what
    /// is not in it gets the fault `translation`, without a look at the tables. Invalidates nothing.
    ///
    /// What Linux does when an address space goes away under a device that still makes accesses:
    /// the context descriptor stays valid, so that there is no `C_BAD_CD`, with EPD0 set
    /// (`arm_smmu_mm_release`).
    pub fn disable_walks(&self, asid: Asid) {
        self.streams.change(|map| {
            for known in map.values_mut() {
                if let (Some(of), Source::Hand(binding)) = (known.bound_to(), &known.source)
                    && of == asid
                {
                    *known = Arc::new(self.bound(binding.clone(), Walks::Disabled));
                }
            }
        });
    }
}

impl Smmu {
    /// The cache that answers for a stream: by its configuration as it is known, else as memory has
    /// it now. `None` if nothing translates it.
    pub fn cache_of(&self, from: impl Into<Requester>) -> Option<CacheId> {
        let from = from.into();
        let known = self.streams.all().get(&from).map(|it| it.route.clone());
        match known.or_else(|| self.route_in_memory(from))? {
            Route::Translate(regime) => Some(regime.cache),
            Route::Bypass | Route::Abort => None,
        }
    }

    fn route_in_memory(&self, from: Requester) -> Option<Route> {
        match self.programming.load().as_ref()?.streams {
            Traffic::Looked(table) => self.fetch(&table, from).ok().map(|it| it.route),
            Traffic::Aborted | Traffic::Bypassed => None,
        }
    }
}

impl Known {
    /// Whether the stream table has no say in it.
    pub(super) fn is_bound_by_hand(&self) -> bool {
        matches!(self.source, Source::Hand(_))
    }

    /// The address space that it is bound to by hand.
    fn bound_to(&self) -> Option<Asid> {
        match &self.source {
            Source::Hand(Binding::Stage1(context) | Binding::Nested(context, _)) => {
                Some(context.asid)
            }
            Source::Hand(Binding::Stage2(_)) | Source::Tables(..) => None,
        }
    }
}
