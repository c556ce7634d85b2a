//! From a state back to the beginning, and how to tell it.

use super::machine::{Edge, State};
use super::mistake::Mistake;
use super::search::{Place, Search};

/// A way through the states that shows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What everything is at the beginning: name and value.
    pub initial: Vec<(String, String)>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The number of the step, from 0, to which the last one leads back: from there on the same
    /// repeats for ever. `None` if nothing repeats.
    pub again: Option<usize>,
}

/// One step of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The agent, handler or event.
    pub agent: String,
    /// What it does.
    pub words: String,
    /// What is different afterwards.
    pub changes: Vec<Difference>,
    /// What everything is afterwards: name and value.
    pub after: Vec<(String, String)>,
}

/// Something that a step changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub name: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

/// States with the step that leads to each but the first.
pub(super) struct Way<const W: usize> {
    pub(super) first: State<W>,
    pub(super) edges: Vec<Edge<W>>,
}

impl<const W: usize> Search<'_, W> {
    pub(super) fn way_to_place(&self, place: &Place<W>) -> Result<Way<W>, Mistake> {
        match place {
            Place::At(id) => self.way_to(*id),
            Place::Step(from, edge) => {
                let mut way = self.way_to(*from)?;
                way.edges.push(*edge);
                Ok(way)
            }
        }
    }

    /// A shortest way to a state. Where a state came from is not kept but found again: one of those
    /// that are one step nearer to the beginning, the first of them.
    pub(super) fn way_to(&self, id: usize) -> Result<Way<W>, Mistake> {
        let mut edges = Vec::new();
        let mut target = id;
        let mut level = self.levels.partition_point(|first| *first <= id) - 1;
        while level > 0 {
            let wanted = self.store.get(target);
            for from in self.levels[level - 1]..self.levels[level] {
                let mut steps = Vec::new();
                self.machine.successors(&self.store.get(from), &mut steps)?;
                if let Some(edge) = steps.into_iter().find(|edge| edge.state == wanted) {
                    edges.push(edge);
                    target = from;
                    break;
                }
            }
            level -= 1;
        }
        edges.reverse();
        Ok(Way {
            first: self.store.get(target),
            edges,
        })
    }

    pub(super) fn tell(&self, way: &Way<W>, again: Option<usize>) -> Trace {
        let mut before = way.first;
        let steps = way.edges.iter().map(|edge| {
            let (agent, words) = self.machine.words(edge.actor, &before);
            let step = Step {
                agent: agent.into(),
                words: words.into(),
                changes: self.differences(&before, &edge.state),
                after: self.values(&edge.state),
            };
            before = edge.state;
            step
        });
        let steps = steps.collect();
        Trace {
            initial: self.values(&way.first),
            steps,
            again,
        }
    }

    fn values(&self, state: &State<W>) -> Vec<(String, String)> {
        let program = self.machine.program;
        let shown = program.shown.iter();
        let value = |field: super::layout::Field| field.get(state);
        shown
            .map(|one| {
                (
                    one.name.clone(),
                    program.show(one.kind, one.most, value(one.field)),
                )
            })
            .collect()
    }

    fn differences(&self, before: &State<W>, after: &State<W>) -> Vec<Difference> {
        let (old, new) = (self.values(before), self.values(after));
        let pairs = old.into_iter().zip(new).filter(|(old, new)| old != new);
        let difference = |((name, before), (_, after))| Difference {
            name,
            before,
            after,
        };
        pairs.map(difference).collect()
    }
}
