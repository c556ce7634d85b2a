//! How a scenario can begin, and in what it can end.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

use super::layout::{Field, bits_of};
use super::machine::{Edge, Machine, State};
use super::mistake::Mistake;
use super::program::{Program, Shown, Wanted};
use super::report::{Verdict, not_found};
use super::search::{Goal, Search};
use super::{Bound, Cell, Limits, Progress, Reductions, compile};
use crate::scenario::tree::Demand;
use crate::scenario::{Checked, Diagnostic};

/// A variable, or one element of an array, by its name, with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// `pte`, `mem[old]`, `freed(old)`.
    pub name: String,
    /// The value as it is stored.
    pub value: u64,
    /// The value as a trace shows it.
    pub shown: String,
}

impl Value {
    /// The values of all variables in a state, in the order of the program.
    pub(super) fn all<const W: usize>(program: &Program, state: &State<W>) -> Vec<Self> {
        let value = |one: &Shown| {
            let value = one.field.get(state);
            Self {
                name: one.name.clone(),
                value,
                shown: program.show(one.kind, one.most, value),
            }
        };
        program.shown.iter().map(value).collect()
    }
}

/// All that can come of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// The variables that are looked at.
    pub names: Vec<String>,
    /// Their values, in this order, in each state in which all agents are done.
    pub finals: BTreeSet<Box<[u64]>>,
    /// Whether somebody can wait for ever: no step changes anything, and not all agents are done.
    pub deadlock: bool,
    /// The conditions, in the order of the file.
    pub conditions: Vec<Judged>,
    /// States that were found.
    pub states: usize,
}

/// What a search through all states says of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// What is asked for.
    pub demand: Demand,
    /// What came of it.
    pub verdict: Verdict,
    /// Whether a step breaks it (`forbid`), by whatever way; a state can break it as well.
    pub in_a_step: bool,
}

