//! How fast guest code runs, and what leaving the guest costs: measured in a guest, by the processor's
//! own clock, which guest and host share.

use std::thread::sleep;
use std::time::{Duration, Instant};

use guest::abi::dma::{self, Descriptor};
use guest::abi::op::{self, Op, OpResult};
use guest::abi::{layout, probe};
use kvm_ioctls::Kvm;
use notifier::addr::Gpa;

use super::{Area, Finding, Measured, State};
use crate::arch;
use crate::machine::{Machine, MachineError};
use crate::probe::config;

/// Code runs natively if it takes less than so many times what the host takes. Emulation costs
/// hundreds of times that; a busy host, less than this.
const NATIVE: f64 = 3.0;
/// How often each is measured; the least counts, since whatever else runs only adds.
const TURNS: usize = 9;
/// Rounds of the loop in ring 3 and on the host.
const ROUNDS: u64 = 200_000;
/// In ring 0, where a host may take a microsecond for each.
const ROUNDS_RING_0: u64 = 10_000;
/// Exits of a kind in a turn.
const EXITS: u64 = 50;
/// Doorbells in a turn: what they start takes processor time, too.
const DOORBELLS: u64 = 10;
/// How long all of it may take. It is some ten milliseconds; on an emulated host, a second.
const LIMIT: Duration = Duration::from_secs(4);
/// A timer's delay.
const DELAY: Duration = Duration::from_millis(1);

/// What a turn measures: a name, what for, and the batch.
const COSTS: [(&str, u64, u64, u64); 5] = [
    ("port write", probe::WRITE_PORT, 0, EXITS),
    (
        "device write",
        probe::WRITE_DEVICE,
        dma::register(1, dma::DESCRIPTOR),
        EXITS,
    ),
    (
        "doorbell",
        probe::RING_DOORBELL,
        dma::register(0, dma::DOORBELL),
        DOORBELLS,
    ),
    ("invalidation", probe::INVALIDATE, layout::WINDOW, EXITS),
    ("clock read", probe::READ_CLOCK, 0, 10 * EXITS),
];

const EXPLAINED: [&str; 5] = [
    "leaves to this program, and back",
    "the same through memory that is none",
    "KVM tells this program without leaving to it",
    "a call of the guest's ring 0, and INVLPG there",
    "no exit where the clock is native",
];

/// All figures, or one finding that says why there are none.
pub(super) fn findings(kvm: &Kvm) -> Vec<Finding> {
    match measure(kvm) {
        Ok(results) => judge(&results, &Clock::calibrate()),
        Err(error) => vec![not_measured(error)],
    }
}

fn measure(kvm: &Kvm) -> Result<Vec<OpResult>, String> {
    let run = (|| {
        let machine = Machine::new(kvm, &config(1, LIMIT))?;
        machine.load_program(0, &program())?;
        let refused = Descriptor {
            command: dma::READ,
            stream: dma::STREAM_SHADOW,
            iova: layout::WINDOW,
            length: 8,
            ..Descriptor::default()
        };
        let place = Gpa::new(layout::DESCRIPTORS);
        machine.ram().write(place, &refused.to_bytes())?;
        machine.run(kvm)
    })();
    let run = run.map_err(|error: MachineError| error.to_string())?;
    if let Some(stopped) = run.stopped {
        return Err(stopped.to_string());
    }
    run.results
        .into_iter()
        .next()
        .ok_or_else(|| "no result".into())
}

/// First what makes a rung doorbell a transfer that ends at once, then the turns.
fn program() -> Vec<Op> {
    let ready = Op {
        code: op::STORE,
        a: dma::register(0, dma::DESCRIPTOR),
        b: layout::DESCRIPTORS,
        c: 8,
    };
    let turns = (0..TURNS).flat_map(|_| turn());
    [ready].into_iter().chain(turns).collect()
}

fn turn() -> Vec<Op> {
    let batch = |kind, at, count| Op {
        code: op::PROBE,
        a: kind,
        b: at,
        c: count,
    };
    let loops = [
        batch(probe::COUNT_RING_3, 0, ROUNDS),
        batch(probe::COUNT_RING_0, 0, 1),
        batch(probe::COUNT_RING_0, 0, 1 + ROUNDS_RING_0),
    ];
    let costs = COSTS.map(|(_, kind, at, count)| batch(kind, at, count));
    loops.into_iter().chain(costs).collect()
}

/// Operations of a turn.
const TURN: usize = 3 + COSTS.len();

/// The processor's clock, and the host's speed by it.
struct Clock {
    ticks_per_microsecond: f64,
    /// Of the loop on the host.
    ticks_per_round: f64,
    /// Microseconds.
    timer_late: f64,
}

