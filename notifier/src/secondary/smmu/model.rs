//! The SMMU: its parts, and what it did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;

use super::erratum::RacingEntries;
use super::flight::Flight;
use super::queue::{OneSync, Queue};
use super::streams::Streams;
use super::{Caching, Features, Knobs, Smmu};
use crate::paging::SystemMemory;
use crate::secondary::Observer;
use crate::secondary::cache::{Tlb, WalkCache};

/// Entries of the walk cache for each of the TLB's.
const TLB_ENTRIES_A_TABLE: usize = 8;

/// Of what decides which entries are evicted ([`Deny::Random`](super::Deny::Random)).
const EVICTION_SEED: u64 = 0x5741_4c45_4d41_5445;

/// What an SMMU did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accesses and ATS requests whose translation was in the TLB, whether it allowed them or not.
    pub tlb_hits: u64,
    /// Accesses and ATS requests whose translation was not, each of which is a walk.
    pub tlb_misses: u64,
    /// Of these, how many found a table of theirs in the walk cache.
    pub walk_cache_hits: u64,
    /// Hardware updates of access flag or dirty state.
    pub marks: u64,
    /// Configurations that were read from the stream table.
    pub configurations: u64,
    /// Invalidations of the TLB asked for, one for each command.
    pub invalidations: u64,
    /// Entries that they took out.
    pub invalidated_entries: u64,
    /// Invalidations that took out none.
    pub redundant_invalidations: u64,
    /// Invalidations of device TLBs asked for.
    pub atc_invalidations: u64,
}

/// The same, as it is counted. Hits are not: they are the accesses that were nothing else, so that
/// the most frequent case writes nothing that is shared.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) misses: AtomicU64,
    /// Accesses of a transfer, each after its first.
    pub(super) bursts: AtomicU64,
    /// Accesses that no TLB was asked about.
    pub(super) untranslated: AtomicU64,
    pub(super) walk_cache_hits: AtomicU64,
    pub(super) marks: AtomicU64,
    pub(super) configurations: AtomicU64,
    pub(super) invalidations: AtomicU64,
    pub(super) invalidated_entries: AtomicU64,
    pub(super) redundant_invalidations: AtomicU64,
    pub(super) atc_invalidations: AtomicU64,
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Smmu {
    /// An SMMU with an empty TLB of `tlb_entries`, which finds tables and structures in `memory`.
    pub fn new(
        tlb_entries: usize,
        memory: Arc<dyn SystemMemory>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            memory,
            observer,
            features: Features::default(),
            knobs: Knobs::default(),
            stage1_format: None,
            programming: ArcSwapOption::empty(),
            tlb: Tlb::new(tlb_entries),
            tables: WalkCache::new(tlb_entries.div_ceil(TLB_ENTRIES_A_TABLE)),
            streams: Streams::default(),
            flight: Flight::default(),
            syncing: Mutex::new(OneSync),
            queue: Mutex::new(Queue::default()),
            stalls: Mutex::default(),
            records: Mutex::default(),
            evictions: Mutex::new(fastrand::Rng::with_seed(EVICTION_SEED)),
            counters: Counters::default(),
        }
    }

    /// The same with these features, which its drivers plan by.
    #[must_use]
    pub fn with_features(self, features: Features) -> Self {
        Self { features, ..self }
    }

    /// The same with these knobs. Streams that are bound already keep what they were bound with.
    #[must_use]
    pub fn with_knobs(self, knobs: Knobs) -> Self {
        let queue = Mutex::new(Queue::new(RacingEntries::new(knobs.racing)));
        Self {
            knobs,
            queue,
            ..self
        }
    }

    /// What it can do.
    pub fn features(&self) -> Features {
        self.features
    }

    /// What it is like.
    pub fn knobs(&self) -> Knobs {
        self.knobs
    }

    /// What it did so far. With accesses under way, hits may be one or two ahead.
    pub fn counts(&self) -> Counts {
        let counters = &self.counters;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let misses = of(&counters.misses);
        let others = misses + of(&counters.untranslated);
        Counts {
            tlb_hits: (self.flight.begun() + of(&counters.bursts)).saturating_sub(others),
            tlb_misses: misses,
            walk_cache_hits: of(&counters.walk_cache_hits),
            marks: of(&counters.marks),
            configurations: of(&counters.configurations),
            invalidations: of(&counters.invalidations),
            invalidated_entries: of(&counters.invalidated_entries),
            redundant_invalidations: of(&counters.redundant_invalidations),
            atc_invalidations: of(&counters.atc_invalidations),
        }
    }

    /// Whether it caches tables.
    pub(super) fn caches_tables(&self) -> bool {
        self.knobs.walk_cache == Caching::On
    }
}
