//! Stream-table entries, context descriptors, and where they are.

use proptest::prelude::*;

use super::*;
use crate::addr::{Asid, Gpa, Ipa, StreamId, SubstreamId, Vmid};
use crate::secondary::smmu::Granule;

/// Stage 1 over stage 2, both with 4 KiB and 39 or 40 bits.
fn nested() -> Ste {
    Ste {
        valid: true,
        config: Config::Nested,
        contexts: ContextTable {
            format: ContextFormat::TwoLevel64K,
            base: Ipa::new(0x4000),
            bits: 12,
        },
        default_substream: DefaultSubstream::Zero,
        stage2: Stage2 {
            vmid: Vmid(0x1234),
            t0sz: 24,
            sl0: 1,
            granule: Some(Granule::K4),
            output: AddressSize::B40,
            aarch64: true,
            record: true,
            root: Gpa::new(0x8000),
            ..Ste::default().stage2
        },
        ..Ste::default()
    }
}

fn context() -> Cd {
    let half = Half {
        size: 25,
        granule: Some(Granule::K4),
        root: Ipa::new(0x9000),
        ..Cd::default().lower
    };
    Cd {
        valid: true,
        lower: half,
        upper: Half {
            walks_disabled: true,
            ..half
        },
        output: AddressSize::B40,
        aarch64: true,
        record: true,
        abort: true,
        asid: Asid(0x42),
        mair: 0xff,
        ..Cd::default()
    }
}

/// By the masks of Linux's `arm-smmu-v3.h`.
#[test]
fn an_entry_is_where_the_specification_has_it() {
    let words = nested().encode();
    assert_eq!(words[0], 12 << 59 | 0x4000 | 2 << 4 | 7 << 1 | 1);
    assert_eq!(words[1], 1 << 44 | 2);
    let vtcr = 24 | 1 << 6 | 2 << 16;
    assert_eq!(words[2], 1 << 58 | 1 << 51 | vtcr << 32 | 0x1234);
    assert_eq!(words[3..], [0x8000, 0, 0, 0, 0]);
    let flags = Ste {
        ats: Eats::Full,
        stream_world: 2,
        stall_disabled: true,
        merge_events: true,
        ..nested()
    };
    let set = 1 << 28 | 2 << 30 | 1 << 27 | 1 << 19;
    assert_eq!(flags.encode()[1], words[1] | set);
}

/// By the masks of Linux's `arm-smmu-v3.h`, with what it writes for an mm.
#[test]
fn a_descriptor_is_where_the_specification_has_it() {
    let words = context().encode();
    let tcr = 25 | 25 << 16 | 2 << 22 | 1 << 30 | 2 << 32 | 1 << 41;
    let arva = 1 << 31 | 1 << 45 | 1 << 46;
    assert_eq!(words[0], tcr | arva | 0x42 << 48);
    assert_eq!(words[1..], [0x9000, 0x9000, 0xff, 0, 0, 0, 0]);
    let marks = Cd {
        hardware_access: true,
        hardware_dirty: true,
        set: AsidSet::Private,
        ..context()
    };
    let set = 1 << 43 | 1 << 42 | 1 << 47;
    assert_eq!(marks.encode()[0], words[0] | set);
}

proptest! {
    #[test]
    fn any_words_decode_and_come_back(words in any::<[u64; 8]>()) {
        let ste = Ste::decode(words);
        prop_assert_eq!(Ste::decode(ste.encode()), ste);
        let _ = (ste.check(&ALL), ste.check(&LEAST));
        let cd = Cd::decode(words);
        prop_assert_eq!(Cd::decode(cd.encode()), cd);
        for world in [StreamWorld::El1, StreamWorld::El2] {
            let _ = (cd.check(&ALL, &ste, world), cd.check(&LEAST, &ste, world));
        }
    }
}

#[test]
fn each_fault_of_an_entry_has_its_reason() {
    assert_eq!(nested().check(&ALL), Ok(()));
    let bad = |change: fn(&mut Ste)| {
        let mut ste = nested();
        change(&mut ste);
        ste.check(&ALL).unwrap_err()
    };
    assert_eq!(bad(|ste| ste.valid = false), BadSte::Invalid);
    assert_eq!(bad(|ste| ste.contexts.bits = 21), BadSte::ContextBits);
    assert_eq!(bad(|ste| ste.stage2.aarch64 = false), BadSte::Aarch32);
    assert_eq!(bad(|ste| ste.stage2.big_endian = true), BadSte::BigEndian);
    assert_eq!(bad(|ste| ste.stage2.granule = None), BadSte::Granule);
    assert_eq!(bad(|ste| ste.stage2.t0sz = 40), BadSte::InputSize);
    assert_eq!(bad(|ste| ste.stage2.t0sz = 15), BadSte::InputSize);
    assert_eq!(bad(|ste| ste.stage2.sl0 = 3), BadSte::InputSize);
    assert_eq!(bad(|ste| ste.stage2.root = Gpa::new(1 << 40)), BadSte::Root);
    let split_stage1 = |ste: &mut Ste| {
        ste.ats = Eats::Split;
        ste.config = Config::Stage1;
    };
    assert_eq!(bad(split_stage1), BadSte::Ats);
    let stalling = |ste: &mut Ste| {
        ste.ats = Eats::Full;
        ste.stage2.stall = true;
    };
    assert_eq!(bad(stalling), BadSte::Ats);
    let world = |ste: &mut Ste| {
        ste.config = Config::Stage1;
        ste.stream_world = 3;
    };
    assert_eq!(bad(world), BadSte::StreamWorld);
}

