//! Streams that are looked up in the stream table.

use super::spec::{
    ContextFormat, ContextTable, DefaultSubstream, Eats, EventKind, StreamTableLevel1,
};
use super::*;
use crate::addr::SubstreamId;

pub(super) fn ste(config: Config) -> Ste {
    let contexts = ContextTable {
        format: ContextFormat::Linear,
        base: Ipa::new(CONTEXTS),
        bits: 0,
    };
    let stage2 = spec::Stage2 {
        vmid: VMID,
        t0sz: 16,
        sl0: 2,
        granule: Some(Granule::K4),
        output: spec::AddressSize::B48,
        aarch64: true,
        record: true,
        root: Gpa::new(STAGE2),
        ..Ste::default().stage2
    };
    Ste {
        valid: true,
        config,
        contexts,
        ats: Eats::Full,
        stage2,
        ..Ste::default()
    }
}

pub(super) fn cd(bench: &Bench) -> Cd {
    let lower = spec::Half {
        size: 16,
        granule: Some(Granule::K4),
        root: Ipa::new(bench.roots[0].raw()),
        ..Cd::default().lower
    };
    let upper = spec::Half {
        walks_disabled: true,
        ..Cd::default().upper
    };
    Cd {
        valid: true,
        aarch64: true,
        lower,
        upper,
        output: spec::AddressSize::B48,
        record: true,
        asid: ASID,
        ..Cd::default()
    }
}

impl Bench {
    pub(super) fn write(&self, at: u64, words: &[u64]) {
        for (offset, word) in (0..).step_by(8).zip(words) {
            self.memory
                .write_entry(Gpa::new(at + offset), *word)
                .unwrap();
        }
    }

    pub(super) fn set_ste(&self, ste: &Ste) {
        self.write(STREAM_TABLE + 64 * u64::from(STREAM.0), &ste.encode());
    }

    pub(super) fn set_cd(&self, index: u64, cd: &Cd) {
        self.write(CONTEXTS + 64 * index, &cd.encode());
    }

    fn enable(&self, table: StreamTable) {
        self.smmu.program(Some(Programming {
            streams: Traffic::Looked(table),
            records_unknown_streams: true,
            ..Programming::RESET
        }));
    }

    fn event(&self) -> Option<&'static str> {
        self.smmu.take_event().map(|event| event.kind.name())
    }
}

const LINEAR: StreamTable = StreamTable {
    base: Gpa::new(STREAM_TABLE),
    bits: 4,
    split: None,
};

pub(super) fn programmed(config: Config) -> Bench {
    let bench = Bench::new(RO, RW);
    bench.set_ste(&ste(config));
    bench.set_cd(0, &cd(&bench));
    bench.enable(LINEAR);
    bench
}

#[test]
fn each_configuration_translates_by_its_stages() {
    let read = |config| programmed(config).access(Access::Read);
    assert_eq!(read(Config::Stage1), Ok(Gpa::new(MIDDLE + 8)));
    assert_eq!(read(Config::Nested), Ok(Gpa::new(FRAME + 8)));
    assert_eq!(read(Config::Bypass), Ok(Gpa::new(PAGE + 8)));
    assert_eq!(read(Config::Abort), Err(FaultKind::Aborted));
    let second = programmed(Config::Stage2);
    assert_eq!(second.at(MIDDLE, Access::Read), Ok(Gpa::new(FRAME)));
}

#[test]
fn a_configuration_is_cached_until_it_is_invalidated() {
    let bench = programmed(Config::Stage1);
    bench.access(Access::Read).unwrap();
    bench.set_ste(&ste(Config::Abort));
    assert_eq!(
        bench.access(Access::Read),
        Ok(Gpa::new(MIDDLE + 8)),
        "stale"
    );
    bench.now(Command::CfgiCd(STREAM, SubstreamId(0), Levels::Leaf));
    assert_eq!(bench.access(Access::Read), Err(FaultKind::Aborted));
    assert_eq!(bench.smmu.counts().configurations, 2);
}

#[test]
fn each_command_for_configurations_reaches_what_it_names() {
    let others = Command::CfgiSteRange(StreamId(4), 1);
    let reaches = [
        (Command::CfgiSte(STREAM, Levels::Leaf), true),
        (Command::CfgiSte(StreamId(4), Levels::Leaf), false),
        (Command::CfgiSteRange(StreamId(0), 1), true),
        (others, false),
        (Command::CfgiAll, true),
        (Command::CfgiCd(STREAM, SubstreamId(0), Levels::Leaf), true),
        (Command::CfgiCd(STREAM, SubstreamId(1), Levels::Leaf), false),
        (Command::CfgiCdAll(STREAM), true),
        (Command::CfgiCdAll(StreamId(4)), false),
    ];
    for (command, reached) in reaches {
        let bench = programmed(Config::Stage1);
        bench.access(Access::Read).unwrap();
        bench.set_ste(&ste(Config::Abort));
        bench.now(command);
        assert_eq!(bench.access(Access::Read).is_err(), reached, "{command}");
    }
}

