//! The guest's own SMMU driver: a stream table, queues and commands, by which the driven stream is
//! translated.

use guest::abi::dma::{self, Descriptor};
use guest::abi::layout::{FLAGS, PAGE};
use guest::abi::op::{CMDQ_OK, Op};
use guest::abi::smmu::{self, Answer, event};
use guest::abi::{layout, pattern};
use notifier::oracle::{Invalidation, Verdict, ViolationKind};
use notifier::secondary::smmu::Knobs;
use tests::lab::{Lab, Ran, on_every_tracker};
use tests::{op, page, transfer};
use vmm::driver::SmmuDriver;
use vmm::live::flagship::Flagship;
use vmm::machine::{Machine, MachineConfig};
use vmm::policy::UpgradePolicy;

const SEED: u64 = 0x4452_4956;
/// Where the guest puts the events that it reads.
const RECORD: u64 = FLAGS + 0x100;

/// Root of the machine's page table.
fn root(machine: &Machine) -> u64 {
    machine.root().raw()
}

fn configure(machine: &Machine, flags: u64) -> Op {
    op::smmu_configure(root(machine), smmu::ASID, smmu::CD_RECORD | flags)
}

fn map(machine: &Machine, entry: u64) -> Op {
    op::set_entry(page::slot(machine, 0), entry, 8)
}

fn read(number: u64) -> Vec<Op> {
    transfer::whole(
        number,
        transfer::driven(transfer::read(page::address(0), 8)),
    )
}

fn write(number: u64) -> Vec<Op> {
    let wanted = transfer::write(page::address(0), PAGE, SEED);
    transfer::whole(number, transfer::driven(wanted))
}

fn tlbi() -> Op {
    op::smmu_invalidate_page(page::address(0), smmu::ASID)
}

fn run(lab: &Lab, knobs: &str, program: impl FnOnce(&Machine) -> Vec<Op>) -> Ran {
    let config = MachineConfig {
        driver: SmmuDriver::Guest,
        smmu: knobs.parse().expect("these are knobs"),
        ..lab.config()
    };
    let ran = lab.attempt(&config, |machine| vec![program(machine)]);
    assert_eq!(ran.run.stopped, None);
    let done = ran.run.results[0].iter().take_while(|it| it.status == 1);
    assert_eq!(done.count(), ran.run.results[0].len(), "every operation");
    ran
}

fn ended(ran: &Ran, number: u64) -> (u64, u64) {
    let Descriptor { status, fault, .. } = ran.descriptor(number);
    (status, fault)
}

const DONE: (u64, u64) = (dma::STATUS_DONE, dma::FAULT_NONE);

fn faulted(fault: u64) -> (u64, u64) {
    (dma::STATUS_FAULTED, fault)
}

/// The flagship by both paths: the same verdicts, whoever drives, and the same checks hold.
#[test]
fn the_flagship_comes_to_the_same_whoever_drives() {
    on_every_tracker(|lab| {
        for (policy, verdict) in [
            (UpgradePolicy::None, Verdict::Violation),
            (UpgradePolicy::Range, Verdict::Coherent),
            (UpgradePolicy::SecondaryTlb, Verdict::Coherent),
        ] {
            for vcpus in [1, 2, 8] {
                let flagships =
                    SmmuDriver::ALL.map(|driver| flagship(lab, policy, driver, "", vcpus));
                for flagship in &flagships {
                    assert_eq!(flagship.verdict(), Some(verdict));
                }
                let [vmm, guest] = flagships;
                assert_eq!(vmm.write, guest.write);
                let kinds = |flagship: &Flagship| -> Vec<_> {
                    let found = flagship.run.findings.violations.iter();
                    found.map(|found| (found.kind, found.iova)).collect()
                };
                assert_eq!(kinds(&vmm), kinds(&guest));
            }
        }
    });
}

#[test]
fn the_guests_driver_gets_on_with_every_knob() {
    on_every_tracker(|lab| {
        for (name, values) in Knobs::all() {
            for value in values {
                let value = if name == "latency" { "100" } else { &value };
                for policy in UpgradePolicy::ALL {
                    let knobs = format!("{name}={value}");
                    flagship(lab, policy, SmmuDriver::Guest, &knobs, 1);
                }
            }
        }
    });
}

fn flagship(
    lab: &Lab,
    policy: UpgradePolicy,
    driver: SmmuDriver,
    knobs: &str,
    vcpus: u64,
) -> Flagship {
    let config = MachineConfig {
        policy,
        driver,
        smmu: knobs.parse().expect("these are knobs"),
        vcpus,
        ..lab.config()
    };
    let flagship = Flagship::run(&lab.kvm, &config).expect("the machine can be built");
    let failed: Vec<_> = flagship.checks.iter().filter(|it| !it.holds()).collect();
    assert!(
        flagship.is_as_expected(),
        "{policy}, {driver}, {knobs}: {failed:#?}"
    );
    flagship
}

