//! Each way to miss, beside the same command that does not.

use super::*;
use crate::addr::{Gpa, Permissions};
use crate::contract::Step;
use crate::paging::{Leaf, Level};

const VM: Vmid = Vmid(0);
const ASID: Asid = Asid(1);

fn at(start: u64, size: PageSize) -> AddrRange<Iova> {
    AddrRange::page(Iova::new(start), size)
}

fn held(cache: CacheId, size: PageSize, global: bool) -> Held {
    let leaf = Leaf {
        output: Gpa::new(0),
        size,
        permissions: Permissions::READ_ONLY,
        accessed: true,
        dirty: false,
        global,
        memory_type: 0,
        software: 0,
        hints: LeafHints::empty(),
    };
    let entry = Cached {
        page: at(0x20_0000, size),
        leaf,
        filled: Step(1),
    };
    Held::page(cache, &entry)
}

fn table() -> Held {
    let table = CachedTable {
        range: at(0x20_0000, PageSize::M2),
        level: Level(0),
        next: Gpa::new(0x3000),
        filled: Step(1),
    };
    Held::table(CacheId::SmmuWalk(ASID), &table)
}

fn small() -> Held {
    held(CacheId::SmmuTlb(ASID), PageSize::K4, false)
}

#[test]
fn an_asid_takes_its_own_entries_and_no_others() {
    let fit = |vmid, asid| Scope::all(Tag::Asid(vmid, asid)).fit(&small());
    assert_eq!(fit(VM, ASID), Fit::Covers);
    assert_eq!(fit(VM, Asid(2)), Fit::WrongTag);
    assert_eq!(fit(Vmid(1), ASID), Fit::WrongTag);
    let nested = held(CacheId::SmmuNested(Vmid(1), ASID), PageSize::K4, false);
    let scope = Scope::all(Tag::Asid(Vmid(1), ASID));
    assert_eq!(scope.fit(&nested), Fit::Covers);
}

#[test]
fn a_global_entry_is_of_no_asid() {
    let global = held(CacheId::SmmuTlb(ASID), PageSize::K4, true);
    let fit = |tag| Scope::all(tag).fit(&global);
    assert_eq!(fit(Tag::Asid(VM, ASID)), Fit::WrongTag);
    assert_eq!(fit(Tag::Address(VM, Asid(2))), Fit::Covers);
    assert_eq!(fit(Tag::Stage1(VM)), Fit::Covers);
}

#[test]
fn any_address_of_a_block_takes_all_of_it_and_the_next_page_none() {
    let block = held(CacheId::SmmuTlb(ASID), PageSize::M2, false);
    let scope = Scope::all(Tag::Address(VM, ASID));
    let fit = |start| scope.within(at(start, PageSize::K4)).fit(&block);
    assert_eq!(fit(0x3f_f000), Fit::Covers);
    assert_eq!(fit(0x40_0000), Fit::Short);
    let other = Scope::all(Tag::Address(VM, Asid(2)));
    let elsewhere = other.within(at(0x40_0000, PageSize::K4));
    assert_eq!(elsewhere.fit(&block), Fit::Unrelated);
}

#[test]
fn a_level_is_a_promise_for_that_level_alone() {
    let leaf_only = Scope {
        only: Some(PageSize::M2),
        levels: Levels::Leaf,
        ..Scope::all(Tag::Address(VM, ASID))
    };
    assert_eq!(leaf_only.fit(&small()), Fit::WrongLevel);
    let block = held(CacheId::SmmuTlb(ASID), PageSize::M2, false);
    assert_eq!(leaf_only.fit(&block), Fit::Covers);
    assert_eq!(leaf_only.fit(&table()), Fit::WrongLevel);
    assert_eq!(Scope::all(Tag::Stage1(VM)).fit(&table()), Fit::Covers);
}