impl Clock {
    fn calibrate() -> Self {
        let (began, ticks) = (Instant::now(), arch::ticks());
        let late = (0..2 * TURNS).map(|_| {
            let began = Instant::now();
            sleep(DELAY);
            began.elapsed().saturating_sub(DELAY)
        });
        let mut late: Vec<_> = late.collect();
        late.sort_unstable();
        let elapsed = began.elapsed().as_secs_f64() * 1e6;
        let ticks = arch::ticks().wrapping_sub(ticks);
        let counted = (0..TURNS).map(|_| {
            let began = arch::ticks();
            arch::count(ROUNDS);
            arch::ticks().wrapping_sub(began)
        });
        Self {
            ticks_per_microsecond: float(ticks) / elapsed.max(1.0),
            ticks_per_round: float(counted.min().unwrap_or(0)) / float(ROUNDS),
            timer_late: late.get(TURNS).map_or(0.0, Duration::as_secs_f64) * 1e6,
        }
    }

    fn ratio(&self, ticks: u64, rounds: u64) -> f64 {
        float(ticks) / float(rounds) / self.ticks_per_round.max(1e-3)
    }

    fn microseconds(&self, ticks: u64, count: u64) -> f64 {
        float(ticks) / float(count) / self.ticks_per_microsecond.max(1e-3)
    }
}

fn judge(results: &[OpResult], clock: &Clock) -> Vec<Finding> {
    let turns = results.get(1..).unwrap_or_default();
    let least = |number: usize| {
        let values = turns.chunks_exact(TURN).map(|turn| turn[number].value);
        values.min().unwrap_or(0)
    };
    let ring_3 = clock.ratio(least(0), ROUNDS);
    let ring_0 = clock.ratio(least(2).saturating_sub(least(1)), ROUNDS_RING_0);
    let costs = (3..).zip(COSTS).zip(EXPLAINED);
    let costs = costs.map(|((number, (name, _, _, count)), what)| {
        cost(name, what, clock.microseconds(least(number), count))
    });
    let timer = cost(
        "timer",
        "so late is one of 1 ms, on the host",
        clock.timer_late,
    );
    let rings = [ring("ring 3", ring_3), ring("ring 0", ring_0)];
    rings.into_iter().chain(costs).chain([timer]).collect()
}

fn ring(name: &str, ratio: f64) -> Finding {
    let native = ratio < NATIVE;
    let how = if native { "native" } else { "emulated" };
    let remedy = match name {
        "ring 3" => "expect this many times the run time; use a host with hardware virtualization",
        _ => "no harm: the payload runs in ring 3",
    };
    Finding {
        area: Area::Speed,
        name: name.into(),
        state: State::Ok,
        what: format!("{how}: a counted loop takes {ratio:.1} times what it takes on the host"),
        measured: Some(Measured {
            value: ratio,
            unit: "ratio",
        }),
        remedy: (!native).then(|| remedy.into()),
    }
}

fn cost(name: &str, what: &str, microseconds: f64) -> Finding {
    Finding {
        area: Area::Cost,
        name: name.into(),
        state: State::Ok,
        what: format!("{microseconds:.2} us: {what}"),
        measured: Some(Measured {
            value: microseconds,
            unit: "us",
        }),
        remedy: None,
    }
}

fn not_measured(error: String) -> Finding {
    Finding {
        area: Area::Speed,
        name: "ring 3".into(),
        state: State::Unknown,
        what: error,
        measured: None,
        remedy: Some("try again on a host that is less busy".into()),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures of three digits are made of it"
)]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_all_turns_counts_and_the_call_is_taken_off() {
        let clock = Clock {
            ticks_per_microsecond: 1000.0,
            ticks_per_round: 1.0,
            timer_late: 55.0,
        };
        let turn = |more: u64| {
            let ring_3 = [ROUNDS + more, 700 + more, 700 + more + 400 * ROUNDS_RING_0];
            let costs = COSTS.map(|(_, _, _, count)| 2500 * count + more);
            let values = ring_3.into_iter().chain(costs);
            values.map(|value| OpResult {
                value,
                ..OpResult::default()
            })
        };
        let results: Vec<_> = [OpResult::default()]
            .into_iter()
            .chain(turn(900_000))
            .chain(turn(0))
            .collect();
        let found = judge(&results, &clock);
        let values: Vec<_> = found
            .iter()
            .map(|finding| finding.measured.unwrap().value)
            .collect();
        assert_eq!(values, [1.0, 400.0, 2.5, 2.5, 2.5, 2.5, 2.5, 55.0]);
        assert!(found[0].what.starts_with("native: "));
        assert!(found[1].what.starts_with("emulated: "));
    }
}