/// Finds in which states of the variables called `visible` one cell can end. Instead of that, the
/// limit that was reached, or that `watch` stopped it.
///
/// # Errors
/// As [`explore`](super::explore()); a name that is none of a variable.
pub fn outcomes(
    checked: &Checked,
    cell: &Cell,
    visible: &[&str],
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Result<Outcomes, Bound>, Diagnostic> {
    let mut program = compile::compile(checked, cell, Reductions::On)?;
    program.tables.clear();
    match program.words {
        1 => end::<1>(&program, visible, limits, watch),
        2 => end::<2>(&program, visible, limits, watch),
        3 => end::<3>(&program, visible, limits, watch),
        _ => end::<4>(&program, visible, limits, watch),
    }
}

fn end<const W: usize>(
    program: &Program,
    visible: &[&str],
    limits: &Limits,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Result<Outcomes, Bound>, Diagnostic> {
    let fields = fields(program, visible)?;
    let machine = Machine::<W>::new(program);
    let search = Search::run_for(Goal::States, &machine, limits, watch)?;
    if let Some(bound) = search.cut {
        return Ok(Err(bound));
    }
    let finals = match finals(&search, &fields, limits.memory) {
        Ok(finals) => finals,
        Err(bound) => return Ok(Err(bound)),
    };
    let conditions = program.properties.iter().enumerate();
    let conditions: Result<_, Mistake> = conditions
        .map(|(number, wanted)| judged(&search, number, wanted))
        .collect();
    Ok(Ok(Outcomes {
        names: visible.iter().map(|&name| name.into()).collect(),
        finals,
        deadlock: search.stuck.is_some(),
        conditions: conditions?,
        states: search.store.len(),
    }))
}

fn fields(program: &Program, visible: &[&str]) -> Result<Vec<Field>, Diagnostic> {
    let field = |name: &&str| {
        let mut shown = program.shown.iter();
        let found = shown.find(|shown| shown.name == **name);
        let unknown = || Diagnostic::whole(format!("no variable is called `{name}`"));
        found.map(|shown| shown.field).ok_or_else(unknown)
    };
    visible.iter().map(field).collect()
}

/// What a set of the standard library takes for each of its items beside the item, about.
const BESIDE: usize = 32;

/// The values of these fields in all final states; each bit that differs elsewhere only is cleared
/// before a state is looked up, so that few are unpacked.
fn finals<const W: usize>(
    search: &Search<'_, W>,
    fields: &[Field],
    memory: usize,
) -> Result<BTreeSet<Box<[u64]>>, Bound> {
    let mask: State<W> = bits_of(fields.iter().copied());
    let each = 2 * size_of::<State<W>>() + size_of_val(fields) + 2 * BESIDE;
    let mut known = HashSet::new();
    for id in 0..search.store.len() {
        let state = search.store.get(id);
        if !search.machine.is_final(&state) {
            continue;
        }
        known.insert(std::array::from_fn(|at| state[at] & mask[at]));
        let bytes = known.len().saturating_mul(each);
        if bytes.saturating_add(search.store.bytes()) > memory {
            return Err(Bound::Memory(memory));
        }
    }
    let values = |state: State<W>| fields.iter().map(|field| field.get(&state)).collect();
    Ok(known.into_iter().map(values).collect())
}

fn judged<const W: usize>(
    search: &Search<'_, W>,
    number: usize,
    wanted: &Wanted,
) -> Result<Judged, Mistake> {
    let found = search.found[number].is_some();
    let success = wanted.condition.as_ref();
    let verdict = match (wanted.demand, success, found) {
        (Demand::Progress, Some(success), _) => {
            let lost = search.lost(|state| search.machine.eval(success, state) != 0)?;
            lost.first().map_or(Verdict::Holds, |_| Verdict::Livelock)
        }
        (Demand::Allowed, _, true) => Verdict::Holds,
        (_, _, true) => Verdict::Violated,
        (_, _, false) => not_found(wanted, !search.ended),
    };
    Ok(Judged {
        name: wanted.name.clone(),
        demand: wanted.demand,
        verdict,
        in_a_step: search.broken_by_step >> number & 1 == 1,
    })
}

/// How one cell can begin: each way once, in an order that depends on nothing else. Instead of that, the
/// limit that was reached. These are the values before the agents do anything: what an agent does before
/// its first step, which nobody else can see, is not done yet.
///
/// # Errors
/// As [`explore`](super::explore()).
pub fn beginnings(
    checked: &Checked,
    cell: &Cell,
    limits: &Limits,
) -> Result<Result<Vec<Vec<Value>>, Bound>, Diagnostic> {
    let program = compile::compile(checked, cell, Reductions::Off)?;
    match program.words {
        1 => begin::<1>(&program, limits),
        2 => begin::<2>(&program, limits),
        3 => begin::<3>(&program, limits),
        _ => begin::<4>(&program, limits),
    }
}

fn begin<const W: usize>(
    program: &Program,
    limits: &Limits,
) -> Result<Result<Vec<Vec<Value>>, Bound>, Diagnostic> {
    let machine = Machine::<W>::new(program);
    let (mut ways, mut found, mut known) = (machine.beginnings(), Vec::new(), BTreeSet::new());
    let names: usize = program.shown.iter().map(|one| one.name.len()).sum();
    let each = program.shown.len() * (size_of::<Value>() + BESIDE) + names;
    while machine.set_up(&mut ways, &mut found)? {
        known.extend(found.drain(..).map(|Edge { state, .. }| state));
        if known.len() > limits.states {
            return Ok(Err(Bound::States(limits.states)));
        }
        let bytes = ways.bytes_with_one_more() + known.len().saturating_mul(each);
        if bytes > limits.memory {
            return Ok(Err(Bound::Memory(limits.memory)));
        }
    }
    let values = known.iter().map(|state| Value::all(program, state));
    Ok(Ok(values.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::tests::checked;

    fn outcomes_of(text: &str, visible: &[&str]) -> Outcomes {
        let (checked, limits) = (checked(text), Limits::default());
        let watch = &mut |_| ControlFlow::Continue(());
        let told = outcomes(&checked, &Cell::default(), visible, &limits, watch);
        told.unwrap().unwrap()
    }

    fn finals(text: &str, visible: &[&str]) -> Vec<Vec<u64>> {
        let all = outcomes_of(text, visible).finals;
        all.iter().map(|values| values.to_vec()).collect()
    }

    /// The one that is missing would need stores that others see late.
    #[test]
    fn store_buffering_ends_in_three_ways_where_memory_is_sequentially_consistent() {
        let text = "scenario x; shared x: flag; shared y: flag; shared a: flag; shared b: flag;
            agent p { reg r: flag; x = 1; r = y; a = r; } agent q { reg r: flag; y = 1; r = x; b = r; }
            forbidden none finally: not a and not b;";
        assert_eq!(finals(text, &["a", "b"]), [[0, 1], [1, 0], [1, 1]]);
        // In the order that is asked for, and with what others left out.
        assert_eq!(finals(text, &["b", "x"]), [[0, 1], [1, 1]]);
        let none: [u64; 0] = [];
        assert_eq!(finals(text, &[]), [none]);
    }

    /// That a condition is broken, or all of them are, does not end the search.
    #[test]
    fn all_ends_are_found_though_everything_is_decided_early() {
        let text = "scenario x; shared n: 0..2; agent a { reg r: 0..2; r = n; n = r + 1; }
            agent b { reg r: 0..2; r = n; n = r + 1; } required q always: n != 1;";
        assert_eq!(finals(text, &["n"]), [[1], [2]]);
        let outcomes = outcomes_of(text, &["n"]);
        assert_eq!(outcomes.conditions[0].verdict, Verdict::Violated);
        assert!(!outcomes.deadlock && !outcomes.conditions[0].in_a_step);
    }

    #[test]
    fn each_condition_is_judged_and_who_waits_for_ever_is_told() {
        let text = "scenario x; shared l: lock; shared m: lock; shared n: flag; counter c;
            forbidden step ever: n; forbidden never ever: not held(l) and held(l);
            allowed taken finally: n; allowed lost finally: held(l); progress p: n counting c;
            forbidden unbroken;
            agent a { lock l; lock m; count c; atomic { n = 1; forbid step if n; } forbid unbroken if not n; unlock m; unlock l; }
            agent b { lock m; lock l; unlock l; unlock m; }";
        let outcomes = outcomes_of(text, &["n"]);
        assert!(outcomes.deadlock);
        let told = outcomes.conditions.iter();
        let told: Vec<_> = told
            .map(|one| (one.name.as_str(), one.verdict, one.in_a_step))
            .collect();
        let expected = [
            ("step", Verdict::Violated, true),
            ("never", Verdict::Holds, false),
            ("taken", Verdict::Holds, false),
            ("lost", Verdict::Violated, false),
            ("p", Verdict::Livelock, false),
            ("unbroken", Verdict::Holds, false),
        ];
        assert_eq!(told, expected);
        assert_eq!(outcomes.finals.len(), 1);
    }

    #[test]
    fn limits_and_unknown_names_are_told() {
        let text = "scenario x; shared n: 0..9; agent a { choose { n = 1; } or { n = 2; } } always q: n < 3;";
        let told = |names: &[&str], limits: Limits| {
            let watch = &mut |_| ControlFlow::Continue(());
            outcomes(&checked(text), &Cell::default(), names, &limits, watch)
        };
        let states = Limits {
            states: 1,
            ..Limits::default()
        };
        assert_eq!(told(&["n"], states).unwrap(), Err(Bound::States(1)));
        let memory = Limits {
            memory: 10_000,
            ..Limits::default()
        };
        assert_eq!(told(&["n"], memory).unwrap(), Err(Bound::Memory(10_000)));
        let error = told(&["m"], Limits::default()).unwrap_err();
        assert!(error.message.contains("`m`"), "{error}");
    }

    /// What `a` does before its first step is no part of how it begins.
    #[test]
    fn each_beginning_is_there_once_by_name() {
        let text =
            "scenario x; frames f, g; shared n: 0..2 = 1; shared at[2]: frame; ghost seen: flag;
            initially { choose { n = 2; } or { at[1] = g; } or { n = 2; } }
            agent a { seen = 1; n = 0; } always q: n < 3;";
        let limits = Limits::default();
        let told = beginnings(&checked(text), &Cell::default(), &limits);
        let told = told.unwrap().unwrap();
        let told: Vec<String> = told
            .iter()
            .map(|values| {
                let value = |one: &Value| format!("{}={}/{}", one.name, one.value, one.shown);
                values.iter().map(value).collect::<Vec<_>>().join(" ")
            })
            .collect();
        let expected = [
            "n=2/2 at[0]=0/f at[1]=0/f seen=0/0",
            "n=1/1 at[0]=0/f at[1]=1/g seen=0/0",
        ];
        assert_eq!(told, expected);
        let few = Limits {
            states: 1,
            ..limits
        };
        let told = beginnings(&checked(text), &Cell::default(), &few);
        assert_eq!(told.unwrap(), Err(Bound::States(1)));
    }
}
