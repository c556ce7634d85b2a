//! Accesses that the device holds open: what an invalidation waits for.

use std::time::Duration;

use guest::abi::dma;
use guest::abi::layout::{FLAGS, FRAMES, PAGE};
use guest::abi::op::Op;
use guest::abi::pattern;
use notifier::addr::Access;
use notifier::oracle::Verdict;
use tests::lab::{Lab, Ran, on_each_write, on_every_tracker};
use tests::{op, page, transfer};
use vmm::machine::{Machine, MachineConfig, Stopped};
use vmm::vcpu::VcpuIndex;

const SEED: u64 = 0x4845_4c44;

/// What one vCPU tells the other: the access has begun; the page is unmapped.
const BEGUN: u64 = FLAGS;
const UNMAPPED: u64 = FLAGS + 8;

/// The first vCPU maps a page and has the device write it, and lets it go after `meanwhile`; the
/// second unmaps the page when the access has begun, and says when that is done.
fn unmap_under_a_write(machine: &Machine, meanwhile: &[Op]) -> Vec<Vec<Op>> {
    let slot = page::slot(machine, 0);
    let wanted = transfer::held(transfer::write(page::address(0), PAGE, SEED));
    let mut first = vec![op::set_entry(slot, page::read_write(machine, 0), 8)];
    first.extend(transfer::start(0, 0, wanted));
    first.push(op::wait_until(transfer::begun_word(0), 1));
    first.push(op::store(BEGUN, 1, 8));
    first.extend(meanwhile);
    first.push(op::store(transfer::hold_word(0), 0, 8));
    first.push(transfer::finish(0));
    first.push(op::wait_until(UNMAPPED, 1));
    let second = vec![
        op::wait_until(BEGUN, 1),
        op::set_entry(slot, 0, 8),
        op::invalidate(page::address(0)),
        op::store(UNMAPPED, 1, 8),
    ];
    vec![first, second]
}

fn run(lab: &Lab, knobs: &str, limit: Option<Duration>, meanwhile: &[Op]) -> Ran {
    let config = lab.config();
    let config = MachineConfig {
        vcpus: 2,
        smmu: knobs.parse().expect("these are knobs"),
        limit: limit.unwrap_or(config.limit),
        ..config
    };
    lab.attempt(&config, |machine| unmap_under_a_write(machine, meanwhile))
}

fn verify_written(ran: &Ran) {
    let done = ran.descriptor(0);
    assert_eq!((done.status, done.begun), (dma::STATUS_DONE, 1), "{done:?}");
    assert_eq!(ran.word(page::frame(0)), pattern::word(SEED, 0));
    assert_eq!((ran.run.dma.writes, ran.run.dma.faults), (1, 0));
}

/// The word is looked at long after the second vCPU began to unmap the page. Under `scan` its write is no
/// exit, so that it goes on at once, whatever the invalidation waits for.
#[test]
fn an_invalidation_is_not_complete_before_the_access_that_it_covers() {
    on_each_write(|lab| {
        let meanwhile = [
            op::check(FRAMES + PAGE, 32 * PAGE, 0),
            op::load(UNMAPPED, 8),
        ];
        let ran = run(lab, "", None, &meanwhile);
        assert_eq!(ran.run.stopped, None);
        let first = &ran.run.results[0];
        let looked = first[first.len() - 5];
        assert_eq!((looked.status, looked.value), (1, 0));
        verify_written(&ran);
        assert_eq!(ran.run.findings.verdict(), Verdict::Coherent);
    });
}

/// With the erratum the page is unmapped, and told to be, while the device is still about to write.
#[test]
fn with_the_erratum_it_is_complete_and_the_device_writes_afterwards() {
    on_every_tracker(|lab| {
        let meanwhile = [op::wait_until(UNMAPPED, 1), op::load(page::frame(0), 8)];
        let ran = run(lab, "sync=early", None, &meanwhile);
        assert_eq!(ran.run.stopped, None);
        let first = &ran.run.results[0];
        let before = first[first.len() - 5];
        assert_eq!((before.status, before.value), (1, 0), "not written yet");
        verify_written(&ran);
    });
}

/// Without it the same guest waits for ever, one vCPU of it inside an exit: the limit ends both.
#[test]
fn a_guest_that_never_lets_go_is_stopped_by_the_limit() {
    on_each_write(|lab| {
        let limit = Duration::from_secs(2);
        let ran = run(lab, "", Some(limit), &[op::wait_until(UNMAPPED, 1)]);
        let Some(Stopped::Limit { at, .. }) = &ran.run.stopped else {
            panic!("time was up: {:?}", ran.run.stopped);
        };
        assert!(at.iter().any(|(index, _)| *index == VcpuIndex(0)));
        assert!(ran.run.elapsed < limit + Duration::from_secs(20));
        assert_eq!((ran.run.dma.writes, ran.word(page::frame(0))), (0, 0));
    });
}

/// Everything else goes on: other channels, and accesses of the same page.
#[test]
fn one_channel_holds_and_another_works() {
    on_every_tracker(|lab| {
        let ran = lab.run(|machine| {
            let mut ops = vec![op::set_entry(
                page::slot(machine, 0),
                page::read_write(machine, 0),
                8,
            )];
            ops.push(op::fill(page::address(0), PAGE, SEED));
            let reading = transfer::held(transfer::read(page::address(0), PAGE));
            ops.extend(transfer::start(0, 0, reading));
            ops.push(op::wait_until(transfer::begun_word(0), 1));
            // A bell for a channel that is busy means nothing. It comes before the other's.
            ops.extend(transfer::ring(0, transfer::descriptor(0)));
            let writing = transfer::write(page::address(0), PAGE, SEED + 1);
            ops.extend(transfer::start(1, 1, writing));
            ops.push(transfer::finish(1));
            ops.push(op::store(transfer::hold_word(0), 0, 8));
            ops.push(transfer::finish(0));
            ops
        });
        // What is read is what is there when the access is made.
        let sum = pattern::checksum(SEED + 1, PAGE / 8);
        assert_eq!(ran.descriptor(0).checksum, sum);
        assert_eq!((ran.run.dma.reads, ran.run.dma.writes), (1, 1));
    });
}

#[test]
fn an_access_that_is_refused_is_not_held() {
    on_every_tracker(|lab| {
        let ran = lab.run(|_| {
            let nothing = transfer::held(transfer::read(page::address(0), 8));
            transfer::whole(0, nothing)
        });
        let ended = ran.descriptor(0);
        assert_eq!((ended.fault, ended.begun), (dma::FAULT_TRANSLATION, 0));
        let fault = &ran.run.findings.faults[0];
        assert_eq!(fault.access, Access::Read);
    });
}
