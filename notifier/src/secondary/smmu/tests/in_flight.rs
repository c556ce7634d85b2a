//! Accesses that are not over, and what waits for them.

use super::*;

fn bench(knobs: &str) -> Bench {
    let bench = Bench::of(&leaf(MIDDLE, RW), &under(FRAME, RW), knobs.parse().unwrap());
    bench.smmu.attach(STREAM, bench.context());
    bench
}

fn begin(bench: &Bench) -> Transaction {
    bench
        .smmu
        .begin(STREAM, Iova::new(PAGE), Access::Write)
        .unwrap()
}

fn tlbi(asid: Asid) -> Command {
    Command::TlbiAsid(Vmid(0), asid)
}

#[test]
fn a_sync_completes_when_the_accesses_have_ended_that_it_covers() {
    let bench = bench("");
    let write = begin(&bench);
    bench.smmu.submit(tlbi(ASID));
    let sync = bench.smmu.begin_sync().unwrap();
    assert!(!bench.smmu.poll_sync(&sync), "a write is on its way");
    write.end();
    assert!(bench.smmu.poll_sync(&sync));
}

#[test]
fn a_sync_waits_for_nobody_whom_it_does_not_cover() {
    let bench = bench("");
    let write = begin(&bench);
    bench.smmu.submit(tlbi(Asid(99)));
    let sync = bench.smmu.begin_sync().unwrap();
    assert!(bench.smmu.poll_sync(&sync));
    write.end();
}

#[test]
fn an_access_that_begins_after_a_sync_is_not_its_concern() {
    let bench = bench("");
    bench.smmu.submit(tlbi(ASID));
    let sync = bench.smmu.begin_sync().unwrap();
    let write = begin(&bench);
    assert!(bench.smmu.poll_sync(&sync));
    write.end();
}

/// The erratum: memory is freed and reused while a write to it is still on its way.
#[test]
fn an_early_sync_does_not_wait() {
    let bench = bench("sync=early");
    let write = begin(&bench);
    bench.smmu.submit(tlbi(ASID));
    let sync = bench.smmu.begin_sync().unwrap();
    assert!(bench.smmu.poll_sync(&sync));
    write.end();
}

#[test]
fn a_driver_that_waits_is_woken_by_the_end_of_the_access() {
    let bench = bench("");
    let write = begin(&bench);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            bench.now(tlbi(ASID));
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!done.load(std::sync::atomic::Ordering::SeqCst));
        write.end();
    });
    assert!(done.into_inner());
}

#[test]
fn a_broadcast_waits_for_the_access_that_it_covers() {
    let bench = bench("btm=on");
    let write = begin(&bench);
    let page = AddrRange::page(Iova::new(PAGE), PageSize::K4);
    std::thread::scope(|scope| {
        let broadcast = scope.spawn(|| bench.smmu.broadcast(ASID, page));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!broadcast.is_finished());
        write.end();
    });
}

/// A transfer over two pages, the second of which does not allow it.
#[test]
fn a_transfer_ends_at_the_first_access_that_is_refused() {
    let bench = bench("");
    let range = AddrRange::new(Iova::new(PAGE + 0xff0), Iova::new(PAGE + 0x1010)).unwrap();
    let mut moved = Vec::new();
    let ended = bench.smmu.transfer(STREAM, range, Access::Write, |part| {
        moved.push(part);
        Ok::<(), ()>(())
    });
    let fault = ended.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Translation);
    assert_eq!(fault.iova, Iova::new(PAGE + 0x1000));
    let first = AddrRange::new(Gpa::new(MIDDLE + 0xff0), Gpa::new(MIDDLE + 0x1000));
    assert_eq!(moved, [first.unwrap()]);
    let counts = bench.smmu.counts();
    assert_eq!((counts.tlb_hits, counts.tlb_misses), (0, 2));
}

#[test]
fn a_transfer_ends_where_its_user_does() {
    let bench = bench("");
    let range = AddrRange::new(Iova::new(PAGE), Iova::new(PAGE + 0x2000)).unwrap();
    let ended = bench
        .smmu
        .transfer(STREAM, range, Access::Write, |_| Err(7));
    assert_eq!(ended, Ok(Err(7)));
}

/// Neighbours are made at once, up to a limit; what leads elsewhere is not among them.
#[test]
fn a_transfer_is_made_in_bursts() {
    let bench = bench("");
    let bypass = Programming {
        streams: Traffic::Bypassed,
        ..Programming::RESET
    };
    bench.smmu.detach(STREAM);
    bench.smmu.program(Some(bypass));
    let range = AddrRange::new(Iova::new(0x800), Iova::new(0x800 + (100 << 10))).unwrap();
    let mut parts = Vec::new();
    let ended = bench.smmu.transfer(STREAM, range, Access::Read, |part| {
        parts.push((part.start().raw(), part.length().unwrap()));
        Ok::<(), ()>(())
    });
    assert_eq!(ended, Ok(Ok(())));
    let first = (64 << 10) - 0x800;
    assert_eq!(
        parts,
        [(0x800, first), (0x800 + first, (100 << 10) - first)]
    );
}