/// A context descriptor is written anew, and the device is started: with the invalidation in
/// between the new one counts, without it the old one still does.
#[test]
fn a_configuration_that_is_not_invalidated_is_told() {
    on_every_tracker(|lab| {
        for invalidated in [true, false] {
            let ran = run(lab, "", |machine| {
                let mut ops = vec![
                    map(machine, page::read_write(machine, 0)),
                    configure(machine, 0),
                ];
                ops.extend(read(0));
                ops.push(op::smmu_configure(
                    root(machine),
                    smmu::ASID + 1,
                    smmu::CD_RECORD,
                ));
                if invalidated {
                    let all = notifier::secondary::smmu::Command::CfgiAll.encode();
                    ops.extend([op::smmu_command(all), op::smmu_sync()]);
                }
                ops.extend(read(1));
                ops
            });
            assert_eq!([0, 1].map(|number| ended(&ran, number)), [DONE; 2]);
            let found = ran.run.findings.violations.iter();
            let kinds: Vec<_> = found.map(|found| found.kind).collect();
            let expected = [ViolationKind::StaleConfiguration];
            assert_eq!(kinds, expected[usize::from(invalidated)..]);
        }
    });
}

#[test]
fn before_the_driver_comes_traffic_passes_untranslated() {
    on_every_tracker(|lab| {
        let frame = page::frame(0);
        let ran = run(lab, "", |_| {
            transfer::whole(0, transfer::driven(transfer::write(frame, 8, SEED)))
        });
        assert_eq!(ended(&ran, 0), DONE);
        assert_eq!(ran.word(frame), pattern::word(SEED, 0));
    });
}

#[test]
fn the_device_is_translated_by_what_the_driver_wrote() {
    on_every_tracker(|lab| {
        let ran = run(lab, "", |machine| {
            let mut ops = vec![
                map(machine, page::read_write(machine, 0)),
                configure(machine, 0),
            ];
            ops.extend(write(0));
            ops
        });
        let on = smmu::CR0_SMMUEN | smmu::CR0_CMDQEN | smmu::CR0_EVENTQEN;
        assert_eq!(ran.result(1).value, on);
        assert_eq!(ended(&ran, 0), DONE);
        assert_eq!(ran.word(page::frame(0)), pattern::word(SEED, 0));
        assert_eq!(ran.run.smmu.configurations, 1);
        assert_eq!(ran.run.findings.verdict(), Verdict::Coherent);
    });
}

/// The upgrade of the flagship by the guest's own hand, with these commands after it: how the
/// device's write ends.
fn upgrade(lab: &Lab, knobs: &str, after: &[Op]) -> Ran {
    run(lab, knobs, |machine| {
        let mut ops = vec![
            map(machine, page::read_only(machine, 0)),
            configure(machine, 0),
        ];
        ops.extend(read(0));
        ops.push(map(machine, page::read_write(machine, 0)));
        ops.push(op::invalidate(page::address(0)));
        ops.extend(after);
        ops.extend(write(1));
        ops
    })
}

#[test]
fn an_invalidation_is_the_drivers_to_make_and_to_complete() {
    on_every_tracker(|lab| {
        let everything = [op::smmu_invalidate_asid(smmu::ASID), op::smmu_sync()];
        let message = [tlbi(), op::smmu_sync_message(smmu::MESSAGE, 0x5ad)];
        for told in [&[tlbi(), op::smmu_sync()], &everything, &message] {
            let ran = upgrade(lab, "", told);
            assert_eq!(ended(&ran, 1), DONE);
            assert_eq!(ran.run.findings.verdict(), Verdict::Coherent);
        }
        assert_eq!(
            ended(&upgrade(lab, "", &[]), 1),
            faulted(dma::FAULT_PERMISSION)
        );
    });
}

/// No CMD_SYNC: by default the command has had no effect yet. The oracle says so.
#[test]
fn a_command_without_a_sync_is_not_an_invalidation() {
    on_every_tracker(|lab| {
        let ran = upgrade(lab, "", &[tlbi()]);
        assert_eq!(ended(&ran, 1), faulted(dma::FAULT_PERMISSION));
        let found = &ran.run.findings.violations[0];
        assert_eq!(found.kind, ViolationKind::StaleReadOnly);
        let cause = found.chain.invalidation;
        assert!(matches!(cause, Invalidation::NotSynced(_)), "{cause:?}");
        let ran = upgrade(lab, "tlbi=at-once", &[tlbi()]);
        assert_eq!(ended(&ran, 1), DONE, "hardware may be faster");
    });
}

