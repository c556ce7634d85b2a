//! What the explorer finds broken, forced on a machine.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use kvm_ioctls::Kvm;
use notifier::explore::{
    Breach, Cell, Forced, Limits, NAMES, Progress, Reductions, Schedule, Verdict, explore, forced,
};
use notifier::scenario::Checked;
use notifier::scenario::tree::Demand;
use tests::host::{is_emulated, say, with_kvm};
use vmm::live::scenario::{Batch, NoReplay, Plan, Replayed, replay};

use super::{checked, is_pvm, plan, runnable, scenario, told};

/// How often each is replayed.
const TIMES: usize = 3;

/// What became of one violated condition of a cell.
enum Came {
    /// The machine did all of it, and the condition was seen broken.
    Shown,
    /// The machine did all of it, and the condition can't be looked at.
    Unseen,
    /// It can't be forced, with the reason.
    Not(String),
}

/// What does not hold in a cell, by the explorer.
fn breaches(checked: &Checked, cell: &Cell) -> Vec<Breach> {
    let mut watch = |_: Progress| ControlFlow::Continue(());
    let report = explore(
        checked,
        cell,
        &Limits::default(),
        Reductions::On,
        &mut watch,
    );
    let report = report.expect("it can be explored");
    let mut breaches = Vec::new();
    for property in &report.properties {
        let broken = [Verdict::Violated, Verdict::Livelock].contains(&property.verdict)
            && property.demand != Demand::Allowed;
        if broken {
            breaches.push(Breach::Condition(property.property.clone()));
        }
    }
    if report.stuck.is_some() {
        breaches.push(Breach::Deadlock);
    }
    breaches
}

fn ways(checked: &Checked, cell: &Cell, breaches: &[Breach]) -> Vec<Forced> {
    let mut watch = |_: Progress| ControlFlow::Continue(());
    let found = forced(checked, cell, breaches, &Limits::default(), &mut watch);
    found.expect("it can be explored")
}

fn once(kvm: &Kvm, plan: &Plan, schedule: &Schedule) -> Result<Replayed, NoReplay> {
    let going_on = AtomicBool::new(false);
    replay(kvm, plan, schedule, &Batch::default(), &going_on)
}

/// The same, as often as it takes to say that it is the same each time.
fn came(kvm: &Kvm, (title, plan): (&str, &Plan), schedule: &Schedule, condition: &str) -> Came {
    let first = match once(kvm, plan, schedule) {
        Ok(first) => first,
        Err(NoReplay::Machine(error)) => panic!("{title}: {error}"),
        Err(error) => return Came::Not(error.to_string()),
    };
    assert!(first.agrees(), "{title}, {condition}: {first:#?}");
    for _ in 1..TIMES {
        let again = once(kvm, plan, schedule).expect("as before");
        assert_eq!(again.turns, first.turns, "{title}, {condition}");
        assert_eq!(again.broken, first.broken, "{title}, {condition}");
        assert_eq!((again.cut, again.missing), (None, 0), "{title}");
    }
    // That nothing comes of it, for ever, is seen by going round in a circle.
    match first.shows(condition) || first.circle.is_some() {
        true => Came::Shown,
        false => Came::Unseen,
    }
}

/// Every violated condition of every cell of a scenario that can be run.
fn all(kvm: &Kvm, name: &str, shown: &mut BTreeSet<String>) {
    let checked = scenario(name);
    for (cell, plan) in runnable(&checked) {
        if is_emulated() && plan.vcpus() > 2 {
            say(&format!(
                "{}: not replayed here, vCPUs take turns",
                told(name, &cell)
            ));
            continue;
        }
        let breaches = breaches(&checked, &cell);
        for (breach, way) in breaches.iter().zip(ways(&checked, &cell, &breaches)) {
            let condition = match breach {
                Breach::Condition(condition) => condition,
                Breach::Deadlock => "deadlock",
            };
            let title = format!("{} {condition}", told(name, &cell));
            let came = match &way {
                Forced::Way(_, schedule) => came(kvm, (&title, &plan), schedule, condition),
                Forced::Unforceable(_, why) => Came::Not(why.reason()),
                Forced::Nowhere => panic!("{title}: there is no way to what is broken"),
                Forced::Undecided(bound) => panic!("{title}: {bound:?}"),
            };
            match came {
                Came::Shown => {
                    shown.insert(title);
                }
                Came::Unseen => say(&format!("{title}: replayed, but can't be looked at")),
                Came::Not(why) => say(&format!("{title}: NOT replayed: {why}")),
            }
        }
    }
}