#[test]
fn an_entry_needs_the_abilities_that_it_uses() {
    let with = |abilities: Abilities| nested().check(&abilities);
    let one = Stages::One;
    assert_eq!(with(Abilities { stages: one, ..ALL }), Err(BadSte::Stage));
    let vmid16 = false;
    assert_eq!(with(Abilities { vmid16, ..ALL }), Err(BadSte::Vmid));
    let two_level_contexts = false;
    let one_level = with(Abilities {
        two_level_contexts,
        ..ALL
    });
    assert_eq!(one_level, Err(BadSte::ContextFormat));
    let granules = Granules::K64;
    assert_eq!(with(Abilities { granules, ..ALL }), Err(BadSte::Granule));
    let stall = StallModel::Forced;
    assert_eq!(with(Abilities { stall, ..ALL }), Err(BadSte::Stall));
    let mut ste = nested();
    ste.stage2.hardware_access = true;
    let httu = Httu::None;
    assert_eq!(ste.check(&Abilities { httu, ..ALL }), Err(BadSte::Httu));
    ste.stage2.hardware_dirty = true;
    let httu = Httu::Access;
    assert_eq!(ste.check(&Abilities { httu, ..ALL }), Err(BadSte::Httu));
    ste.stage2.hardware_access = false;
    assert_eq!(ste.stage2.httu(), Httu::None, "dirty alone is as neither");
}

/// What a stage does not use is not looked at.
#[test]
fn a_bypassed_stage_is_ignored() {
    let mut ste = nested();
    ste.config = Config::Bypass;
    ste.stage2.granule = None;
    ste.contexts.bits = 31;
    ste.stage2.vmid = Vmid(0xffff);
    assert_eq!(ste.check(&LEAST), Ok(()));
    assert_eq!(ste.check(&ALL), Ok(()));
    assert_eq!(
        Ste::decode([0x7, 0, 0, 0, 0, 0, 0, 0]).config,
        Config::Abort
    );
}

/// Linux's start levels: 4 KiB with 40 bits begins at level 1, two tables side by side.
#[test]
fn a_start_level_fits_its_input_size() {
    let fits = |granule, t0sz, sl0| {
        let mut ste = nested();
        ste.stage2.granule = Some(granule);
        (ste.stage2.t0sz, ste.stage2.sl0) = (t0sz, sl0);
        ste.check(&ALL).is_ok()
    };
    assert!(fits(Granule::K4, 64 - 43, 1), "16 tables");
    assert!(!fits(Granule::K4, 64 - 44, 1), "32 tables");
    assert!(fits(Granule::K4, 64 - 44, 2));
    assert!(!fits(Granule::K4, 64 - 39, 2), "no bit for level 0");
    assert!(fits(Granule::K64, 64 - 48, 2));
    assert!(fits(Granule::K64, 64 - 42, 1));
    assert!(fits(Granule::K16, 64 - 40, 1));
    assert!(!fits(Granule::K16, 64 - 40, 3));
}

#[test]
fn each_fault_of_a_descriptor_has_its_reason() {
    let check = |cd: &Cd| cd.check(&ALL, &nested(), StreamWorld::El1);
    assert_eq!(check(&context()), Ok(()));
    let bad = |change: fn(&mut Cd)| {
        let mut cd = context();
        change(&mut cd);
        check(&cd).unwrap_err()
    };
    assert_eq!(bad(|cd| cd.valid = false), BadCd::Invalid);
    assert_eq!(bad(|cd| cd.aarch64 = false), BadCd::Aarch32);
    assert_eq!(bad(|cd| cd.big_endian = true), BadCd::BigEndian);
    assert_eq!(bad(|cd| cd.lower.size = 15), BadCd::InputSize);
    assert_eq!(bad(|cd| cd.lower.size = 40), BadCd::InputSize);
    assert_eq!(bad(|cd| cd.lower.granule = None), BadCd::Granule);
    assert_eq!(bad(|cd| cd.lower.root = Ipa::new(1 << 40)), BadCd::Root);
    let upper = |cd: &mut Cd| {
        cd.upper.walks_disabled = false;
        cd.upper.granule = None;
    };
    assert_eq!(bad(upper), BadCd::Granule);
}

