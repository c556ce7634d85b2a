//! What a scenario says of real hardware means nothing to the explorer.

use notifier::explore::program::{Instr, Program, Role, executable};
use notifier::explore::{Cell, NAMES};
use notifier::mutate::{edits, mutants};
use notifier::scenario::tree::{Action, Item, Scenario, Statement};
use notifier::scenario::{Checked, check, format};

use crate::{report, reports, scenario};

/// The scenario without `live`: what it binds is not said, and each block stands where it was.
fn stripped(name: &str) -> Checked {
    let mut tree = scenario(name).scenario;
    let (before, _) = without(&mut tree);
    assert!(before > 0, "{name} has a `live` block");
    let text = format(&tree);
    let mut lines = text.lines().map(str::trim_start);
    assert!(!lines.any(|line| line.starts_with("live ")), "{name}");
    check(tree).expect("it makes sense")
}

/// Takes out blocks and declarations; how many.
fn without(tree: &mut Scenario) -> (usize, usize) {
    let items = tree.items.len();
    tree.items.retain(|item| !matches!(item, Item::Binding(_)));
    let mut blocks = 0;
    for item in &mut tree.items {
        match item {
            Item::Procedure(procedure) => blocks += splice(&mut procedure.body),
            Item::Event(event) => blocks += splice(&mut event.body),
            Item::Agent(agent) => {
                blocks += splice(&mut agent.body);
                let handlers = agent.interrupts.iter_mut();
                blocks += handlers.map(|one| splice(&mut one.body)).sum::<usize>();
            }
            _ => {}
        }
    }
    (blocks, items - tree.items.len())
}

fn splice(body: &mut Vec<Statement>) -> usize {
    let mut blocks = 0;
    for mut statement in std::mem::take(body) {
        let inner = statement.action.blocks_mut().into_iter();
        blocks += inner.map(splice).sum::<usize>();
        match statement.action {
            Action::Live { body: inner, .. } => {
                blocks += 1;
                body.extend(inner);
            }
            _ => body.push(statement),
        }
    }
    blocks
}

/// States, steps, verdicts, traces, tables: all of every report.
#[test]
fn without_it_every_cell_is_what_it_was() {
    for name in NAMES {
        let stripped = stripped(name);
        for with in reports(name) {
            let without = report(&stripped, &with.cell);
            let [with, without] = [with, &without].map(|report| format!("{report:#?}"));
            assert_eq!(with, without, "{name}");
        }
    }
}

/// A changed scenario without `live`.
fn bare(changed: Checked) -> String {
    let mut tree = changed.scenario;
    without(&mut tree);
    format(&tree)
}

/// The mistakes that can be made, and what can be put in or moved to repair them, are the same.
#[test]
fn edits_go_into_a_block_and_out_of_it() {
    let cell = Cell {
        os: Some("range-event".into()),
        hardware: Some("smmu".into()),
    };
    let wrong = |checked: &Checked| {
        let mutants = mutants(checked, &cell).into_iter();
        let told = mutants.map(|one| (one.step, one.change, bare(one.checked)));
        told.collect::<Vec<_>>()
    };
    let right = |checked: &Checked| {
        let edits = edits(checked, &cell).into_iter();
        let told = edits.map(|one| (one.words, one.standing, bare(one.checked)));
        let mut told: Vec<_> = told.collect();
        // Those of a block come in another order: it is deeper than what is around it.
        told.sort();
        told
    };
    let (with, without) = (scenario("upgrade"), stripped("upgrade"));
    let moved = |one: &(String, String, String)| one.0 == "invalidate-secondary()";
    assert!(wrong(&with).iter().filter(|one| moved(one)).count() > 3);
    assert_eq!(wrong(&with), wrong(&without));
    assert_eq!(right(&with), right(&without));
}

fn programs(name: &str) -> Vec<(Cell, Program)> {
    let checked = scenario(name);
    let programs = Cell::all(&checked).into_iter().map(|cell| {
        let program = executable(&checked, &cell).expect("it can be compiled");
        (cell, program)
    });
    programs.collect()
}

/// In a cell that a machine can be, no variable that is bound to a TLB or the SMMU is looked into but in a
/// block: whoever does has nothing to look into.
#[test]
fn cells_that_machines_can_be_look_into_no_cache() {
    let mut can = Vec::new();
    for name in NAMES {
        let all = programs(name);
        let cells = all.len();
        let run = all
            .iter()
            .filter(|(_, program)| program.never.is_empty() && !looks(program));
        can.push((name, run.count(), cells));
    }
    let expected = [
        ("write-protect", 6, 18),
        ("cow-states", 10, 15),
        ("uffd-wp", 12, 12),
        ("async-flush", 4, 7),
        ("upgrade", 12, 21),
        ("downgrade", 4, 20),
    ];
    assert_eq!(can, expected);
}

fn looks(program: &Program) -> bool {
    let caches = program.shown.iter();
    let caches = caches.filter(|one| matches!(one.role, Role::Tlb { .. } | Role::Smmu { .. }));
    let caches: Vec<_> = caches.map(|one| one.field).collect();
    program.contexts.iter().any(|context| {
        let code = &context.code;
        let modelled = |at: usize| code.operations.iter().any(|one| one.code.contains(&at));
        let outside = code
            .instrs
            .iter()
            .enumerate()
            .filter(|(at, _)| !modelled(*at));
        outside
            .flat_map(|(_, instr)| match instr {
                // A ghost of a condition is not what is done.
                Instr::Forbid(..) => Vec::new(),
                instr => instr.expressions(),
            })
            .any(|value| {
                let mut looked = false;
                value.reads(&mut |field| looked |= caches.contains(&field));
                looked
            })
    })
}
