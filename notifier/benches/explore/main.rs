//! The explorer beside stateright and SPIN on the same protocol, `uffd-wp`, at growing bounds.
//!
//! Without arguments of its own it only compares verdicts and numbers of states. `cargo bench -p
//! notifier --bench explore` measures, too: each contender runs alone in a process, in turns. With
//! `-- one stalemate table-generation 4 1 1` behind that it runs one contender once (variant, stores,
//! rounds, threads). SPIN is skipped if there is no `spin` or `gcc`, unless `STALEMATE_REQUIRE_SPIN`
//! is set.

mod bounds;
mod contender;
mod model;
mod spin;

use bounds::{Bounds, Os};
use contender::{Contender, Outcome};
use spin::Spin;

/// Times that each contender runs: once where a turn of all takes longer than half a minute.
fn turns(bounds: Bounds) -> usize {
    if bounds.stores > 2 { 1 } else { 5 }
}

fn main() {
    let (cargo, arguments): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument == "--bench");
    if arguments.first().is_some_and(|first| first == "one") {
        return contender::alone(&arguments[1..]);
    }
    let spin = Spin::find();
    compare(spin.as_ref());
    if !cargo.is_empty() {
        measure(spin.as_ref());
    }
}

fn bounds(os: Os, stores: u8, rounds: u8) -> Bounds {
    Bounds { os, stores, rounds }
}

/// All verdicts are the same, and the explorer has as many states as the two models by hand.
fn compare(spin: Option<&Spin>) {
    for os in Os::ALL {
        let bounds = bounds(os, 1, 1);
        let model = contender::stateright(bounds);
        for threads in [1, 2] {
            let explored = contender::stalemate(bounds, threads);
            assert_eq!(explored.holds, model.holds, "{bounds}");
            // Where it is broken each stops at once, after states that depend on the order.
            let told = !model.holds || explored.states == model.states;
            assert!(told, "{bounds}: {} states", explored.states);
        }
        assert_eq!(model.holds, os != Os::None, "{bounds}");
        let Some(spin) = spin else { continue };
        let checked = spin.build(bounds, &["-DNOREDUCE"]).run(1 << 18);
        assert_eq!(checked.holds, model.holds, "{bounds}");
        assert!(!model.holds || checked.states == model.states, "{bounds}");
    }
    println!("verdicts are equal");
}

fn measure(spin: Option<&Spin>) {
    println!(
        "contender; bounds; verdict; states; CPU s; wall s; states per CPU s; bytes per state"
    );
    for bounds in [
        bounds(Os::None, 2, 1),
        bounds(Os::PendingCheckInFault, 2, 1),
        bounds(Os::TableGeneration, 2, 1),
        bounds(Os::TableGeneration, 3, 1),
        bounds(Os::TableGeneration, 4, 1),
    ] {
        let size = contender::stalemate(bounds, 1).states;
        let contenders = contenders(bounds, size, spin);
        let mut outcomes: Vec<Vec<Outcome>> = contenders.iter().map(|_| Vec::new()).collect();
        for _ in 0..turns(bounds) {
            for (contender, outcomes) in contenders.iter().zip(&mut outcomes) {
                outcomes.push(contender.run());
            }
        }
        for (contender, outcomes) in contenders.iter().zip(&outcomes) {
            println!(
                "{}; {bounds}; {}",
                contender.name,
                contender::told(outcomes)
            );
        }
    }
}

fn contenders(bounds: Bounds, size: usize, spin: Option<&Spin>) -> Vec<Contender> {
    let mut all = vec![
        Contender::own("stalemate", bounds, 1),
        Contender::own("stalemate", bounds, 2),
        Contender::own("stateright", bounds, 1),
        Contender::own("stateright", bounds, 2),
    ];
    if let Some(spin) = spin {
        for options in [&["-DNOREDUCE"] as &[_], &[], &["-DNOREDUCE", "-DCOLLAPSE"]] {
            all.push(Contender::spin(spin.build(bounds, options), size));
        }
    }
    all
}