#[test]
fn an_entry_of_a_contiguous_group_goes_with_its_level() {
    let mut group = held(CacheId::SmmuTlb(ASID), PageSize::K64, false);
    let scope = Scope {
        only: Some(PageSize::K4),
        ..Scope::all(Tag::Address(VM, ASID))
    };
    assert_eq!(scope.fit(&group), Fit::WrongLevel);
    if let What::Page { contiguous, .. } = &mut group.what {
        *contiguous = true;
    }
    assert_eq!(scope.fit(&group), Fit::Covers);
}

#[test]
fn stages_devices_and_translations_are_apart() {
    let stage2 = held(CacheId::SmmuStage2(Vmid(3)), PageSize::K4, false);
    let atc = held(CacheId::Atc(StreamId(7)), PageSize::K4, false);
    let fit = |tag, held: &Held| Scope::all(tag).fit(held);
    assert_eq!(fit(Tag::Stage2(Vmid(3)), &stage2), Fit::Covers);
    assert_eq!(fit(Tag::Stage2(Vmid(4)), &stage2), Fit::WrongTag);
    assert_eq!(fit(Tag::Stage1(Vmid(3)), &stage2), Fit::Unrelated);
    assert_eq!(fit(Tag::Both(Vmid(3)), &stage2), Fit::Covers);
    assert_eq!(fit(Tag::Stage2(VM), &small()), Fit::Unrelated);
    assert_eq!(fit(Tag::Device(StreamId(7)), &atc), Fit::Covers);
    assert_eq!(fit(Tag::Device(StreamId(8)), &atc), Fit::WrongTag);
    assert_eq!(fit(Tag::All, &atc), Fit::Unrelated);
    assert_eq!(fit(Tag::All, &small()), Fit::Covers);
}

#[test]
fn a_context_descriptor_is_not_a_stream_table_entry() {
    let (stream, other) = (StreamId(7), StreamId(8));
    let entry = Held::structure(stream, Structure::StreamTableEntry, None);
    let descriptor = Held::structure(stream, Structure::ContextDescriptor, Some(SubstreamId(2)));
    let fit = |tag, held: &Held| Scope::all(tag).fit(held);
    let one = |substream| Tag::Descriptors(stream, Some(SubstreamId(substream)));
    assert_eq!(fit(Tag::Streams(stream, stream), &entry), Fit::Covers);
    assert_eq!(fit(Tag::Streams(stream, other), &descriptor), Fit::Covers);
    assert_eq!(fit(Tag::Streams(other, other), &entry), Fit::WrongTag);
    assert_eq!(fit(one(2), &entry), Fit::WrongLevel);
    assert_eq!(fit(one(2), &descriptor), Fit::Covers);
    assert_eq!(fit(one(3), &descriptor), Fit::WrongTag);
    assert_eq!(
        fit(Tag::Descriptors(stream, None), &descriptor),
        Fit::Covers
    );
    assert_eq!(
        fit(Tag::Descriptors(other, None), &descriptor),
        Fit::WrongTag
    );
}

#[test]
fn a_command_for_one_cache_names_it() {
    let cache = |tag| Scope::all(tag).cache();
    assert_eq!(cache(Tag::Asid(VM, ASID)), Some(CacheId::SmmuTlb(ASID)));
    let nested = CacheId::SmmuNested(Vmid(1), ASID);
    assert_eq!(cache(Tag::Address(Vmid(1), ASID)), Some(nested));
    assert_eq!(cache(Tag::All), None);
    let streams = Tag::Streams(StreamId(0), StreamId(1));
    assert_eq!(cache(streams), None);
}

#[test]
fn it_prints_what_limits_it() {
    let scope = Scope {
        only: Some(PageSize::K4),
        levels: Levels::Leaf,
        ..Scope::all(Tag::Asid(VM, ASID)).within(at(0x1000, PageSize::K4))
    };
    let words = "ASID 1 of VMID 0, [0x1000, 0x2000), 4 KiB only, pages only";
    assert_eq!(scope.to_string(), words);
}