/// The quiet descriptor of a process that is gone: nothing is walked, so nothing else counts.
#[test]
fn a_half_without_walks_is_not_looked_at() {
    let mut cd = context();
    cd.lower.walks_disabled = true;
    cd.lower.granule = None;
    cd.big_endian = true;
    assert_eq!(cd.check(&ALL, &nested(), StreamWorld::El1), Ok(()));
    let el2 = cd.check(&ALL, &nested(), StreamWorld::El2);
    assert_eq!(el2, Err(BadCd::BigEndian), "EPD0 is ignored there");
}

#[test]
fn a_descriptor_needs_the_abilities_that_it_uses() {
    let check = |cd: Cd, abilities, ste: &Ste| cd.check(&abilities, ste, StreamWorld::El1);
    let stall = true;
    let stalling = Cd { stall, ..context() };
    let never = Abilities {
        stall: StallModel::Never,
        ..ALL
    };
    assert_eq!(check(stalling, never, &nested()), Err(BadCd::Stall));
    let stall_disabled = true;
    let forbidding = Ste {
        stall_disabled,
        ..nested()
    };
    assert_eq!(check(stalling, ALL, &forbidding), Err(BadCd::Stall));
    let wide = Cd {
        asid: Asid(0x100),
        ..context()
    };
    let asid16 = false;
    let narrow = Abilities { asid16, ..ALL };
    assert_eq!(check(wide, narrow, &nested()), Err(BadCd::Asid));
    let access = Cd {
        hardware_access: true,
        ..context()
    };
    let httu = Httu::None;
    assert_eq!(
        check(access, Abilities { httu, ..ALL }, &nested()),
        Err(BadCd::Httu)
    );
}

#[test]
fn a_stream_table_is_linear_or_has_two_levels() {
    let linear = StreamTable::decode(1 << 62 | 0x1_0fc0, 3, 16);
    assert_eq!((linear.base, linear.split), (Gpa::new(0x1_0e00), None));
    let here = FindStream::Here(Gpa::new(0x1_0e00 + 7 * 64));
    assert_eq!(linear.find(StreamId(7)), Some(here));
    assert_eq!(linear.find(StreamId(8)), None);
    let split = Some(8);
    let two = StreamTable {
        base: Gpa::new(0x2000),
        bits: 16,
        split,
    };
    let (base, config) = two.encode();
    assert_eq!(config, 1 << 16 | 8 << 6 | 16);
    assert_eq!(StreamTable::decode(base, config, 16), two);
    let first = FindStream::Level1(Gpa::new(0x2000 + 8 * 0x12));
    assert_eq!(two.find(StreamId(0x1234)), Some(first));
    assert_eq!(
        StreamTable::decode(0, 63, 16).bits,
        16,
        "cut to IDR1.SIDSIZE"
    );
}

#[test]
fn a_span_says_how_many_streams_there_are() {
    let level1 = |span| StreamTableLevel1 {
        table: Gpa::new(0x4000),
        span,
    };
    assert_eq!(StreamTableLevel1::decode(level1(9).encode()), level1(9));
    let find = |span, stream| level1(span).find(StreamId(stream), 8);
    assert_eq!(find(0, 0x100), None);
    assert_eq!(find(9, 0x1ff), Some(Gpa::new(0x4000 + 0xff * 64)));
    assert_eq!(find(2, 0x101), Some(Gpa::new(0x4040)));
    assert_eq!(find(2, 0x102), None, "outside of the span");
    assert_eq!(find(10, 0x100), None, "over the split");
    assert_eq!(find(31, 0x100), None, "reserved");
}

#[test]
fn context_tables_have_one_or_two_levels() {
    let table = |format, bits| ContextTable {
        format,
        base: Ipa::new(0x4000),
        bits,
    };
    let one = table(ContextFormat::TwoLevel4K, 0);
    assert_eq!(
        one.find(SubstreamId(0)),
        Some(FindContext::Here(Ipa::new(0x4000)))
    );
    assert_eq!(one.find(SubstreamId(1)), None);
    let linear = table(ContextFormat::Linear, 4);
    assert_eq!(
        linear.find(SubstreamId(3)),
        Some(FindContext::Here(Ipa::new(0x40c0)))
    );
    let two = table(ContextFormat::TwoLevel4K, 20);
    let at = FindContext::Level1(Ipa::new(0x4000 + 8 * 2));
    assert_eq!(two.find(SubstreamId(130)), Some(at));
    let level1 = ContextTableLevel1 {
        table: Some(Ipa::new(0x7000)),
    };
    assert_eq!(ContextTableLevel1::decode(level1.encode()), level1);
    let found = level1.find(SubstreamId(130), ContextFormat::TwoLevel4K);
    assert_eq!(found, Some(Ipa::new(0x7080)));
    assert_eq!(ContextTableLevel1::decode(0x7000).table, None, "V is 0");
}
