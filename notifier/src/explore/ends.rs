//! Whether the runs of a scenario come to their end, and where those stand that do not.

use std::fmt;

use super::machine::Machine;
use super::memo::Memo;
use super::mistake::Mistake;
use super::search::Search;
use super::{Cell, Limits};
use crate::scenario::tree::{Axis, Demand, Scope};
use crate::scenario::{Diagnostic, Span};

/// Whether the runs of a scenario come to their end: a state in which all agents are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// From every state an end can be reached.
    Always,
    /// There are runs that end, and states from which no end can be reached any more.
    Sometimes,
    /// No run ends.
    Never,
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Sometimes => "sometimes",
            Self::Never => "never",
        })
    }
}

/// Where an agent, or its handler, stands that can't come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose.
    pub agent: String,
    /// The step that it does not get beyond.
    pub words: String,
    /// Whether it can't make that step; otherwise it makes it again and again.
    pub waits: bool,
    /// Where that step stands in the text.
    pub span: Span,
}

impl Standing {
    fn verb(&self) -> &'static str {
        if self.waits { "waits" } else { "goes round" }
    }
}

/// The error for a scenario of which no run ends.
pub(super) fn endless(cell: &Cell, standing: &[Standing]) -> Option<Diagnostic> {
    // Whoever goes round is to blame before those who wait for it.
    let first = standing
        .iter()
        .find(|one| !one.waits)
        .or(standing.first())?;
    let (agent, verb) = (&first.agent, first.verb());
    let place = place(cell);
    let message = format!("this scenario can't terminate{place}: `{agent}` {verb} here for ever");
    let others = standing.iter().filter(|one| *one != first);
    let others = others.map(|one| format!("`{}` {} at `{}`", one.agent, one.verb(), one.words));
    let others: Vec<_> = others.collect();
    let error = Diagnostic::new(first.span, message);
    Some(match others.is_empty() {
        true => error,
        false => error.hint(format!("meanwhile {}", others.join(", "))),
    })
}

/// The cell, if the file has more than one.
fn place(cell: &Cell) -> String {
    let axes = [Axis::Os, Axis::Hardware].into_iter();
    let values = axes.filter_map(|axis| Some(format!("{} {}", axis.word(), cell.value(axis)?)));
    match values.collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        values => format!(" ({})", values.join(", ")),
    }
}

/// Times that all states are gone through before the steps between them are kept in memory.
const SWEEPS: usize = 8;

impl<const W: usize> Search<'_, W> {
    /// Whether its runs come to their end, as far as it is known or asked for, and the first state
    /// from which no end can be reached.
    ///
    /// That nobody waits for ever is known from the search. Whether somebody goes round for ever is
    /// found by going through all states again, and only for the sake of conditions `finally`, which
    /// are about those runs that end.
    pub(super) fn ends(&self, limits: &Limits) -> Result<(Option<Ends>, Option<usize>), Mistake> {
        if self.cut.is_some() || !self.complete {
            return Ok((None, None));
        }
        if !self.ended {
            return Ok((Some(Ends::Never), self.stuck));
        }
        if self.stuck.is_some() {
            return Ok((Some(Ends::Sometimes), self.stuck));
        }
        let mut properties = self.machine.program.properties.iter();
        if !properties.any(|one| one.scope == Scope::Finally && one.demand != Demand::Progress) {
            return Ok((None, None));
        }
        let Some(lost) = self.without_end(limits)? else {
            return Ok((None, None));
        };
        Ok(match lost {
            None => (Some(Ends::Always), None),
            Some(lost) => (Some(Ends::Sometimes), Some(lost)),
        })
    }

    /// The first state from which no end can be reached, `Some(None)` if there is none; `None` if
    /// there is not enough memory to find out.
    ///
    /// Most steps lead to states that were found later, so that going through the states backwards
    /// settles nearly all of them at once, and nothing has to be kept but a mark for each.
    fn without_end(&self, limits: &Limits) -> Result<Option<Option<usize>>, Mistake> {
        let count = self.store.len();
        let mut ends = vec![false; count];
        let mut memo = Memo::new(self.machine);
        let mut edges = Vec::new();
        for _ in 0..SWEEPS {
            let mut changed = false;
            for id in (0..count).rev() {
                if ends[id] {
                    continue;
                }
                let state = self.store.get(id);
                edges.clear();
                memo.successors(&state, &mut edges)?;
                let mut next = edges.iter().filter_map(|edge| self.store.find(&edge.state));
                ends[id] = self.machine.is_final(&state) || next.any(|next| ends[next]);
                changed |= ends[id];
            }
            if !changed {
                return Ok(Some(ends.iter().position(|ends| !ends)));
            }
        }
        // From here on it could take as many rounds as there are states.
        let bytes = self.steps.saturating_mul(STEP_BYTES);
        if bytes > limits.memory as u64 {
            return Ok(None);
        }
        let lost = self.lost(|state| self.machine.is_final(state))?;
        Ok(Some(lost.first()))
    }

    /// Where those stand who are not done, where as many are done as can be: there the others do
    /// not move on. Of the states that show this, where all of them wait, if there is such a one.
    pub(super) fn standing(&self) -> Result<Vec<Standing>, Mistake> {
        let contexts = 0..self.machine.program.contexts.len();
        let done = |id: &usize| {
            let state = self.store.get(*id);
            let over = contexts.clone();
            over.filter(|context| self.machine.is_over(*context, &state))
                .count()
        };
        let Some(id) = self.stuck.or((0..self.store.len()).max_by_key(done)) else {
            return Ok(Vec::new());
        };
        let state = self.store.get(id);
        let mut standing = Vec::new();
        for context in contexts.clone() {
            if self.machine.is_over(context, &state) {
                continue;
            }
            let mut edges = Vec::new();
            self.machine.steps_of(context, &state, &mut edges)?;
            let (agent, words) = self.machine.words(context, &state);
            standing.push(Standing {
                agent: agent.into(),
                words: words.into(),
                waits: edges.is_empty(),
                span: self.machine.span(context, &state),
            });
        }
        Ok(standing)
    }
}

/// Memory for each step when all are kept: where it leads to, whether it counts, where it comes from.
const STEP_BYTES: u64 = 9;

impl<const W: usize> Machine<'_, W> {
    /// Where in the text the next step of a context stands.
    fn span(&self, context: usize, state: &super::machine::State<W>) -> Span {
        let context = &self.program.contexts[context];
        let at = usize::try_from(context.pc.get(state)).unwrap_or(0);
        let stop = context.code.stops.get(at).copied().unwrap_or_default();
        context.code.spans.get(stop).copied().unwrap_or_default()
    }
}