/// The device uses the entry between its TLBI and the CMD_SYNC: with the erratum it is still there, and
/// goes at the second try.
#[test]
fn with_the_erratum_an_entry_survives_an_invalidation_that_races() {
    on_every_tracker(|lab| {
        let raced = |knobs, again: &[Op]| {
            let mut told = vec![tlbi()];
            told.extend(read(2));
            told.push(op::smmu_sync());
            told.extend(again);
            ended(&upgrade(lab, knobs, &told), 1)
        };
        assert_eq!(raced("", &[]), DONE);
        let survived = faulted(dma::FAULT_PERMISSION);
        assert_eq!(raced("racing=survives", &[]), survived);
        let twice = [tlbi(), op::smmu_sync()];
        assert_eq!(raced("racing=survives", &twice), DONE);
    });
}

#[test]
fn an_invalidation_of_another_address_space_is_of_no_use() {
    on_every_tracker(|lab| {
        let other = op::smmu_invalidate_page(page::address(0), smmu::ASID + 1);
        let ran = upgrade(lab, "", &[other, op::smmu_sync()]);
        assert_eq!(ended(&ran, 1), faulted(dma::FAULT_PERMISSION));
        assert_eq!(ran.run.findings.verdict(), Verdict::Violation);
    });
}

/// With broadcasts a driver need say nothing of what is taken away; without, the device goes on.
#[test]
fn broadcasts_spare_the_driver_its_commands_for_revocations() {
    on_every_tracker(|lab| {
        let downgrade = |knobs| {
            run(lab, knobs, |machine| {
                let mut ops = vec![
                    map(machine, page::read_write(machine, 0)),
                    configure(machine, 0),
                ];
                ops.extend(read(0));
                ops.push(map(machine, page::read_only(machine, 0)));
                ops.push(op::invalidate(page::address(0)));
                ops.extend(write(1));
                ops
            })
        };
        let off = downgrade("");
        assert_eq!(ended(&off, 1), DONE);
        let found = &off.run.findings.violations[0];
        assert_eq!(found.kind, ViolationKind::StaleWritable);
        let on = downgrade("btm=on");
        assert_eq!(ended(&on, 1), faulted(dma::FAULT_PERMISSION));
        assert_eq!(on.run.findings.verdict(), Verdict::Coherent);
    });
}

/// More commands than the queue has entries, so that it wraps several times.
#[test]
fn the_queue_wraps() {
    on_every_tracker(|lab| {
        let ran = run(lab, "", |machine| {
            let mut ops = vec![configure(machine, 0)];
            ops.extend([tlbi(); 150]);
            ops.push(op::smmu_sync());
            ops.push(op::load(smmu::register(smmu::CMDQ_CONS), 4));
            ops
        });
        let values: Vec<_> = ran.run.results[0].iter().map(|it| it.value).collect();
        assert!(values[1..152].iter().all(|value| *value == CMDQ_OK));
        // Three of its own, 150, and the SYNC, in a queue of 32 with a wrap bit.
        assert_eq!(values[152], 154 % 64);
    });
}

/// The device's access is under way, and so is the CMD_SYNC; with the erratum it is not waited for.
#[test]
fn a_sync_waits_for_the_access_that_is_under_way() {
    on_every_tracker(|lab| {
        let sync = smmu::sync_message(smmu::MESSAGE, 0x5ad);
        let program = |machine: &Machine| {
            let wanted = transfer::held(transfer::write(page::address(0), PAGE, SEED));
            let mut ops = vec![
                map(machine, page::read_write(machine, 0)),
                configure(machine, 0),
            ];
            ops.extend(transfer::start(0, 0, transfer::driven(wanted)));
            ops.push(op::wait_until(transfer::begun_word(0), 1));
            ops.extend([tlbi(), op::smmu_command(sync)]);
            // Long after the SYNC would have been complete.
            ops.push(op::check(layout::FRAMES + PAGE, 32 * PAGE, 0));
            ops.push(op::load(smmu::MESSAGE, 4));
            ops.push(op::load(page::frame(0), 8));
            ops.push(op::store(transfer::hold_word(0), 0, 8));
            ops.push(op::wait_until(smmu::MESSAGE, 0x5ad));
            ops.push(op::load(page::frame(0), 8));
            ops.push(transfer::finish(0));
            ops
        };
        let seen = |knobs| {
            let ran = run(lab, knobs, program);
            assert_eq!(ended(&ran, 0), DONE);
            let results = &ran.run.results[0];
            [7, 6, 3].map(|from_end| results[results.len() - from_end].value)
        };
        let written = pattern::word(SEED, 0);
        assert_eq!(seen(""), [0, 0, written], "complete when it is written");
        let early = seen("sync=early");
        assert_eq!(early[..2], [0x5ad, 0], "complete, and nothing written");
    });
}

