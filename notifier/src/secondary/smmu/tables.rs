//! Tables on the way, as the walk cache keeps them.
//!
//! A cached table is a pointer that nobody looks up again: whoever frees a table without an
//! invalidation that covers it, and of all levels, leaves walks going through memory that is
//! somebody else's (`IHI0070` 4.4, Leaf).

use super::Smmu;
use super::model::count;
use super::walker::{Place, Walk};
use crate::addr::{AddrRange, Gva, Iova};
use crate::secondary::{self, cache::CachedTable};

impl Smmu {
    /// Where a walk for `address` begins: at the last table on the way that is known, or the root.
    pub(super) fn start(&self, walk: &Walk<'_>, address: Gva) -> Place {
        let iova = Iova::shared(address);
        let known = self
            .caches_tables()
            .then(|| self.tables.lookup(walk.space, iova));
        let Some(table) = known.flatten() else {
            return walk.first_place();
        };
        count(&self.counters.walk_cache_hits);
        self.observer.table_used(walk.cache, iova, &seen(&table));
        Place {
            table: table.next,
            level: table.level,
            limits: table.limits,
        }
    }

    /// Keeps the table that a walk came to, for all addresses that come through it.
    pub(super) fn keep_table(&self, walk: &Walk<'_>, address: Gva, place: Place) {
        let above = crate::paging::Level(place.level.0 + 1);
        let covers = AddrRange::page(Iova::shared(address), walk.format.span(above));
        if !self.caches_tables() {
            return;
        }
        let mut table = CachedTable {
            covers,
            level: place.level,
            next: place.table,
            limits: place.limits,
            filled: walk.began(),
        };
        let began = walk.began();
        table.filled = self.observer.table_cached(walk.cache, &seen(&table), began);
        // Overtaken by an invalidation: it is used for this walk and not kept.
        let _ = self.tables.insert(walk.space, walk.ticket, &table);
    }
}

/// What an observer is shown of it.
fn seen(table: &CachedTable) -> secondary::CachedTable {
    secondary::CachedTable {
        range: table.covers,
        level: table.level,
        next: table.next,
        filled: table.filled,
    }
}