#[test]
fn without_a_cache_memory_is_believed_each_time() {
    let knobs = "config-cache=off".parse().unwrap();
    let bench = Bench::of(&leaf(MIDDLE, RO), &under(FRAME, RW), knobs);
    bench.set_ste(&ste(Config::Stage1));
    bench.set_cd(0, &cd(&bench));
    bench.enable(LINEAR);
    bench.access(Access::Read).unwrap();
    bench.set_ste(&ste(Config::Bypass));
    assert_eq!(bench.access(Access::Read), Ok(Gpa::new(PAGE + 8)));
}

#[test]
fn what_can_not_be_used_has_its_event() {
    let bench = programmed(Config::Stage1);
    let unknown = bench
        .smmu
        .access(StreamId(16), Iova::new(0), Access::Read, |_| ());
    assert_eq!(unknown.unwrap_err().kind, FaultKind::Stream);
    assert_eq!(bench.event(), Some("C_BAD_STREAMID"));
    bench.set_ste(&Ste::default());
    assert_eq!(bench.access(Access::Read), Err(FaultKind::Configuration));
    assert_eq!(bench.event(), Some("C_BAD_STE"));
    bench.set_ste(&ste(Config::Stage1));
    bench.set_cd(0, &Cd::default());
    bench.access(Access::Read).unwrap_err();
    assert_eq!(bench.event(), Some("C_BAD_CD"));
    let mut outside = ste(Config::Stage1);
    outside.contexts.base = Ipa::new(MEMORY as u64);
    bench.set_ste(&outside);
    bench.access(Access::Read).unwrap_err();
    assert_eq!(bench.event(), Some("F_CD_FETCH"));
    let nowhere = StreamTable {
        base: Gpa::new(MEMORY as u64),
        ..LINEAR
    };
    bench.enable(nowhere);
    bench.access(Access::Read).unwrap_err();
    assert_eq!(bench.event(), Some("F_STE_FETCH"));
}

#[test]
fn a_stream_table_may_have_two_levels() {
    let bench = Bench::new(RO, RW);
    bench.set_cd(0, &cd(&bench));
    let second = Gpa::new(STREAM_TABLE + 0x400);
    let level1 = StreamTableLevel1 {
        table: second,
        span: 3,
    };
    bench.write(STREAM_TABLE, &[level1.encode(), 0]);
    let at = second.raw() + 64 * u64::from(STREAM.0);
    bench.write(at, &ste(Config::Stage1).encode());
    bench.enable(StreamTable {
        bits: 8,
        split: Some(6),
        ..LINEAR
    });
    assert_eq!(bench.access(Access::Read), Ok(Gpa::new(MIDDLE + 8)));
    for stream in [StreamId(4), StreamId(64)] {
        let fault = bench
            .smmu
            .access(stream, Iova::new(0), Access::Read, |_| ());
        assert_eq!(fault.unwrap_err().kind, FaultKind::Stream, "{stream}");
    }
}

fn of_substream(bench: &Bench, substream: Option<u32>) -> Result<Gpa, FaultKind> {
    let from = Requester {
        stream: STREAM,
        substream: substream.map(SubstreamId),
    };
    let made = bench
        .smmu
        .access(from, Iova::new(PAGE), Access::Read, |at| at);
    made.map_err(|fault| fault.kind)
}

#[test]
fn substreams_have_contexts_of_their_own_and_a_default() {
    let bench = Bench::new(RO, RW);
    let with = |default| {
        let mut ste = ste(Config::Stage1);
        ste.contexts.bits = 2;
        ste.default_substream = default;
        bench.set_ste(&ste);
        bench.now(Command::CfgiAll);
    };
    bench.set_cd(0, &cd(&bench));
    bench.set_cd(1, &cd(&bench));
    bench.enable(LINEAR);
    let there = Ok(Gpa::new(MIDDLE));

    with(DefaultSubstream::Terminate);
    assert_eq!(of_substream(&bench, Some(1)), there);
    assert_eq!(of_substream(&bench, Some(0)), there);
    assert_eq!(of_substream(&bench, None), Err(FaultKind::Configuration));
    assert_eq!(bench.event(), Some("F_STREAM_DISABLED"));
    assert_eq!(of_substream(&bench, Some(4)), Err(FaultKind::Configuration));
    assert_eq!(bench.event(), Some("C_BAD_SUBSTREAMID"));

    with(DefaultSubstream::Bypass);
    assert_eq!(of_substream(&bench, None), Ok(Gpa::new(PAGE)));

    with(DefaultSubstream::Zero);
    assert_eq!(of_substream(&bench, None), there);
    assert_eq!(of_substream(&bench, Some(0)), Err(FaultKind::Configuration));
    assert_eq!(bench.event(), Some("F_STREAM_DISABLED"));
}