#[test]
fn a_fault_is_an_event() {
    on_every_tracker(|lab| {
        let ran = run(lab, "", |machine| {
            let mut ops = vec![configure(machine, 0)];
            ops.push(op::smmu_event(RECORD));
            ops.extend(read(0));
            ops.push(op::smmu_wait_event(RECORD));
            ops.push(op::smmu_event(RECORD));
            ops
        });
        let results = &ran.run.results[0];
        assert_eq!(results[1].value, 0, "none before");
        let kinds = [3, 2].map(|from_end| results[results.len() - from_end].value);
        assert_eq!(kinds, [event::TRANSLATION, 0]);
        let [first, input] = [0, 16].map(|offset| ran.word(RECORD + offset));
        assert_eq!(first >> 32, u64::from(smmu::STREAM));
        assert_eq!(input, page::address(0));
    });
}

/// A stalled access, answered by this command once the page is there.
fn stalled(lab: &Lab, wanted: Descriptor, answer: Answer) -> Ran {
    run(lab, "", |machine| {
        let mut ops = vec![configure(machine, smmu::CD_STALL)];
        ops.extend(transfer::start(0, 0, transfer::driven(wanted)));
        ops.push(op::smmu_wait_event(RECORD));
        ops.push(map(machine, page::read_write(machine, 0)));
        // The first stall of a machine has the STAG 0.
        ops.push(op::smmu_command(smmu::resume(0, answer)));
        ops.push(transfer::finish(0));
        ops
    })
}

#[test]
fn a_stalled_access_does_what_the_driver_says() {
    on_every_tracker(|lab| {
        let reading = transfer::read(page::address(0), PAGE);
        let retried = stalled(lab, reading, Answer::Retry);
        assert_eq!(smmu::event_stag(retried.word(RECORD + 8)), 0);
        assert_eq!(
            (ended(&retried, 0), retried.descriptor(0).faults),
            (DONE, 1)
        );
        assert_eq!((retried.run.dma.reads, retried.run.dma.retries), (1, 0));

        let ignored = stalled(lab, reading, Answer::Terminate);
        let zeros = (0..PAGE / 8).fold(0, |sum, _| pattern::fold(sum, 0));
        assert_eq!(ended(&ignored, 0), DONE);
        assert_eq!(ignored.descriptor(0).checksum, zeros);
        assert_eq!(ignored.run.dma.reads, 0, "nothing was read");

        let writing = transfer::write(page::address(0), PAGE, SEED);
        let lost = stalled(lab, writing, Answer::Terminate);
        assert_eq!((ended(&lost, 0), lost.word(page::frame(0))), (DONE, 0));

        let aborted = stalled(lab, writing, Answer::Abort);
        assert_eq!(ended(&aborted, 0), faulted(dma::FAULT_STALLED));
    });
}

#[test]
fn a_stall_that_nobody_answers_ends_by_itself() {
    on_every_tracker(|lab| {
        let ran = run(lab, "", |machine| {
            let mut ops = vec![configure(machine, smmu::CD_STALL)];
            ops.extend(read(0));
            // The device has given up: the answer is for nobody.
            ops.push(op::smmu_command(smmu::resume(0, Answer::Retry)));
            ops.push(op::smmu_sync());
            ops
        });
        assert_eq!(ended(&ran, 0), faulted(dma::FAULT_STALLED));
    });
}

/// A new context descriptor counts once its old one is invalidated.
#[test]
fn a_configuration_is_cached_until_it_is_invalidated() {
    on_every_tracker(|lab| {
        let hardware = |knobs: &str, between: &[Op]| {
            let ran = run(lab, knobs, |machine| {
                let untouched = page::read_write(machine, 0) & !(1 << 5);
                let mut ops = vec![map(machine, untouched), configure(machine, 0)];
                ops.extend(read(0));
                ops.push(configure(machine, smmu::CD_ACCESS));
                ops.extend(between);
                ops.extend(read(1));
                ops
            });
            assert_eq!(ended(&ran, 0), faulted(dma::FAULT_ACCESS));
            ended(&ran, 1)
        };
        let stale = faulted(dma::FAULT_ACCESS);
        assert_eq!(hardware("httu=a", &[]), stale);
        let told = [op::smmu_command(smmu::CFGI_CD), op::smmu_sync()];
        assert_eq!(hardware("httu=a", &told), DONE);
        assert_eq!(hardware("httu=a,config-cache=off", &[]), DONE);
    });
}
