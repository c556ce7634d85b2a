//! What can be done in one step to make a protocol right.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::live;
use super::mutant::{is_in_atomic, words};
use super::operators::{carried, is_step, outside};
use super::site::Site;
use super::step::{Sort, View};
use crate::explore::{Cell, Most, Report};
use crate::scenario::tree::{Action, Gap, Item, LockAction, Scenario, Statement};
use crate::scenario::{Checked, Span, check_edited, format, format_statement};

/// A scenario with one step put in or moved.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Where in the text it was done.
    pub span: Span,
    /// What was done.
    pub words: String,
    /// How well the step stands there.
    pub standing: Standing,
    /// The whole scenario.
    pub checked: Checked,
}

/// How well a step stands where it was put: the less, the better. The order says what is preferred
/// among repairs that cost the same: next to the change that it answers, and under its lock, a step
/// is done neither for nothing nor too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Behind a change of an entry or a frame in its own block, under a lock.
    LockedAnswer,
    /// Behind such a change, under no lock.
    Answer,
    /// Under a lock.
    Locked,
    /// Elsewhere.
    Loose,
}

/// What a repair costs: how often the counters of its progress conditions are counted at most, all
/// together.
pub fn cost(report: &Report) -> Most {
    let counted = report.properties.iter().filter_map(|one| one.most.as_ref());
    counted.fold(Most::Times(0), |sum, (_, most)| match (sum, most) {
        (Most::Times(sum), Most::Times(times)) => Most::Times(sum.saturating_add(*times)),
        _ => Most::Unbounded,
    })
}

/// All edits of a single step in `cell`, in the order of the text: what an agent does anywhere in the
/// file to invalidate or to wait, put in at every place of its software; and what the software does to
/// invalidate, wait, tell, lock, or change an entry or a frame, at every other place of its block, and
/// before and after the block. What makes no sense is left out.
pub fn edits(checked: &Checked, cell: &Cell) -> Vec<Edit> {
    let view = View::new(checked, cell);
    let sites = live::sites(&view);
    let mut seen = HashSet::from([format(&checked.scenario)]);
    let mut all = insertions(&view, &sites);
    all.extend(sites.iter().flat_map(|site| moves(&view, site)));
    let edits = all.into_iter().filter_map(|tried| {
        let new = seen.insert(format(&tried.scenario));
        let checked = new.then(|| check_edited(tried.scenario).ok()).flatten()?;
        let standing = standing(&View::new(&checked, cell), &tried.to);
        Some(Edit {
            span: tried.span,
            words: tried.words,
            standing,
            checked,
        })
    });
    edits.collect()
}

/// An edit that may make no sense.
struct Tried {
    span: Span,
    words: String,
    /// Where the step is now.
    to: Site,
    scenario: Scenario,
}

fn standing(view: &View<'_>, site: &Site) -> Standing {
    let block = site.block.of(&view.checked.scenario);
    let before = block.get(..site.index).unwrap_or_default();
    let answers = before.iter().any(|one| view.sort(one) == Sort::Entry);
    match (answers, is_locked(view, site)) {
        (true, true) => Standing::LockedAnswer,
        (true, false) => Standing::Answer,
        (false, true) => Standing::Locked,
        (false, false) => Standing::Loose,
    }
}

/// Whether the text takes a lock before this place, in its block or one around it, and does not drop
/// it in between.
fn is_locked(view: &View<'_>, site: &Site) -> bool {
    use LockAction::{Lock, ReadLock, WriteLock};
    let block = site.block.of(&view.checked.scenario);
    let before = block.get(..site.index).unwrap_or_default();
    let last = before.iter().rev().find_map(|one| match view.sort(one) {
        Sort::Lock(action) => Some(action),
        _ => None,
    });
    match last {
        Some(action) => matches!(action, Lock | ReadLock | WriteLock),
        None => site
            .block
            .parent()
            .is_some_and(|parent| is_locked(view, &parent)),
    }
}

fn insertions(view: &View<'_>, sites: &[Site]) -> Vec<Tried> {
    let scenario = &view.checked.scenario;
    let kits = kits(view);
    let mut all = Vec::new();
    for site in sites.iter().filter(|site| !is_in_atomic(scenario, site)) {
        let Some(at) = site.of(scenario) else {
            continue;
        };
        for (before, index) in places(view, site) {
            for step in kits.get(&site.block.item).into_iter().flatten() {
                let mut edited = scenario.clone();
                let to = Site {
                    index,
                    ..site.clone()
                };
                to.insert(
                    &mut edited,
                    Statement {
                        span: at.span,
                        gap: Gap::None,
                        ..step.clone()
                    },
                );
                let side = if before { "before" } else { "after" };
                all.push(Tried {
                    span: at.span,
                    words: format!("`{}` {side} `{}`", text(step), words(at)),
                    to,
                    scenario: edited,
                });
            }
        }
    }
    all
}

fn text(step: &Statement) -> String {
    format_statement(step).trim_end_matches(';').into()
}

