//! What each knob does, beside what is without it.

use super::*;

fn with(knobs: &str) -> Bench {
    let bench = Bench::of(&leaf(MIDDLE, RO), &under(FRAME, RW), knobs.parse().unwrap());
    bench.smmu.attach(STREAM, bench.context());
    bench
}

/// What a write gets whose entry was cached as read-only and upgraded behind the SMMU's back.
fn after_silent_upgrade(knobs: &str) -> Result<Gpa, FaultKind> {
    let bench = with(knobs);
    bench.access(Access::Read).unwrap();
    bench.set_first(&leaf(MIDDLE, RW));
    bench.access(Access::Write)
}

#[test]
fn a_denying_entry_is_kept_or_looked_up_again() {
    assert_eq!(after_silent_upgrade(""), Err(FaultKind::Permission));
    assert_eq!(after_silent_upgrade("deny=walk"), Ok(Gpa::new(MIDDLE + 8)));
}

#[test]
fn a_random_eviction_comes_sooner_or_later() {
    let bench = with("deny=random");
    bench.access(Access::Read).unwrap();
    bench.set_first(&leaf(MIDDLE, RW));
    let tries = (0..64).map(|_| bench.access(Access::Write));
    let refused = tries.take_while(Result::is_err).count();
    assert!((1..64).contains(&refused), "refused {refused} times");
}

#[test]
fn a_broadcast_reaches_the_tlb_only_with_btm() {
    for (knobs, allowed) in [("btm=on", true), ("", false)] {
        let bench = with(knobs);
        bench.access(Access::Read).unwrap();
        bench.set_first(&leaf(MIDDLE, RW));
        let page = AddrRange::page(Iova::new(PAGE), PageSize::K4);
        bench.smmu.broadcast(ASID, page);
        assert_eq!(bench.access(Access::Write).is_ok(), allowed, "{knobs:?}");
    }
}

#[test]
fn a_command_has_its_effect_at_once_or_at_the_sync() {
    for (knobs, allowed) in [("tlbi=at-once", true), ("", false)] {
        let bench = with(knobs);
        bench.access(Access::Read).unwrap();
        bench.set_first(&leaf(MIDDLE, RW));
        bench.smmu.submit(Command::TlbiAsid(Vmid(0), ASID));
        assert_eq!(bench.access(Access::Write).is_ok(), allowed, "{knobs:?}");
    }
}

#[test]
fn a_sync_takes_its_time() {
    let bench = with("latency=2000");
    let since = std::time::Instant::now();
    bench.smmu.sync().unwrap();
    assert!(since.elapsed().as_micros() >= 2000);
    let sync = bench.smmu.begin_sync().unwrap();
    assert!(!bench.smmu.poll_sync(&sync), "2 ms have not passed");
}

#[test]
fn translation_requests_are_refused_without_ats() {
    for (knobs, answered) in [("", true), ("ats=off", false)] {
        let bench = with(knobs);
        let granted = bench.smmu.grant(STREAM, Iova::new(PAGE), Access::Read);
        assert_eq!(granted.is_ok(), answered, "{knobs:?}");
        let recorded = bench.smmu.take_event().map(|event| event.kind.name());
        assert_eq!(recorded, (!answered).then_some("F_BAD_ATS_TREQ"));
    }
}

/// A contiguous group as one entry: what one page of it says is taken for all of them.
#[test]
fn a_group_adopts_any_of_its_entries() {
    for (knobs, adopted) in [("contiguous=group", true), ("", false)] {
        let first = Leaf {
            hints: LeafHints::CONTIGUOUS,
            ..leaf(MIDDLE, RO)
        };
        let bench = Bench::of(&first, &under(FRAME, RW), knobs.parse().unwrap());
        bench.smmu.attach(STREAM, bench.context());
        bench.access(Access::Read).unwrap();
        let next = bench.at(PAGE + 0x1000, Access::Read);
        let expected = adopted.then_some(Gpa::new(MIDDLE + 0x1000));
        assert_eq!(next.ok(), expected, "{knobs:?}");
    }
}

/// A table that is freed and used for something else: only a walk from the root sees it go.
#[test]
fn a_cached_table_is_used_until_an_invalidation_of_all_levels() {
    let misled = |knobs: &str, levels| {
        let bench = with(knobs);
        bench.access(Access::Read).unwrap();
        let root_entry = bench.roots[0];
        bench.memory.write_entry(root_entry, 0).unwrap();
        let span = TlbiSpan::page(Iova::new(PAGE), levels);
        bench.now(Command::TlbiVa(TlbiVa {
            vmid: Vmid(0),
            asid: ASID,
            span,
        }));
        bench.access(Access::Read).is_ok()
    };
    assert!(misled("", Levels::Leaf));
    assert!(!misled("", Levels::All));
    assert!(!misled("walk-cache=off", Levels::Leaf));
}