#[test]
fn contexts_may_be_in_two_levels() {
    let bench = Bench::new(RO, RW);
    let mut two = ste(Config::Stage1);
    two.contexts.bits = 8;
    two.contexts.format = ContextFormat::TwoLevel4K;
    bench.set_ste(&two);
    let second = CONTEXTS + 0x1000;
    let level1 = spec::ContextTableLevel1 {
        table: Some(Ipa::new(second)),
    };
    bench.write(CONTEXTS + 8, &[level1.encode()]);
    bench.write(second + 64 * 2, &cd(&bench).encode());
    bench.enable(LINEAR);
    assert_eq!(of_substream(&bench, Some(66)), Ok(Gpa::new(MIDDLE)));
    of_substream(&bench, Some(2)).unwrap_err();
    assert_eq!(bench.event(), Some("C_BAD_SUBSTREAMID"));
}

#[test]
fn an_smmu_that_is_off_lets_everything_through_or_nothing() {
    let bench = programmed(Config::Stage1);
    let off = |streams| {
        bench.smmu.program(Some(Programming {
            streams,
            ..Programming::RESET
        }));
    };
    off(Traffic::Bypassed);
    assert_eq!(bench.access(Access::Write), Ok(Gpa::new(PAGE + 8)));
    off(Traffic::Aborted);
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Aborted));
}

#[test]
fn a_permission_fault_says_whose_it_was() {
    let stage = |first, second| {
        let bench = Bench::new(first, second);
        bench.set_ste(&ste(Config::Nested));
        bench.set_cd(0, &cd(&bench));
        bench.enable(LINEAR);
        bench.access(Access::Write).unwrap_err();
        let event = bench.smmu.take_event().unwrap();
        match event.kind {
            EventKind::Permission(fault) => fault.stage2,
            kind => panic!("{kind:?}"),
        }
    };
    assert_eq!(stage(RO, RO), None);
    assert_eq!(stage(RW, RO), Some(Ipa::new(MIDDLE + 8)));
}

#[test]
fn a_stalled_access_waits_for_its_answer() {
    let bench = programmed(Config::Stage1);
    let stalling = Cd {
        stall: true,
        ..cd(&bench)
    };
    bench.set_cd(0, &stalling);
    let stall = || match bench.access(Access::Write) {
        Err(FaultKind::Stalled(stag)) => stag,
        other => panic!("{other:?}"),
    };
    let first = stall();
    let event = bench.smmu.take_event().unwrap();
    assert_eq!(event.kind.stall(), Some(first));
    assert_eq!(bench.smmu.stalled(STREAM, first), Stalled::Waiting);
    bench
        .smmu
        .submit(Command::Resume(STREAM, first, Resume::Retry));
    let answer = Stalled::Answered(Resume::Retry);
    assert_eq!(bench.smmu.stalled(STREAM, first), answer, "once");
    assert_eq!(bench.smmu.stalled(STREAM, first), Stalled::Unknown);
    let second = stall();
    bench.smmu.submit(Command::StallTerm(STREAM));
    let answer = Stalled::Answered(Resume::Abort);
    assert_eq!(bench.smmu.stalled(STREAM, second), answer);
}

#[test]
fn no_more_than_so_many_are_stalled() {
    let bench = programmed(Config::Stage1);
    let stalling = Cd {
        stall: true,
        ..cd(&bench)
    };
    bench.set_cd(0, &stalling);
    for _ in 0..MOST_STALLED {
        assert!(matches!(
            bench.access(Access::Write),
            Err(FaultKind::Stalled(_))
        ));
    }
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Permission));
}

/// A stream table of 2^16 streams is no reason to remember as many.
#[test]
fn the_oldest_configuration_makes_room() {
    let bench = Bench::new(RO, RW);
    bench.set_cd(0, &cd(&bench));
    let table = 0xd_0000;
    let streams = u64::try_from(streams::CONFIGURATIONS).unwrap() + 1;
    for stream in 0..streams {
        bench.write(table + 64 * stream, &ste(Config::Stage1).encode());
    }
    bench.enable(StreamTable {
        base: Gpa::new(table),
        bits: 8,
        split: None,
    });
    let read = |stream: u64| {
        let stream = StreamId(u32::try_from(stream).unwrap());
        bench
            .smmu
            .access(stream, Iova::new(PAGE), Access::Read, |_| ())
            .unwrap();
        bench.smmu.counts().configurations
    };
    for stream in 0..streams {
        assert_eq!(read(stream), stream + 1);
    }
    assert_eq!(read(streams - 1), streams, "the youngest is there");
    assert_eq!(read(1), streams, "so is the second");
    assert_eq!(read(0), streams + 1, "the oldest is not");
}
