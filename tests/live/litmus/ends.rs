//! How batches end before their end.

use std::thread;
use std::time::{Duration, Instant};

use guest::abi::litmus::{
    CONTROL, Control, JUMP, LITMUS, RETRY, STEP_END, STORE_LOCKED, instruction,
};
use guest::abi::op::{Op, STATUS_DONE};
use notifier::addr::Gpa;
use tests::assembler::{Batch, Code, control, keys, plain, step, step_of};
use tests::lab::{Lab, Ran, on_announce};
use tests::op;
use vmm::machine::{Machine, MachineConfig};
use vmm::memory::Ram;

use super::{ends, store_buffering};

/// Where the machine says that it wants the end.
const STOP: u64 = LITMUS + CONTROL + std::mem::offset_of!(Control, stop) as u64;
/// How long anything here may take before it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the batch until `is_enough`, and then has it stopped.
fn stopped(
    lab: &Lab,
    batch: &Batch,
    programs: &[Vec<Op>],
    is_enough: impl Fn(&Ram) -> bool + Sync,
) -> Ran {
    let config = MachineConfig {
        vcpus: programs.len() as u64,
        limit: LIMIT,
        ..lab.config()
    };
    let machine = Machine::new(&lab.kvm, &config).expect("the machine can be built");
    batch.load(&machine);
    for (vcpu, program) in (0..).zip(programs) {
        let loaded = machine.load_program(vcpu, program);
        loaded.expect("the program fits");
    }
    let (ram, format) = (machine.ram().clone(), machine.format().clone());
    let run = thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            while !is_enough(&ram) && began.elapsed() < LIMIT {
                thread::sleep(Duration::from_millis(1));
            }
            let stop = ram.publish(Gpa::new(STOP), 1);
            stop.expect("the area is in memory");
        });
        machine.run(&lab.kvm).expect("the host lets it run")
    });
    assert_eq!(run.stopped, None, "the batch comes to its end");
    Ran { ram, format, run }
}

#[test]
fn a_batch_ends_when_the_machine_wants_it() {
    on_announce(|lab| {
        let batch = Batch::new(u64::MAX, &store_buffering(STORE_LOCKED));
        let programs = vec![vec![op::litmus()]; 2];
        let ran = stopped(lab, &batch, &programs, |ram| control(ram).done > 20);
        let done = control(&ran.ram).done;
        assert!(done > 20);
        let all: u64 = keys(&ran.ram).iter().map(|(_, count)| count).sum();
        assert_eq!(all, done);
        for (status, runs) in ends(&ran) {
            assert_eq!(status, STATUS_DONE);
            assert!(runs.abs_diff(done) <= 1, "{runs} of {done}");
        }
    });
}

#[test]
fn runs_that_never_end_are_broken_off() {
    let begin = Code::default().here();
    let waits = Code::of_body(&[step(1), instruction(RETRY, 0, begin)]);
    let ends_well = Code::of_body(&[step(1), plain(STEP_END)]);
    let never_steps = Code::of_body(&[instruction(RETRY, 0, begin)]);
    let both = [waits.clone(), waits.clone()];
    let cases = [
        ("all try again", Batch::new(5, &both)),
        (
            "the first does",
            Batch::new(5, &[waits.clone(), ends_well.clone()]),
        ),
        (
            "the second does",
            Batch::new(5, &[ends_well.clone(), waits]),
        ),
        (
            "a turn does not come",
            Batch::replay(&[step_of(1, 1)], &[ends_well.clone(), never_steps]),
        ),
    ];
    on_announce(|lab| {
        for (what, batch) in &cases {
            let two = vec![vec![op::litmus()]; 2];
            let ran = stopped(lab, batch, &two, |_| true);
            assert_eq!(ends(&ran), [(STATUS_DONE, 0); 2], "{what}");
            let Control { done, outcomes, .. } = control(&ran.ram);
            assert_eq!((done, outcomes), (0, 0), "{what}");
        }
        // The second does not even come to the first barrier.
        let batch = Batch::new(5, &[ends_well.clone(), ends_well.clone()]);
        let ran = stopped(lab, &batch, &[vec![op::litmus()], vec![]], |_| true);
        assert_eq!(ends(&ran)[0], (STATUS_DONE, 0));
    });
}

/// Nothing in the payload ends such a one: the machine's own limit does.
#[test]
fn code_that_goes_round_in_circles_is_ended_by_the_machine() {
    on_announce(|lab| {
        let begin = Code::default().here();
        let code = Code::of_body(&[instruction(JUMP, 0, begin)]);
        let config = MachineConfig {
            limit: Duration::from_millis(300),
            ..lab.config()
        };
        let ran = lab.attempt(&config, |machine| {
            Batch::new(1, &[code]).load(machine);
            vec![vec![op::litmus()]]
        });
        assert!(ran.run.stopped.is_some());
        assert_eq!(control(&ran.ram).done, 0);
    });
}
