//! Devices that are translated by what their driver replaced.

use super::bench::Bench;
use crate::addr::{Access, Permissions, StreamId, SubstreamId};
use crate::oracle::{Detail, Invalidation, Oracle, ViolationKind};
use crate::secondary::{CacheId, Configuration, Observer, Scope, Structure, Tag};
use crate::test_space::{leaf, page};

const STREAM: StreamId = StreamId(7);
const OLD: Configuration = Configuration::CachedDiffers(Structure::ContextDescriptor);

fn bench() -> Bench {
    let bench = Bench::new(Oracle::new(), leaf(0, Permissions::READ_WRITE));
    access(&bench, Configuration::Fetched);
    bench
}

fn access(bench: &Bench, found: Configuration) {
    let oracle = &bench.oracle;
    oracle.configured(STREAM, None, page(0), Access::Read, found);
}

fn doorbell(bench: &Bench, found: Configuration) {
    bench.oracle.relied_on_configuration(STREAM, None, found);
}

/// The driver changes a context descriptor, does `telling`, and rings; the cache still has the old.
fn rung(telling: impl FnOnce(&Bench)) -> Invalidation {
    let bench = bench();
    telling(&bench);
    doorbell(&bench, OLD);
    access(&bench, OLD);
    assert_eq!(bench.kinds(), [ViolationKind::StaleConfiguration]);
    bench.chain().unwrap().invalidation
}

fn carried_out(tag: Tag) -> impl Fn(&Bench) {
    move |bench| {
        bench.oracle.carried_out(&Scope::all(tag), 0);
        bench.oracle.synced();
    }
}

#[test]
fn a_descriptor_that_nobody_invalidated_is_stale() {
    assert_eq!(rung(|_| {}), Invalidation::Missing);
    let bench = bench();
    doorbell(&bench, OLD);
    access(&bench, OLD);
    access(&bench, OLD);
    let violation = &bench.oracle.findings().violations[0];
    let cache = Some(CacheId::SmmuConfiguration(STREAM));
    assert_eq!((violation.cache, violation.occurrences), (cache, 2));
    let detail = Detail::Structure(Structure::ContextDescriptor, None);
    assert_eq!(violation.detail, Some(detail));
    let words = "device read to 0x400000000000 was translated by an old context descriptor; \
                 the change that made it stale is not on record; no invalidation covered it";
    assert_eq!(violation.to_string(), words);
}

#[test]
fn another_stream_and_another_structure_are_told_apart() {
    let other = Tag::Streams(StreamId(8), StreamId(9));
    let found = rung(carried_out(other));
    assert!(matches!(found, Invalidation::WrongTag(_)), "{found:?}");
    let substream = Tag::Descriptors(STREAM, Some(SubstreamId(1)));
    let found = rung(carried_out(substream));
    assert!(matches!(found, Invalidation::WrongTag(_)), "{found:?}");
    let found = rung(carried_out(Tag::Streams(STREAM, STREAM)));
    assert!(matches!(found, Invalidation::Ineffective(_)), "{found:?}");
    let found = rung(|bench| {
        bench
            .oracle
            .submitted(&Scope::all(Tag::Descriptors(STREAM, None)));
    });
    assert!(matches!(found, Invalidation::NotSynced(_)), "{found:?}");
}

#[test]
fn a_command_for_descriptors_does_not_reach_the_stream_table_entry() {
    let bench = bench();
    carried_out(Tag::Descriptors(STREAM, None))(&bench);
    let old = Configuration::CachedDiffers(Structure::StreamTableEntry);
    doorbell(&bench, old);
    access(&bench, old);
    let found = bench.chain().unwrap().invalidation;
    assert!(matches!(found, Invalidation::WrongLevel(_)), "{found:?}");
}

#[test]
fn before_the_doorbell_nobody_relies_on_it() {
    let bench = bench();
    access(&bench, OLD);
    assert_eq!(bench.kinds(), []);
}

#[test]
fn what_is_changed_after_the_doorbell_is_not_relied_on() {
    let bench = bench();
    doorbell(&bench, Configuration::Cached);
    access(&bench, OLD);
    assert_eq!(bench.kinds(), []);
    doorbell(&bench, OLD);
    doorbell(&bench, Configuration::Fetched);
    access(&bench, OLD);
    assert_eq!(bench.kinds(), [], "the last doorbell counts");
}

#[test]
fn an_invalidation_after_the_doorbell_ends_it() {
    let bench = bench();
    doorbell(&bench, OLD);
    carried_out(Tag::Streams(STREAM, STREAM))(&bench);
    access(&bench, Configuration::Fetched);
    access(&bench, OLD);
    assert_eq!(bench.kinds(), [], "what differs now was changed since");
}

#[test]
fn streams_are_followed_up_to_a_bound() {
    let bench = bench();
    for stream in 0..2_000 {
        bench
            .oracle
            .relied_on_configuration(StreamId(stream), None, OLD);
    }
    assert_eq!(bench.oracle.findings().not_kept, 2_000 - 1_024);
}