/// Before each step, and behind the last one of a block unless that jumps. The edges of a `live` block
/// are those of what is in it.
fn places(view: &View<'_>, site: &Site) -> Vec<(bool, usize)> {
    let scenario = &view.checked.scenario;
    let step = |one: &&Statement| !is_silent(one) && !matches!(one.action, Action::Live { .. });
    let Some(statement) = site.of(scenario).filter(step) else {
        return Vec::new();
    };
    let mut places = vec![(true, site.index)];
    let jumps = matches!(statement.action, Action::Break | Action::Return);
    if !jumps && is_last(scenario, site) {
        places.push((false, site.index + 1));
    }
    places
}

fn is_silent(statement: &Statement) -> bool {
    matches!(statement.action, Action::Comment(_) | Action::Register(_))
}

/// Whether nothing comes behind a step in its block, and behind that if it is a `live` block.
fn is_last(scenario: &Scenario, site: &Site) -> bool {
    let behind = site.block.of(scenario).get(site.index + 1..);
    let parent = site.block.parent();
    behind.unwrap_or_default().iter().all(is_silent)
        && parent.is_none_or(|parent| match parent.of(scenario).map(|one| &one.action) {
            Some(Action::Live { .. }) => is_last(scenario, &parent),
            _ => true,
        })
}

/// For each declaration, the steps to invalidate or to wait that every agent who comes there makes
/// somewhere in the file, in whatever variant: nobody can do what the file does not show him doing.
fn kits(view: &View<'_>) -> BTreeMap<usize, Vec<Statement>> {
    let mut kits: BTreeMap<usize, Vec<Statement>> = BTreeMap::new();
    for (item, declared) in view.checked.scenario.items.iter().enumerate() {
        if !matches!(declared, Item::Agent(_)) {
            continue;
        }
        let (mut reached, mut kit) = (BTreeSet::new(), Vec::new());
        reach(view, item, &mut reached, &mut kit);
        // What drops least comes first, so that it is preferred among equals.
        kit.sort_by_key(|step| view.drops(step));
        for item in reached {
            let others = kits.entry(item).or_insert_with(|| kit.clone());
            others.retain(|one| kit.iter().any(|own| own.action == one.action));
        }
    }
    kits
}

/// Where an agent comes to from a declaration, and what is done there to invalidate or to wait.
fn reach(view: &View<'_>, item: usize, reached: &mut BTreeSet<usize>, kit: &mut Vec<Statement>) {
    if !reached.insert(item) {
        return;
    }
    match view.checked.scenario.items.get(item) {
        Some(Item::Procedure(procedure)) => gather(view, &procedure.body, reached, kit),
        Some(Item::Agent(agent)) => {
            gather(view, &agent.body, reached, kit);
            for handler in &agent.interrupts {
                gather(view, &handler.body, reached, kit);
            }
        }
        _ => {}
    }
}

fn gather(
    view: &View<'_>,
    block: &[Statement],
    reached: &mut BTreeSet<usize>,
    kit: &mut Vec<Statement>,
) {
    for statement in block {
        let told = matches!(view.sort(statement), Sort::Invalidation | Sort::Wait);
        let known = kit.iter().any(|one| one.action == statement.action);
        if told && is_step(&statement.action) && !known {
            kit.push(statement.clone());
        }
        if let Action::Call(name, _) = &statement.action
            && let Some((item, _)) = view.procedure(&name.text)
        {
            reach(view, item, reached, kit);
        }
        for inner in statement.action.blocks() {
            gather(view, inner, reached, kit);
        }
    }
}

fn moves(view: &View<'_>, site: &Site) -> Vec<Tried> {
    let scenario = &view.checked.scenario;
    let block = site.block.of(scenario);
    let Some(statement) = block.get(site.index) else {
        return Vec::new();
    };
    let sort = view.sort(statement);
    let moved =
        is_step(&statement.action) && !matches!(sort, Sort::Local | Sort::Jump | Sort::Other);
    if !moved || is_in_atomic(scenario, site) {
        return Vec::new();
    }
    let mut all = Vec::new();
    for to in 0..block.len() {
        if to == site.index || is_behind_jump(view, block, site.index, to) {
            continue;
        }
        let side = if to < site.index { "before" } else { "after" };
        let (step, other) = (words(statement), words(&block[to]));
        all.push(Tried {
            span: statement.span,
            words: format!("`{step}` moved {side} `{other}`"),
            to: Site {
                index: to,
                ..site.clone()
            },
            scenario: carried(scenario, site, to),
        });
    }
    if let Some(parent) = site.block.around(scenario) {
        for (behind, side) in [(0, "before"), (1, "after")] {
            let edited = outside(scenario, site, &parent, behind);
            all.extend(edited.map(|scenario| Tried {
                span: statement.span,
                words: format!("`{}` moved {side} the block around it", words(statement)),
                to: Site {
                    index: parent.index + behind,
                    ..parent.clone()
                },
                scenario,
            }));
        }
    }
    all
}

/// Whether a step would be moved to where nobody comes.
fn is_behind_jump(view: &View<'_>, block: &[Statement], from: usize, to: usize) -> bool {
    let crossed = block.get(from + 1..=to).unwrap_or_default();
    crossed
        .iter()
        .any(|one| view.sort(one) == Sort::Jump && one.action.blocks().is_empty())
}