/// Of what is broken in cells that can be run, so much is shown on kvm_pvm. To lose one is an error; so is
/// to gain one, until it is written here.
const SHOWN_ON_PVM: usize = 19;

#[test]
fn whatever_is_broken_in_a_cell_is_shown_or_refused_with_a_reason() {
    with_kvm(|kvm| {
        let mut shown = BTreeSet::new();
        NAMES.iter().for_each(|name| all(kvm, name, &mut shown));
        if is_pvm() {
            assert_eq!(shown.len(), SHOWN_ON_PVM, "{shown:#?}");
        } else {
            say(&format!("{} replayed and shown", shown.len()));
            let certain = "write-protect lock-clear-w dirty-atomic-guest no-final-shadow-stack";
            assert!(shown.contains(certain), "{shown:#?}");
        }
    });
}

/// The one way to what is broken in a scenario with one condition.
fn only_way(checked: &Checked) -> Box<Schedule> {
    let cell = &Cell::all(checked)[0];
    let breaches = breaches(checked, cell);
    assert_eq!(breaches.len(), 1, "{breaches:?}");
    match ways(checked, cell, &breaches).remove(0) {
        Forced::Way(_, schedule) => schedule,
        other => panic!("{other:#?}"),
    }
}

const LOST_UPDATE: &str = "scenario x;
shared n: 0..2;
agent one { reg r: 0..2; r = n; \"writes back\" n = r + 1; }
agent two { reg r: 0..2; r = n; \"writes back, too\" n = r + 1; }
required counted finally: n == 2;
";

#[test]
fn a_lost_update_is_lost_each_time() {
    with_kvm(|kvm| {
        let checked = checked(LOST_UPDATE);
        let (plan, schedule) = (plan(&checked), only_way(&checked));
        let seen = once(kvm, &plan, &schedule).unwrap();
        assert!(seen.agrees() && seen.shows("counted"), "{seen:#?}");
        assert!(!seen.shows("another"));
        let changes: Vec<_> = seen.turns.iter().map(|turn| turn.changes.len()).collect();
        assert_eq!(changes, [0, 0, 1, 0], "the second store changes nothing");
    });
}

/// A schedule of another program: what it says is not what the machine does.
#[test]
fn a_machine_that_goes_another_way_is_told() {
    with_kvm(|kvm| {
        let schedule = only_way(&checked(LOST_UPDATE));
        let other = checked(&LOST_UPDATE.replace("n = r + 1; }\nreq", "n = 2; }\nreq"));
        let seen = once(kvm, &plan(&other), &schedule).unwrap();
        assert!(!seen.agrees(), "{seen:#?}");
        let differs = seen.turns.iter().flat_map(|turn| &turn.differs);
        assert!(differs.count() > 0, "{seen:#?}");
    });
}

#[test]
fn a_schedule_that_begins_as_nobody_does_is_refused() {
    with_kvm(|kvm| {
        let checked = checked(LOST_UPDATE);
        let mut schedule = only_way(&checked);
        schedule.initial[0].value = 1;
        let refused = once(kvm, &plan(&checked), &schedule).unwrap_err();
        assert!(matches!(refused, NoReplay::Beginning), "{refused}");
    });
}

#[test]
fn a_schedule_that_is_too_long_is_refused() {
    with_kvm(|kvm| {
        let checked = checked(LOST_UPDATE);
        let mut schedule = only_way(&checked);
        let turn = schedule.turns[0].clone();
        schedule.turns = vec![turn; 5000];
        let refused = once(kvm, &plan(&checked), &schedule).unwrap_err();
        assert!(matches!(refused, NoReplay::Long(5000)), "{refused}");
    });
}

/// An SMMU can't be told to forget something by itself.
#[test]
fn an_event_that_nobody_can_make_is_refused() {
    with_kvm(|kvm| {
        let checked = checked(
            "scenario x;
shared weather: flag;
agent one { await weather; }
event rain \"it rains\" when not weather { weather = 1; }
forbidden wet ever: weather;
",
        );
        let refused = once(kvm, &plan(&checked), &only_way(&checked)).unwrap_err();
        let NoReplay::Turn { turn, name, why } = refused else {
            panic!("{refused}");
        };
        assert_eq!((turn, name.as_str()), (1, "rain"));
        assert!(why.contains("nobody can make it"), "{why}");
    });
}
